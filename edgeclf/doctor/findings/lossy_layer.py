"""A quantized layer that adds far more noise than the others, measured beside the float model of the same network.

Each layer gets what the float model computed before it, rounded to the integers of its input; its result is compared
with the float model's. So the noise is that of this layer alone, and not of those before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.entry_scaling import find_entry_scaling
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.tflite import OperatorInfo, TensorInfo, TfliteModel
from edgeclf.doctor.agreement import means_another_class
from edgeclf.doctor.examination import Examination
from edgeclf.doctor.images import ExaminedImages, choose_range, make_tensors
from edgeclf.doctor.report import Finding
from edgeclf.errors import ModelError
from edgeclf.inference.litert import LITERT
from edgeclf.inference.tflite_session import TFLiteSession
from edgeclf.measure.formatting import percent
from edgeclf.printable import one_line

CAUSE = "layer-that-carries-the-loss"
CHECK = "a layer that carries the loss"
BELOW_MEDIAN, LARGEST_RATIO = 12.0, 20.0
"""Decibels below the median layer, and of signal to noise, from which on a layer is named. Measured of sound models:
the worst layer of a ResNet-8 has 33.8 and the median 37.8, of a MobileNetV2 28.3 and 38.7."""
LEAST_CHANGED = 0.02
"""Of the images whose class differs from the float model's: else there is no loss to explain."""
MOST_CHANGED = 0.5
"""From there on the two are not the same network, or pixels enter them differently."""
_COMPARED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_ENTERING = ("CAST", "DEQUANTIZE", "MUL", "QUANTIZE")
"""Operators at the front that turn pixels into the numbers of the first layer, few of them in a row."""
_FIRST = 4
_MOST_IMAGES = 16


@dataclass(frozen=True)
class LayerNoise:
    """Signal to noise of one layer in decibels: 10 log10 of the float values' power over that of the difference."""

    name: str
    decibels: float


def find_lossy_layer(examination: Examination) -> list[Finding]:
    """Compare each layer with that of the float model which `--baseline` names."""
    baseline, images = examination.baseline, examination.images
    if baseline is None or images is None or images.source != "data":
        return []
    pairs = pair_layers(examination.graph, baseline.graph)
    reason = explain_difference(examination.file, baseline) or ("" if pairs else "it is not of the same network")
    if not reason:
        tensors, changed = choose_inputs(examination, baseline, images)
        reason = "most images have another class with it" if changed > MOST_CHANGED else ""
    if reason:
        examination.skip(CHECK, f"no layer was compared with {baseline.name}: {reason}")
        return []
    return decide(measure_noise(examination, baseline, tensors, pairs), changed, examination.source)


def explain_difference(file: ModelFile, baseline: ModelFile) -> str:
    """Explain why a file's layers cannot be compared with those of a float model; empty: they can, by what is known."""
    if not any(len(tensor.scales) for tensor in file.graph.tensors if tensor.data is None):
        return f"{file.name} computes in float itself"
    steps = steps_of(file)
    if steps != steps_of(baseline):
        made = "+".join(str(one.get("kind"))[:40] for one in steps) or "no step"
        return f"{file.name} was made with {made}, {baseline.name} otherwise, so that their layers differ"
    export = {} if file.provenance is None else file.provenance.recipe.get("export")
    if isinstance(export, dict) and export.get("equalization"):
        return f"{file.name} was equalized, so that its layers compute in other units"
    return ""


def steps_of(file: ModelFile) -> list[dict[str, Any]]:
    """Return the steps that a model was made with; none where its file does not say."""
    found = None if file.provenance is None else file.provenance.recipe.get("steps")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def decide(noise: Sequence[LayerNoise], changed: float, source: str) -> list[Finding]:
    """Decide by the noise of each layer, and the fraction of images whose class is not the float model's."""
    if len(noise) < 3 or changed < LEAST_CHANGED:
        return []
    worst = min(noise, key=lambda layer: layer.decibels)
    others = float(np.median([layer.decibels for layer in noise]))
    if worst.decibels > LARGEST_RATIO or worst.decibels > others - BELOW_MEDIAN:
        return []
    sentence = (
        f"The layer {worst.name} has a signal to noise ratio of {worst.decibels:.1f} dB, the median layer "
        f"{others:.1f} dB; the class of {percent(changed, 0)} of the images differs from the float model's."
    )
    return [Finding.rated(CAUSE, "accuracy", changed, sentence, f"edgeclf compress {source} --int8 --qat")]


Pair = tuple[int, OperatorInfo, OperatorInfo]
"""Number of a layer in the quantized graph, the layer, and that of the float graph."""


def pair_layers(graph: TfliteModel, baseline: TfliteModel) -> list[Pair]:
    """Pair convolutions and dense layers in order; empty where the two graphs do not have the same ones."""
    own = _list_compared(graph)
    other = [op for _, op in _list_compared(baseline)]
    shapes = [[(op.name, graph.tensors[op.outputs[0]].shape) for _, op in own]]
    shapes.append([(op.name, baseline.tensors[op.outputs[0]].shape) for op in other])
    if shapes[0] != shapes[1]:
        return []
    pairs = [(number, mine, theirs) for (number, mine), theirs in zip(own, other, strict=True)]
    return [pair for pair in pairs if graph.tensors[pair[1].outputs[0]].scale and _same_input(graph, baseline, pair)]


def _list_compared(graph: TfliteModel) -> list[tuple[int, OperatorInfo]]:
    """List convolutions and dense layers with their numbers, without a scaling of the input: int8 may have none."""
    entry = graph.input_indices[0] if len(graph.input_indices) == 1 else -1
    for _ in range(_FIRST):
        readers = graph.consumers(entry)
        if entry < 0 or len(readers) != 1 or readers[0].name not in _ENTERING or not readers[0].outputs:
            break
        entry = readers[0].outputs[0]
    scaling = None if entry < 0 else find_entry_scaling(graph, entry)
    passed = -1 if scaling is None else scaling.place
    return [(i, op) for i, op in enumerate(graph.operators) if op.name in _COMPARED and i != passed]


def choose_inputs(
    examination: Examination, baseline: ModelFile, images: ExaminedImages
) -> tuple[Sequence[npt.NDArray[Any]], float]:
    """Make the float model's inputs, and compute the fraction of images that the two put into different classes.

    Pixels enter by what the float model's file says or, where it says nothing, as the numbers that the examined model's
    integers stand for: whichever gives more equal classes.

    Raises:
        ModelError: the two do not have the same number of classes.
    """
    session = LITERT.open(baseline)
    possible = [
        make_tensors(baseline, images.pixels, choose_range(baseline, images, None).applied),
        [examination.as_input_of(session, tensor) for tensor in examination.input_tensors],
    ]
    counted = [_count_changed(examination, session, tensors) for tensors in possible]
    best = int(np.argmin(counted))
    return possible[best], counted[best]


def measure_noise(
    examination: Examination, baseline: ModelFile, tensors: Sequence[npt.NDArray[Any]], pairs: Sequence[Pair]
) -> list[LayerNoise]:
    """Measure the noise of each layer over some of the images, which enter the float model as `tensors`."""
    graph, cutter = examination.graph, examination.cutter
    chosen = np.linspace(0, len(tensors) - 1, min(len(tensors), _MOST_IMAGES)).astype(np.int64)
    sessions: dict[int, tuple[Any, int]] = {}
    for number, _, _ in pairs:
        cut = cutter.cut([number])
        if len(cut.inputs) == 1:
            sessions[number] = (LITERT.open(ModelFile(cut.content, "layer")), cut.inputs[0])
    power: dict[int, npt.NDArray[np.float64]] = {number: np.zeros(2) for number in sessions}
    from_image = _from_image(graph)
    running = zip(
        examination.run_openly(baseline, [tensors[i] for i in chosen]),
        examination.run_openly(examination.file, [examination.input_tensors[i] for i in chosen]),
        strict=False,
    )
    for theirs, mine in running:
        for number, layer, float_layer in pairs:
            if number not in sessions:
                continue
            session, entry = sessions[number]
            # what comes from the image may be scaled otherwise in the other graph
            given = (
                mine.read(entry)
                if entry in from_image
                else _quantize(theirs.read(float_layer.inputs[0]), graph.tensors[entry])
            )
            made = session.run(np.asarray(given, session.input.dtype).reshape(session.input.shape))
            info = graph.tensors[layer.outputs[0]]
            real = (made.astype(np.float64) - info.zero_point) * info.scale
            expected = theirs.read(float_layer.outputs[0]).astype(np.float64)
            power[number] += (float((expected**2).sum()), float(((real - expected) ** 2).sum()))
    named = ((one_line(graph.tensors[layer.outputs[0]].name)[:60], power.get(number)) for number, layer, _ in pairs)
    return [LayerNoise(name, 10 * float(np.log10(p[0] / p[1]))) for name, p in named if p is not None and p.min() > 0]


def _from_image(graph: TfliteModel) -> frozenset[int]:
    """Return the input, and what is only converted or padded from it."""
    found = set(graph.input_indices)
    for operator in graph.operators:
        if operator.name in ("QUANTIZE", "PAD", "CAST") and operator.inputs[0] in found:
            found.update(operator.outputs)
    return frozenset(found)


def _quantize(values: npt.NDArray[Any], info: TensorInfo) -> npt.NDArray[Any]:
    if not info.scale:
        return values
    limits = np.iinfo(np.dtype(info.dtype))
    whole = np.clip(np.rint(values.astype(np.float64) / info.scale) + info.zero_point, limits.min, limits.max)
    return np.asarray(whole, np.dtype(info.dtype))


def _same_input(graph: TfliteModel, baseline: TfliteModel, pair: Pair) -> bool:
    _, mine, theirs = pair
    return graph.tensors[mine.inputs[0]].shape == baseline.tensors[theirs.inputs[0]].shape


def _count_changed(examination: Examination, other: TFLiteSession, tensors: Sequence[npt.NDArray[Any]]) -> float:
    different = seen = 0
    pairs = zip(examination.input_tensors, tensors, strict=True)
    for own, theirs in examination.in_time(pairs, "comparing with the float model", len(tensors)):
        seen += 1
        if theirs.dtype != other.input.dtype or theirs.shape != other.input.shape:
            return 1.0
        mine, real = examination.session.run(own).reshape(-1), other.run(theirs).reshape(-1)
        if len(mine) != len(real):
            raise ModelError(f"--baseline: expected a float model of {len(mine)} classes, got {len(real)}")
        different += means_another_class(examination, mine, real)
    return different / seen
