"""Gives the channels of an activation similar ranges, without changing what the network computes.

An int8 activation has one scale for all channels. Where one channel is far wider than the others, these are rounded to
a few steps. Channels are divided by a factor where they are computed and multiplied by it where they are read (Nagel et
al., 2019, arXiv:1906.04721, section 4.1; by the ranges of activations, as in Xiao et al., 2022, arXiv:2211.10438). This
works wherever only additions, pooling and ReLU lie between: in the shortcuts of residual networks and the linear
bottlenecks of MobileNetV2. ReLU6 and other functions do not scale, and keep what they have.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.entry_scaling import find_entry_scaling
from edgeclf.artifact.operators import WEIGHTED
from edgeclf.artifact.tflite import OperatorInfo, TfliteModel
from edgeclf.artifact.tflite_editor import TfliteEditor
from edgeclf.compression.export.graph_queries import is_grouped
from edgeclf.compression.export.observation import Feed, Observer

EXPONENTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""How far ranges are levelled: 0 leaves them, 1 makes all of them equal, which coarsens the weights that read them."""
NARROWEST = 1 / 64
"""No channel is widened by more than the inverse of this."""
LOOKED_AT = 64
"""Calibration images that the ranges of channels come from."""
_PASSING = ("ADD", "MEAN", "AVERAGE_POOL_2D", "MAX_POOL_2D", "RELU")
"""Operators whose outputs are scaled when their inputs are, channel by channel."""
_Array = npt.NDArray[np.float64]


@dataclass
class ChannelGroup:
    """Activations whose channels must be scaled together, with who computes and who reads them."""

    tensors: set[int] = field(default_factory=set)
    writers: list[OperatorInfo] = field(default_factory=list)
    readers: list[OperatorInfo] = field(default_factory=list)


@dataclass(frozen=True)
class ChannelStatistics:
    """Of one activation on some images: by channel the largest magnitude and the mean square."""

    peak: _Array
    power: _Array


def equalize(content: bytes, images: npt.NDArray[np.uint8], feed: Feed) -> bytes:
    """Level the ranges of a float graph's channels as far as the expected noise of int8 falls.

    Args:
        content: the graph.
        images: uint8[n, H, W, 3], calibration images; `LOOKED_AT` of them are used.
        feed: makes the graph's input tensor of one image.

    Returns:
        a graph that computes the same up to the rounding of float32.
    """
    editor = TfliteEditor(content)
    graph = editor.graph
    groups = find_groups(editor)
    if not groups:
        return content
    watched = {index for group in groups for index in group.tensors}
    watched |= {op.outputs[0] for group in groups for op in group.readers}
    rows = np.linspace(0, len(images) - 1, min(len(images), LOOKED_AT)).astype(np.int64)
    statistics = _observe_channels(content, images[rows], feed, watched)
    weights = {
        op.inputs[1]: np.asarray(graph.tensors[op.inputs[1]].values(), np.float64)
        for op in graph.operators
        if op.name in WEIGHTED and graph.tensors[op.inputs[1]].data is not None
    }
    biases: dict[int, _Array] = {}
    for group in groups:
        factors = choose_factors(group, statistics, weights)
        for op in group.writers:
            weights[op.inputs[1]] = weights[op.inputs[1]] / _along_outputs(op, factors)
            if len(op.inputs) > 2 and op.inputs[2] >= 0:
                biases[op.inputs[2]] = np.asarray(graph.tensors[op.inputs[2]].values(), np.float64) / factors
        for op in group.readers:
            weights[op.inputs[1]] = weights[op.inputs[1]] * _along_inputs(op, factors, weights[op.inputs[1]])
    for index, values in (weights | biases).items():
        editor.set_constant(index, values.astype("<f4"))
    return editor.pack()


def find_groups(editor: TfliteEditor) -> list[ChannelGroup]:
    """Find the activations of a float graph whose channels may be scaled.

    Everything that touches a group must pass scales on, or be a layer with constant weights of its own.
    """
    graph = editor.graph
    owner = list(range(len(graph.tensors)))

    def root(index: int) -> int:
        while owner[index] != index:
            owner[index] = owner[owner[index]]
            index = owner[index]
        return index

    fixed = set(graph.input_indices) | set(graph.output_indices)
    scaling = find_entry_scaling(graph, graph.input_indices[0])
    if scaling is not None:
        # whose channels an 8-bit input has one step for
        fixed.add(scaling.result)
    for place, op in enumerate(graph.operators):
        scales = editor.fused_activation(place) in ("NONE", "RELU")
        if op.name in WEIGHTED and _has_own_weights(graph, op):
            # a dense layer has one scale for all of its outputs: dividing them would coarsen the others
            if not scales or op.name == "FULLY_CONNECTED":
                fixed.add(op.outputs[0])
            # one that flattens what it takes sees each channel in many places
            entry, kernel = (graph.tensors[index].shape for index in op.inputs[:2])
            if op.name == "FULLY_CONNECTED" and entry[-1:] != kernel[-1:]:
                fixed.add(op.inputs[0])
        elif op.name in _PASSING and scales and _keeps_channels(graph, op):
            for index in _computed(graph, op):
                owner[root(index)] = root(op.outputs[0])
        else:
            fixed |= {index for index in (*op.inputs, *op.outputs) if index >= 0}
    shut = {root(index) for index in fixed}
    groups: dict[int, ChannelGroup] = {}
    for op in graph.operators:
        own = op.name in WEIGHTED and _has_own_weights(graph, op)
        for index in (*_computed(graph, op), *op.outputs):
            if root(index) not in shut:
                groups.setdefault(root(index), ChannelGroup()).tensors.add(index)
        if own and root(op.outputs[0]) not in shut:
            groups[root(op.outputs[0])].writers.append(op)
        if own and root(op.inputs[0]) not in shut:
            groups[root(op.inputs[0])].readers.append(op)
    return [group for group in groups.values() if group.writers and group.readers]


def choose_factors(group: ChannelGroup, statistics: dict[int, ChannelStatistics], weights: dict[int, _Array]) -> _Array:
    """Choose by what each channel of a group is divided: the exponent of `EXPONENTS` with the least expected noise.

    Expected is the noise that rounded activations and rounded weights leave at the outputs of the layers that read the
    group, each relative to the power of its outputs; rounding errors count as uniform and independent.
    """
    peaks = np.stack([statistics[index].peak for index in sorted(group.tensors)])
    level = np.maximum((peaks / np.maximum(peaks.max(axis=1, keepdims=True), 1e-12)).max(axis=0), NARROWEST)
    candidates = [level**exponent for exponent in EXPONENTS]

    def noise(factors: _Array) -> float:
        return sum(_noise(op, factors, statistics, weights[op.inputs[1]]) for op in group.readers)

    return min(candidates, key=noise)


def _noise(op: OperatorInfo, factors: _Array, statistics: dict[int, ChannelStatistics], weights: _Array) -> float:
    entry, result = statistics[op.inputs[0]], statistics[op.outputs[0]]
    step = 2 * (entry.peak / factors).max() / 255
    scaled = weights * _along_inputs(op, factors, weights)
    if op.name == "DEPTHWISE_CONV_2D":  # one scale a channel: its weights lose nothing
        activation, weight = np.square(scaled).sum() * step**2 / 12, 0.0
    else:
        activation = np.square(scaled).sum() * step**2 / 12
        outer = tuple(range(1, scaled.ndim)) if op.name == "CONV_2D" else None
        steps = np.abs(scaled).max(axis=outer, keepdims=True) / 127
        inside = scaled[0, ..., 0].size
        weight = float((np.broadcast_to(steps, (len(scaled),) + (1,) * (scaled.ndim - 1)) ** 2).sum()) / 12
        weight *= inside * (entry.power / factors**2).sum()
    return float((activation + weight) / max(result.power.sum(), 1e-12))


def _observe_channels(
    content: bytes, images: npt.NDArray[np.uint8], feed: Feed, watched: set[int]
) -> dict[int, ChannelStatistics]:
    observer = Observer(content)
    peaks: dict[int, Any] = dict.fromkeys(watched, 0.0)
    powers: dict[int, Any] = dict.fromkeys(watched, 0.0)
    for image in images:
        observer.run(feed(image))
        for index in watched:
            values = observer.read(index)
            flat = values.reshape(-1, values.shape[-1])
            peaks[index] = np.maximum(peaks[index], np.abs(flat).max(axis=0).astype(np.float64))
            powers[index] = powers[index] + np.square(flat).mean(axis=0, dtype=np.float64)
    return {index: ChannelStatistics(peaks[index], powers[index] / len(images)) for index in watched}


def _has_own_weights(graph: TfliteModel, op: OperatorInfo) -> bool:
    """Return whether each filter sees all channels, and weights and bias are constants that nothing else reads."""
    constants = [index for index in op.inputs[1:] if index >= 0]
    return not is_grouped(graph, op) and all(
        graph.tensors[i].values() is not None and len(graph.consumers(i)) == 1 for i in constants
    )


def _computed(graph: TfliteModel, op: OperatorInfo) -> list[int]:
    """List the inputs that are computed, which for a layer with weights is the first one."""
    indices = op.inputs[:1] if op.name in WEIGHTED or op.name == "MEAN" else op.inputs
    return [index for index in indices if index >= 0]


def _keeps_channels(graph: TfliteModel, op: OperatorInfo) -> bool:
    """Return whether channel `c` of the output depends on channel `c` of computed inputs alone."""
    output = graph.tensors[op.outputs[0]]
    inputs = [graph.tensors[index] for index in _computed(graph, op)]
    if any(tensor.data is not None or tensor.shape[-1:] != output.shape[-1:] for tensor in inputs):
        return False
    if op.name == "MEAN":
        axes = graph.tensors[op.inputs[1]].values()
        return axes is not None and not {-1, len(inputs[0].shape) - 1} & {int(axis) for axis in axes.ravel()}
    return len({len(tensor.shape) for tensor in (*inputs, output)}) == 1


def _along_outputs(op: OperatorInfo, factors: _Array) -> _Array:
    """Shape one factor an output channel so that weights can be multiplied with it."""
    return factors if op.name == "DEPTHWISE_CONV_2D" else factors.reshape(-1, 1, 1, 1)


def _along_inputs(op: OperatorInfo, factors: _Array, weights: _Array) -> _Array:
    """Shape one factor an input channel so that weights can be multiplied with it."""
    if op.name == "DEPTHWISE_CONV_2D":
        return np.repeat(factors, weights.shape[-1] // len(factors))
    return factors
