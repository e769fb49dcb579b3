"""Rounds weights up or down by what leaves the least error at a layer's outputs (Nagel et al., 2020, arXiv:2004.10568).

The nearest integer is the best one for each weight alone, not for all of them together: errors of inputs that go up
and down together can cancel. The expected square of a layer's error is a quadratic function of its rounded weights,
given by the second moments of the patches that they see (AdaRound's equation 13, with the local loss of section 3.2).
Layers are rounded in the order of computation, each on the inputs that the quantized network gives it. Where the paper
relaxes the choice and follows a gradient, here single weights change sides as long as the error falls: there is no step
size and no number of iterations to choose, and no layer gets worse on the images that are looked at. Aiming at the
float network's outputs instead (the paper's asymmetric reconstruction) was worse in 8 bits: weights were moved after
the noise of rounded activations, which no weight can take back.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.tflite import OperatorInfo, TensorInfo, TfliteModel, parse
from edgeclf.artifact.tflite_editor import TfliteEditor
from edgeclf.compression.export.bias_correction import real_weights
from edgeclf.compression.export.four_bit_weights import narrow_layer
from edgeclf.compression.export.graph_parts import PartwiseRun
from edgeclf.compression.export.graph_queries import corrected_operators, is_grouped, weighted_operators
from edgeclf.compression.export.observation import Feed
from edgeclf.progress import SILENT, Progress

FEWEST_PATCHES, MOST_PATCHES = 1_000, 10_000
PATCHES_A_WEIGHT = 15
"""Patches that a layer's second moments come from, between the two limits above."""
MOST_WEIGHTS = 5_000
"""Weights of an output channel that are rounded together, 3x3x512 among them; layers with more keep the nearest
integers. Moments grow with their square: behind a flattened picture of 22x22x64 they would take 8 GB."""
DAMPING = 0.01
"""Added to the second moments, relative to their mean, and more where there are fewer patches than weights: few patches
must not make weights wander."""
MOST_SWEEPS = 20
MOSTLY_DISTINCT, MOST_CLUSTERS = 0.9, 256
"""Of trained weights, as float32, hardly two of a channel are equal by chance; rounded to float16, one in five of 4,608
is, but they have far more values than clusters."""
_LEAST, _LARGEST = -127, 127
_Array = npt.NDArray[np.float64]


def round_adaptively(
    quantized: bytes,
    float_graph: bytes,
    images: npt.NDArray[np.uint8],
    feed: Feed,
    progress: Progress = SILENT,
    *,
    four_bits: Collection[int] = (),
    nearest: bool = False,
    corrected: bool = True,
) -> bytes:
    """Round the weights of an int8 graph anew, in one pass over the network.

    Args:
        quantized: the int8 graph; its tensors carry the names of the float ones.
        float_graph: the float graph.
        images: uint8[n, H, W, 3].
        feed: makes the int8 graph's input tensor of one image.
        progress: where the bar goes.
        four_bits: numbers of weight tensors that get integers of -7 to 7, with steps of their own; see
            `four_bit_weights`. They stay stored in 8 bits.
        nearest: all others stay as they are, and these get the nearest integers, so that equal weights stay equal.
        corrected: biases will be corrected for what the rounding does to means, where layers have them.
    """
    exact, editor = parse(float_graph), TfliteEditor(quantized)
    wanted = {exact.tensors[op.inputs[1]].name: exact.tensors[op.inputs[1]] for op in weighted_operators(exact)}
    model = editor.graph
    run = PartwiseRun(editor, np.stack([feed(image) for image in images]))
    # layers that a policy keeps in float have nothing to round
    operators = [op for op in weighted_operators(model) if model.tensors[op.inputs[1]].dtype == "int8"]
    biased = {op.outputs[0] for op in corrected_operators(model)} if corrected else set[int]()
    random = np.random.default_rng(0)
    with progress.task("rounding weights", len(operators)) as task:
        for op in operators:
            task.advance()
            weight = model.tensors[op.inputs[1]]
            if weight.name not in wanted:
                continue
            depthwise, real = op.name == "DEPTHWISE_CONV_2D", real_weights(wanted[weight.name])
            moments = None
            # rows or tiles of a picture as a batch of their own have patches that are not read here
            tiled = op.name != "FULLY_CONNECTED" and model.tensors[op.outputs[0]].shape[0] != 1
            unmeasured = nearest or tiled or is_grouped(model, op) or count_together(model, op) > MOST_WEIGHTS
            if not (unmeasured or repeat_values(real, depthwise=depthwise)):
                run.advance(model.operators.index(op))
                places = draw_places(model, op, len(images), random)
                patches = read_patches(model, op, run.values(op.inputs[0]), places)
                moments = measure_moments(patches, centred=op.outputs[0] in biased)
            if weight.index in four_bits:
                narrow_layer(editor, op, real, moments)
            elif moments is not None:
                editor.set_constant(weight.index, round_weights(real, weight, moments, depthwise=depthwise))
    return editor.pack()


def repeat_values(weights: _Array, *, depthwise: bool) -> bool:
    """Return whether a layer's channels hold equal weights, zeros apart: somebody made them so, and they stay equal.

    Args:
        weights: float64, in the tensor's shape.
        depthwise: whether the last axis holds the output channels, not the first.
    """
    rows = (np.moveaxis(weights, -1, 0) if depthwise else weights).reshape(weights.shape[-1 if depthwise else 0], -1)
    distinct = [np.unique(row[row != 0]).size for row in rows]
    return bool(sum(distinct) < MOSTLY_DISTINCT * np.count_nonzero(rows) and max(distinct) <= MOST_CLUSTERS)


def count_together(model: TfliteModel, op: OperatorInfo) -> int:
    """Count the weights of one output channel of a layer."""
    return model.tensors[op.inputs[1]].elements // model.tensors[op.outputs[0]].shape[-1]


def draw_places(
    model: TfliteModel, op: OperatorInfo, images: int, random: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Draw places of a layer's output: int64[images, n], numbers of rows and columns together."""
    output = model.tensors[op.outputs[0]]
    wanted = min(MOST_PATCHES, max(FEWEST_PATCHES, PATCHES_A_WEIGHT * count_together(model, op)))
    places = output.elements // output.shape[-1]
    count = min(places, -(-wanted // images))
    return np.stack([random.choice(places, count, replace=False) for _ in range(images)])


def read_patches(
    model: TfliteModel, op: OperatorInfo, values: npt.NDArray[Any], places: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Return the real input values that a layer's weights are multiplied with at some places of its output.

    Args:
        model: the graph.
        op: a convolution or a dense layer.
        values: its input as it is stored, `[images, 1, ...]`.
        places: int64[images, n].

    Returns:
        float32[images * n, K], or float32[images * n, K, C] for a depthwise layer.
    """
    info, weights = model.tensors[op.inputs[0]], model.tensors[op.inputs[1]]

    def real(part: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        if not info.scale:
            return np.asarray(part, np.float32)
        return np.asarray((part.astype(np.float32) - info.zero_point) * np.float32(info.scale), np.float32)

    if op.name == "FULLY_CONNECTED":
        vectors = values.reshape(len(values), -1, weights.shape[-1])
        return real(np.concatenate([part[chosen] for part, chosen in zip(vectors, places, strict=True)]))
    _, tall, wide, _ = weights.shape
    _, rows, columns, _ = model.tensors[op.outputs[0]].shape
    down, right = op.options["stride_h"], op.options["stride_w"]
    step_down, step_right = op.options["dilation_h"], op.options["dilation_w"]
    over = max((rows - 1) * down + (tall - 1) * step_down + 1 - info.shape[1], 0)
    across = max((columns - 1) * right + (wide - 1) * step_right + 1 - info.shape[2], 0)
    margins = ((over // 2, over - over // 2), (across // 2, across - across // 2), (0, 0))
    found = []
    for image, chosen in zip(values, places, strict=True):
        padded = np.pad(image[0], margins, constant_values=info.zero_point if info.scale else 0)
        top, left = chosen // columns * down, chosen % columns * right
        taps = [padded[top + i * step_down, left + j * step_right] for i in range(tall) for j in range(wide)]
        found.append(np.stack(taps, axis=1))
    patches = real(np.concatenate(found))
    return patches if op.name == "DEPTHWISE_CONV_2D" else patches.reshape(len(patches), -1)


def measure_moments(patches: npt.NDArray[np.float32], *, centred: bool = True) -> _Array:
    """Compute second moments of patches: float64[G, K, K].

    Args:
        patches: float32[n, K], of which one group is made, or float32[n, K, C] with a group a channel.
        centred: about their means, which bias correction takes back; False: about zero.
    """
    offsets = patches - patches.mean(axis=0) if centred else patches
    if offsets.ndim == 2:
        moments = np.asarray(offsets.T @ offsets, np.float64)[None] / len(offsets)
    else:
        rows = np.ascontiguousarray(offsets.transpose(2, 1, 0))
        moments = np.asarray(rows @ rows.transpose(0, 2, 1), np.float64) / len(offsets)
    diagonals = np.einsum("gkk->gk", moments)  # a view
    diagonals += DAMPING * max(1.0, moments.shape[-1] / len(patches)) * diagonals.mean(axis=1, keepdims=True)
    return np.asarray(moments, np.float64)


def round_weights(wanted: _Array, tensor: TensorInfo, moments: _Array, *, depthwise: bool) -> npt.NDArray[np.int8]:
    """Choose for each weight the integer below or above: int8 of the tensor's shape.

    Args:
        wanted: the float weights, in the tensor's shape.
        tensor: the quantized weights.
        moments: of the layer's patches, float64[G, K, K].
        depthwise: whether the last axis holds the output channels, each with an input channel of its own.
    """
    outputs = wanted.shape[-1] if depthwise else wanted.shape[0]
    rows = wanted.reshape(-1, outputs).T if depthwise else wanted.reshape(outputs, -1)
    real = rows / np.broadcast_to(np.asarray(tensor.scales, np.float64), (outputs,))[:, None]
    nearest = np.clip(np.rint(real), _LEAST, _LARGEST)
    # where a weight may go instead of the nearest integer: to the one on its other side; zeros stay
    other = np.clip(nearest + np.sign(real - nearest), _LEAST, _LARGEST)
    groups = np.arange(outputs) * len(moments) // outputs
    rounded = _descend(nearest, other, real, moments, groups)
    shaped = rounded.T.reshape(wanted.shape) if depthwise else rounded.reshape(wanted.shape)
    return np.ascontiguousarray(shaped, np.int8)


def _descend(now: _Array, then: _Array, real: _Array, moments: _Array, groups: npt.NDArray[np.int64]) -> _Array:
    """Let single weights change sides as long as the error of their output channel falls.

    The error of a channel with integers w is `(w - r) G (w - r)'`, with its real weights r in steps, and its moments G.

    Args:
        now: float64[O, K], the integers to begin with.
        then: where each may go.
        real: float64[O, K].
        moments: float64[G, K, K].
        groups: of each channel, int64[O].
    """
    now, then = now.copy(), then.copy()
    shared = len(moments) == 1
    slope = (now - real) @ moments[0] if shared else np.einsum("ok,okl->ol", now - real, moments[groups])
    curves = np.einsum("gkk->gk", moments)[groups]
    order = np.argsort(-curves.sum(axis=0))
    for _ in range(MOST_SWEEPS):
        moved = then - now
        # numerical noise must not keep weights going back and forth
        open_ones = (2 * moved * slope + moved**2 * curves < -1e-9 * curves).any(axis=0)
        if not open_ones.any():
            break
        for k in order[open_ones[order]]:
            step = then[:, k] - now[:, k]
            (chosen,) = (2 * step * slope[:, k] + step**2 * curves[:, k] < -1e-9 * curves[:, k]).nonzero()
            if len(chosen):
                slope[chosen] += step[chosen, None] * (moments[0, k] if shared else moments[groups[chosen], k])
                now[chosen, k], then[chosen, k] = then[chosen, k], now[chosen, k]
    return now
