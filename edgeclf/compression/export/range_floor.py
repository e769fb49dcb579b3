"""Keeps the outputs of layers from ranges that are too narrow for the kernels beside their inputs and weights.

A layer that is 0, or next to it, on all calibration images would get steps of next to nothing. XNNPACK creates no
convolution and no dense layer of 8 bits whose step of the input times that of the weights is 256 times the step of the
output or more, and the runtime refuses the whole model then.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgeclf.artifact.operators import WEIGHTED
from edgeclf.artifact.tflite import OperatorInfo, TfliteModel

Range = tuple[float, float]
MOST = 128
"""Steps of the output that a step of the input times one of the weights may take: half of what is refused."""
FIXED = {"LOGISTIC": 1.0, "SOFTMAX": 1.0, "TANH": 2.0}
"""Width of the outputs of operators whose steps are fixed, whatever was observed."""
PASSING = frozenset(
    {
        "AVERAGE_POOL_2D", "CONCATENATION", "GATHER", "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "PACK", "PAD",
        "PADV2", "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SLICE", "SPACE_TO_DEPTH", "SPLIT", "SQUEEZE",
        "STRIDED_SLICE", "TRANSPOSE",
    }
)  # fmt: skip
"""Operators whose outputs may get the steps of their inputs, or these those of the outputs."""


def raise_narrow_ranges(graph: TfliteModel, ranges: Mapping[int, Range], levels: int = 127) -> dict[int, Range]:
    """Widen the ranges of outputs that kernels would refuse; others stay as they are.

    Args:
        graph: float, in the order of computation.
        ranges: lowest and highest value by tensor number, also of the input.
        levels: largest integer of the weights: 127, or 7 where they get four bits.
    """
    raised, changed = dict(ranges), set[int]()
    widths = {index: max(high, 0.0) - min(low, 0.0) for index, (low, high) in ranges.items()}
    for op in graph.operators:
        output = op.outputs[0] if op.outputs else -1
        if op.name in FIXED:
            widths[output] = FIXED[op.name]
        elif op.name in PASSING:
            entries = [index for index in op.inputs if index in widths]
            for index in (index for index in op.outputs if index in raised):
                for entry in changed.intersection(entries):
                    ends = (*raised[index], *raised[entry])
                    raised[index] = min(ends), max(ends)
                    changed.add(index)
                widths[index] = max(widths[one] for one in (index, *entries))
        elif output in raised and (found := _factors(graph, op)) is not None:
            entry, peak = found
            least = widths.get(entry, 0.0) * peak / (levels * MOST)
            if widths[output] < least:
                raised[output] = _scale(raised[output], widths[output], least)
                widths[output] = least
                changed.add(output)
    return raised


def _factors(graph: TfliteModel, op: OperatorInfo) -> tuple[int, float] | None:
    """Return the number of a layer's data input, and the largest magnitude of its weights; None: it has none."""
    if op.name not in (*WEIGHTED, "TRANSPOSE_CONV"):
        return None
    weights = graph.tensors[op.inputs[1]].values()
    if weights is None:
        return None
    return op.inputs[2 if op.name == "TRANSPOSE_CONV" else 0], float(np.abs(weights).max(initial=0.0))


def _scale(found: Range, width: float, wanted: float) -> Range:
    """Widen a range to `wanted`; what is 0 alone gets values above it."""
    low, high = min(found[0], 0.0), max(found[1], 0.0)
    return (0.0, wanted) if width == 0.0 else (low * wanted / width, high * wanted / width)
