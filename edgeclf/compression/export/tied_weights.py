"""Gives layers that apply one kernel several times the same integers, so that a file holds them once.

A network may apply a kernel again and again, each time with a batch normalization of its own. Folded, these are
constants that differ by a factor of each output channel, which the channel's step carries: the integers are the same
but for those that floating-point numbers put half way between two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.tflite import OperatorInfo, TensorInfo, TfliteModel, parse
from edgeclf.artifact.tflite_editor import TfliteEditor
from edgeclf.compression.export.graph_queries import weighted_operators

_OUTPUTS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}
"""Axis of the output channels, each of which has a step of its own."""
_SAME = 1e-4
"""Difference of two weights, of the largest of their channel, that is rounding of floating-point numbers."""


def find_tied(graph: TfliteModel) -> list[tuple[str, ...]]:
    """Find the convolutions of a float graph whose weights are equal but for a positive factor of each output channel.

    Args:
        graph: float.

    Returns:
        names of their weight tensors, two and more in each group, in the order of computation.
    """
    alike: dict[tuple[str, tuple[int, ...]], list[OperatorInfo]] = defaultdict(list)
    for op in weighted_operators(graph):
        if op.name in _OUTPUTS:
            alike[op.name, graph.tensors[op.inputs[1]].shape].append(op)
    groups = [group for layers in alike.values() if len(layers) > 1 for group in _group(graph, layers)]
    return [tuple(graph.tensors[index].name for index in group) for group in groups if len(group) > 1]


def _group(graph: TfliteModel, layers: Iterable[OperatorInfo]) -> list[list[int]]:
    found: list[tuple[list[int], npt.NDArray[np.float64]]] = []
    for op in layers:
        rows = _normalize(np.asarray(graph.tensors[op.inputs[1]].values(), np.float64), _OUTPUTS[op.name])
        same = next((members for members, first in found if np.abs(first - rows).max() <= _SAME), None)
        if same is None:
            found.append(([op.inputs[1]], rows))
        else:
            same.append(op.inputs[1])
    return [members for members, _ in found]


def _normalize(weights: npt.NDArray[np.float64], axis: int) -> npt.NDArray[np.float64]:
    """Divide the weights of each output channel by the largest of them: float64[O, K]; zeros stay."""
    rows = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1)
    peaks = np.abs(rows).max(axis=1, keepdims=True)
    return np.asarray(rows / np.where(peaks > 0, peaks, 1.0), np.float64)


def tie_weights(quantized: bytes, float_graph: bytes) -> bytes:
    """Give the layers of an int8 graph that `find_tied` finds in its float graph the same integers.

    Args:
        quantized: the int8 graph; its tensors carry the names of the float ones.
        float_graph: the float graph.
    """
    groups = find_tied(parse(float_graph))
    if not groups:
        return quantized
    editor = TfliteEditor(quantized)
    known = {tensor.name: tensor for tensor in editor.graph.tensors if _is_rounded(tensor)}
    for group in groups:
        # those that a policy keeps in float are not among them
        tensors = [known[name] for name in group if name in known]
        for other in tensors[1:]:
            if other.shape == tensors[0].shape:
                editor.set_constant(other.index, np.asarray(tensors[0].values()))
    return editor.pack()


def _is_rounded(tensor: TensorInfo) -> bool:
    """Return whether a tensor holds integers with a step for each output channel."""
    return tensor.dtype == "int8" and tensor.data is not None and len(tensor.scales) > 1
