"""Chooses 4-bit weights: integers of -7 to 7, and the step that they count, by what a layer sees of the images.

As in `adaptive_rounding`, the expected square of a layer's error is a quadratic function of its weights, given by the
second moments of the patches that they see. Fifteen levels are so few that the step matters as much as the rounding:
the one that spans the largest weight wastes levels that the many small ones need. Steps are looked for among fractions
of it, then each weight takes the integer that is best with all others as they are (coordinate descent, the greedy
counterpart of Frantar et al., 2022, arXiv:2210.17323), and the step is fitted anew to these integers, in turns. Zeros
stay zeros, so that pruned weights stay pruned.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.tflite import OperatorInfo, TfliteModel
from edgeclf.artifact.tflite_editor import INT4_VERSIONS, TfliteEditor
from edgeclf.compression.export.graph_queries import corrected_operators, is_grouped

LARGEST = 7
"""-8 is left out: weights are symmetric."""
FRACTIONS = np.linspace(1.0, 0.3, 36)
"""Of the step that spans the largest weight."""
TURNS = 3
"""Between integers and steps."""
MOST_SWEEPS = 20
"""Over the weights of a layer, in each turn."""
LARGE = 1_024
"""Weights of an output channel above which the integers are chosen once: their moments are large."""
_HEADROOM = 2.0**30
"""Steps that a bias of 32 bits may count at most: correction adds to it."""
_CHANNELS = 3
"""Of a picture."""
_Array = npt.NDArray[np.float64]


def find_narrow(graph: TfliteModel) -> frozenset[int]:
    """Find the weights of an int8 graph that four bits suffice for, by number of their tensor.

    Those of convolutions and dense layers, but for the first, which sees the picture, and the last, which computes the
    scores: they are few and matter most (Choi et al., 2018, arXiv:1805.06085). Depthwise convolutions have
    nine weights a channel, too few for their errors to cancel.
    """
    layers = [op for op in graph.operators if op.name in INT4_VERSIONS and graph.tensors[op.inputs[1]].data is not None]
    # a scaling of the picture's channels may stand in front, as a depthwise convolution or a pointwise one
    able = [*itertools.dropwhile(lambda op: graph.tensors[op.outputs[0]].shape[-1] <= _CHANNELS, layers)]
    with_bias = {op.inputs[1] for op in corrected_operators(graph)}
    return frozenset(
        op.inputs[1]
        for op in able[1:-1]
        if op.inputs[1] in with_bias and graph.tensors[op.inputs[1]].dtype == "int8" and not is_grouped(graph, op)
    )


def narrow_layer(editor: TfliteEditor, op: OperatorInfo, wanted: _Array, moments: _Array | None) -> None:
    """Give a layer 4-bit weights, stored in 8 bits, and its bias the steps that belong to them.

    Args:
        editor: of the int8 graph.
        op: the layer, one of those that `find_narrow` finds.
        wanted: its float weights, in the tensor's shape.
        moments: of its patches, float64[1, K, K]; None: they were not measured, and all inputs count alike.
    """
    entry, weight, bias = (editor.graph.tensors[op.inputs[i]] for i in (0, 1, 2))
    rows, old = wanted.reshape(wanted.shape[0], -1), np.asarray(weight.scales, np.float64)
    real_bias = np.abs(np.asarray(bias.values(), np.float64)) * entry.scale * old
    # a channel of tiny weights may have a bias that no step of theirs could count up to; one of zeros has no step
    least = np.where(rows.any(axis=1), real_bias / (entry.scale * _HEADROOM), old)
    seen = None if moments is None else moments[0]
    integers, steps = choose_integers(rows, seen, one_step=len(old) == 1, least=np.maximum(least, 1e-9 * old))
    new = steps[: len(old)]
    editor.set_constant(weight.index, integers.reshape(wanted.shape).astype(np.int8))
    editor.set_scales(weight.index, new)
    values = np.asarray(bias.values(), np.float64) * (old / new)
    editor.set_constant(bias.index, np.clip(np.rint(values), -(2**31), 2**31 - 1).astype("<i4"))
    editor.set_scales(bias.index, np.float64(entry.scale) * new)


def choose_integers(
    wanted: _Array, moments: _Array | None, *, one_step: bool = False, least: _Array | float = 1e-20
) -> tuple[_Array, _Array]:
    """Choose integers of -7 to 7 and the step of each row, for the least error.

    The error of a row with integers w, step s and real weights r is `(s w - r) G (s w - r)'`, G being the moments.

    Args:
        wanted: float64[O, K].
        moments: float64[K, K]; None: the unit matrix.
        one_step: all rows get the same.
        least: of each row's step, above 0.

    Returns:
        integers, float64[O, K], and steps, float64[O].
    """
    least = np.broadcast_to(least, len(wanted))
    least = np.full(len(wanted), least.max()) if one_step else least
    peaks = np.maximum(np.abs(wanted).max(axis=1) / LARGEST, least)
    spanning = np.full_like(peaks, peaks.max()) if one_step else peaks
    curves = np.ones(wanted.shape[1]) if moments is None else np.diagonal(moments)
    searched = np.maximum(_search_steps(wanted, curves, spanning, one_step), least)
    if moments is None:
        return _nearest(wanted, searched), searched
    if wanted.shape[1] > LARGE:
        return _descend(_nearest(wanted, searched), wanted / searched[:, None], moments), searched
    # The search for steps takes each input alone; where inputs go together, the wide steps may lead further.
    found = [_take_turns(wanted, moments, steps, least, one_step) for steps in (searched, spanning)]
    errors = [_errors(integers, steps, wanted, moments) for integers, steps in found]
    second = errors[1].sum() < errors[0].sum() if one_step else errors[1] < errors[0]
    (integers, steps), (others, other_steps) = found
    second = np.broadcast_to(second, steps.shape)
    return np.where(second[:, None], others, integers), np.where(second, other_steps, steps)


def _take_turns(wanted: _Array, moments: _Array, steps: _Array, least: _Array, one_step: bool) -> tuple[_Array, _Array]:
    integers = _descend(_nearest(wanted, steps), wanted / steps[:, None], moments)
    for _ in range(TURNS):
        fitted = np.maximum(_fit_steps(integers, wanted, moments, steps, one_step), least)
        if np.allclose(fitted, steps, rtol=1e-6, atol=0):
            break
        steps = fitted
        integers = _descend(integers, wanted / steps[:, None], moments)
    return integers, steps


def _errors(integers: _Array, steps: _Array, wanted: _Array, moments: _Array) -> _Array:
    left = integers * steps[:, None] - wanted
    return np.asarray((left @ moments * left).sum(axis=1), np.float64)


def _nearest(wanted: _Array, steps: _Array) -> _Array:
    return np.asarray(np.clip(np.rint(wanted / steps[:, None]), -LARGEST, LARGEST), np.float64)


def _search_steps(wanted: _Array, curves: _Array, spanning: _Array, one_step: bool) -> _Array:
    """Find the step of each row that leaves the least error by the diagonal of the moments: float64[O]."""
    errors = []
    for fraction in FRACTIONS:
        steps = fraction * spanning
        error = np.square(_nearest(wanted, steps) * steps[:, None] - wanted) @ curves
        errors.append(np.full_like(error, error.sum()) if one_step else error)
    return np.asarray(spanning * FRACTIONS[np.argmin(np.stack(errors), axis=0)], np.float64)


def _fit_steps(integers: _Array, wanted: _Array, moments: _Array, steps: _Array, one_step: bool) -> _Array:
    """Find the steps of the least error for given integers; a row of zeros keeps its own: float64[O]."""
    seen = integers @ moments
    products, squares = (seen * wanted).sum(axis=1), (seen * integers).sum(axis=1)
    if one_step:
        products, squares = np.full_like(products, products.sum()), np.full_like(squares, squares.sum())
    able = (squares > 0) & (products > 0)
    return np.asarray(np.where(able, products / np.where(able, squares, 1), steps), np.float64)


def _descend(integers: _Array, wanted: _Array, moments: _Array) -> _Array:
    """Let each weight take the best integer with all others as they are, as long as one changes: float64[O, K].

    Args:
        integers: float64[O, K], to begin with.
        wanted: the real weights, in steps.
        moments: float64[K, K].
    """
    now: _Array = integers.copy()
    slope, curves = (now - wanted) @ moments, np.maximum(np.diagonal(moments), 1e-30)
    rows = np.arange(len(now))
    for _ in range(MOST_SWEEPS):
        before = now[rows].copy()
        for k in np.argsort(-curves):
            best = np.clip(np.rint(now[rows, k] - slope[rows, k] / curves[k]), -LARGEST, LARGEST)
            step = np.where(wanted[rows, k] == 0, 0, best - now[rows, k])
            (moved,) = step.nonzero()
            if len(moved):
                slope[rows[moved]] += step[moved, None] * moments[k]
                now[rows[moved], k] += step[moved]
        rows = rows[(now[rows] != before).any(axis=1)]
        if not len(rows):
            break
    return now
