"""Measures what 8 bits cost in each layer, on a float graph and the int8 graph made of it.

A layer is as `compress --int8` makes it by default: its weights rounded adaptively, its bias corrected for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.macs import operator_macs
from edgeclf.artifact.operators import WEIGHTED
from edgeclf.artifact.tflite import OperatorInfo, TensorInfo, TfliteModel, parse
from edgeclf.artifact.tflite_editor import TfliteEditor
from edgeclf.compression.export.bias_correction import real_weights, response
from edgeclf.compression.export.graph_parts import PartwiseRun
from edgeclf.compression.export.graph_queries import computed_tensors
from edgeclf.compression.export.observation import pixel_feeder
from edgeclf.compression.export.policy import layer_name
from edgeclf.compression.layer_sensitivity import LayerSensitivity
from edgeclf.errors import InputError, ModelError
from edgeclf.measure.statistics import discordant
from edgeclf.progress import SILENT, Progress

if TYPE_CHECKING:
    from edgeclf.compression.export.observation import FloatObservation
    from edgeclf.graph.float_network import FloatNetwork

BLOCK_BYTES = 10**9
"""Memory for the activations of the images that are measured together."""
MOST_DECIBELS = 200.0
"""What is stated where rounding changed nothing."""
_IDLE = ("RESHAPE", "PAD", "QUANTIZE", "DEQUANTIZE")
"""Operators that round nothing anew."""


def measure_sensitivity(
    network: FloatNetwork,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    *,
    calibration: npt.NDArray[np.uint8] | None = None,
    observed: FloatObservation | None = None,
    progress: Progress = SILENT,
) -> list[LayerSensitivity]:
    """Measure what each layer of a network loses if it alone is quantized to int8, in the order of computation.

    Args:
        network: prepared.
        images: uint8[n, H, W, 3], of the validation split.
        labels: int64[n].
        calibration: uint8[m, H, W, 3], what sets the ranges; None: `images`.
        observed: what `observe` returned for the network; None: it is measured on `calibration`.
        progress: where bars are shown.

    Raises:
        InputError: there are no images.
        ModelError: the converter refuses the network.
    """
    from edgeclf.compression.export.int8_format import observe, quantize_observed, round_observed

    if len(images) == 0 or len(images) != len(labels):
        raise InputError(f"sensitivity needs images with a label each, got {len(images)} and {len(labels)}")
    given = images if calibration is None else calibration
    observed = observed or observe(network, given, progress)
    quantized = round_observed(quantize_observed(observed), observed, given, progress)
    return compare_layers(observed, quantized, images, labels, progress)


def compare_layers(
    observed: FloatObservation,
    quantized: bytes,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    progress: Progress = SILENT,
) -> list[LayerSensitivity]:
    """Measure each layer with the scales and weights that it has in an int8 graph; see `measure_sensitivity`.

    Args:
        observed: the float graph.
        quantized: the int8 graph made of it, before its biases are corrected.
        images: uint8[n, H, W, 3].
        labels: int64[n].
        progress: where bars are shown.

    Raises:
        ModelError: the two graphs do not compute the same.
    """
    pairs = list(_layers(observed, parse(quantized)))
    totals = [_Total() for _ in pairs]
    block = _block_size(observed.content)
    with progress.task("sensitivity of layers", len(pairs) * len(range(0, len(images), block))) as task:
        for start in range(0, len(images), block):
            part = slice(start, start + block)
            for place in _measure_block(observed, pairs, totals, images[part], labels[part]):
                task.advance(note=layer_name(pairs[place].entry.name))
    return [total.describe(pair, parse(observed.content)) for pair, total in zip(pairs, totals, strict=True)]


@dataclass(frozen=True)
class _Layer:
    """An operator of the float graph, its number there, and its output in both graphs.

    `constants` are its rounded weights and corrected bias as real numbers, by their tensors in the float graph.
    """

    place: int
    op: OperatorInfo
    entry: TensorInfo
    rounded: TensorInfo
    constants: Mapping[int, npt.NDArray[np.float32]]


class _Total:
    """Sums over blocks of images."""

    def __init__(self) -> None:
        self.signal = np.zeros(2)
        self.noise = np.zeros(2)
        self.before: list[npt.NDArray[np.int64]] = []
        self.after: list[npt.NDArray[np.int64]] = []
        self.labels: list[npt.NDArray[np.int64]] = []

    def add(self, place: int, exact: npt.NDArray[Any], rounded: npt.NDArray[Any]) -> None:
        self.signal[place] += float(np.square(exact, dtype=np.float64).sum())
        self.noise[place] += float(np.square(exact - rounded, dtype=np.float64).sum())

    def describe(self, layer: _Layer, graph: TfliteModel) -> LayerSensitivity:
        before, after, labels = (np.concatenate(part) for part in (self.before, self.after, self.labels))
        lost, gained = discordant(before == labels, after == labels)
        decibels = [_decibels(*pair) for pair in zip(self.signal, self.noise, strict=True)]
        return LayerSensitivity(
            layer=layer_name(layer.entry.name),
            operator=layer.op.name,
            macs=operator_macs(graph, layer.op),
            layer_db=decibels[0],
            output_db=decibels[1],
            top1=float((after == labels).mean()),
            difference=(gained - lost) / len(labels),
            lost=lost,
            gained=gained,
            flipped=int((before != after).sum()),
            images=len(labels),
        )


def _measure_block(
    observed: FloatObservation,
    layers: list[_Layer],
    totals: list[_Total],
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
) -> Iterator[int]:
    """Add up what some images show; yields the number of each layer that is done."""
    feed = pixel_feeder(observed.input_max)
    editor = TfliteEditor(observed.content)
    graph = editor.graph
    end, (output,) = len(graph.operators), graph.output_indices
    entry = np.stack([feed(image) for image in images])
    whole = PartwiseRun(editor, entry)
    whole.advance(end)
    exact_output = whole.values(output)
    before = exact_output.reshape(len(images), -1).argmax(axis=1)
    run = PartwiseRun(editor, entry)
    for number, (layer, total) in enumerate(zip(layers, totals, strict=True)):
        run.advance(layer.place)
        branch = run.branch()
        exact = made = _values_behind(branch, layer)
        if layer.constants:
            branch = run.branch()
            for index, values in layer.constants.items():
                editor.set_constant(index, values)
            made = _values_behind(branch, layer)
            for index in layer.constants:
                editor.set_constant(index, np.asarray(graph.tensors[index].values()))
        rounded = round_values(made, layer.rounded)
        branch.replace(layer.entry.index, rounded)
        branch.advance(end)
        result = branch.values(output)
        total.add(0, exact, rounded)
        total.add(1, exact_output, result)
        total.before.append(before)
        total.after.append(result.reshape(len(images), -1).argmax(axis=1))
        total.labels.append(labels)
        yield number


def round_values(values: npt.NDArray[Any], tensor: TensorInfo) -> npt.NDArray[np.float32]:
    """Round real values to what an int8 tensor can hold: float32 of the same shape."""
    scale = np.float32(tensor.scale)
    steps = np.clip(np.rint(values / scale) + tensor.zero_point, -128, 127) - tensor.zero_point
    return np.asarray(steps * scale, np.float32)


def _values_behind(run: PartwiseRun, layer: _Layer) -> npt.NDArray[Any]:
    run.advance(layer.place + 1)
    return run.values(layer.entry.index)


def _layers(observed: FloatObservation, quantized: TfliteModel) -> Iterator[_Layer]:
    """Pair the operators of a float graph with those of the int8 graph made of it, which has conversions besides."""
    graph = parse(observed.content)
    twins = [op for op in quantized.operators if op.name not in ("QUANTIZE", "DEQUANTIZE")]
    if [op.name for op in twins] != [op.name for op in graph.operators]:
        raise ModelError("the int8 graph does not have the operators of the float graph; layers cannot be compared")
    computed = computed_tensors(graph)
    for place, (op, twin) in enumerate(zip(graph.operators, twins, strict=True)):
        rounded = quantized.tensors[twin.outputs[0]]
        if op.name in _IDLE or op.outputs[0] not in computed or rounded.dtype != "int8" or not rounded.scale:
            continue
        constants: dict[int, npt.NDArray[np.float32]] = {}
        if op.name in WEIGHTED and quantized.tensors[twin.inputs[1]].data is not None:
            weights = real_weights(quantized.tensors[twin.inputs[1]])
            constants[op.inputs[1]] = weights.astype("<f4")
            patch = observed.patches.get(op.inputs[1])
            if patch is not None and len(op.inputs) > 2 and op.inputs[2] >= 0:
                lost = response(op, real_weights(graph.tensors[op.inputs[1]]) - weights, patch)
                constants[op.inputs[2]] = (real_weights(graph.tensors[op.inputs[2]]) + lost).astype("<f4")
        yield _Layer(place, op, graph.tensors[op.outputs[0]], rounded, constants)


def _block_size(content: bytes) -> int:
    largest = max(tensor.elements for tensor in parse(content).tensors if tensor.data is None)
    return max(1, BLOCK_BYTES // (6 * 4 * largest))


def _decibels(signal: float, noise: float) -> float:
    if noise <= 0 or signal <= 0:
        return MOST_DECIBELS if noise <= 0 else -MOST_DECIBELS
    return round(min(MOST_DECIBELS, 10 * float(np.log10(signal / noise))), 2)
