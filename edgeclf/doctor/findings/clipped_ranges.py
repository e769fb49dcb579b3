"""Activations that lie outside of the range of their integers, and are cut off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgeclf.artifact.graph_cuts import GraphCutter
from edgeclf.artifact.tflite import TensorInfo, TfliteModel
from edgeclf.doctor.agreement import means_another_class
from edgeclf.doctor.examination import Examination
from edgeclf.doctor.report import Finding
from edgeclf.inference.litert import LITERT
from edgeclf.inference.tflite_session import TFLiteSession
from edgeclf.measure.formatting import counted, percent
from edgeclf.printable import one_line

CAUSE = "clipped-ranges"
LEAST_CLIPPED = 0.03
"""Of a tensor's values that lie at an end of its range which is not the bound of its activation function. Ranges that
are chosen well cut off 0 to 0.5 %."""
LEAST_CHANGED, FEWEST_CHANGED = 0.05, 2
"""Of the images whose class changes when nothing is cut off, and how many these must be."""
_CLIPPABLE = ("ADD", "AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MUL", "SUB", "MEAN")
_RELU, _RELU_1, _RELU6 = 1, 2, 3  # of the schema's ActivationFunctionType
_NEAR = 1.02  # a range that ends within this of 6 is that of a RELU6


@dataclass(frozen=True)
class Clipping:
    """The tensor of which the largest fraction is cut off, and what the images give with and without that."""

    name: str
    fraction: float
    tensors: int
    changed: float
    images: int


def find_clipped_ranges(examination: Examination) -> list[Finding]:
    """Run images through the plain kernels and count the values at the ends of each tensor's range."""
    if examination.images is None or not any(len(t.scales) for t in examination.graph.tensors if t.data is None):
        return []
    fractions = count_clipped(examination)
    clipped = {tensor: fraction for tensor, fraction in fractions.items() if fraction >= LEAST_CLIPPED}
    if not clipped:
        return []
    worst = max(clipped, key=lambda tensor: clipped[tensor])
    changed, images = count_changed(examination)
    name = one_line(examination.graph.tensors[worst].name)[:60]
    source = "the images" if examination.images.source == "data" else "the built-in sample pictures"
    return decide(Clipping(name, clipped[worst], len(clipped), changed, images), source, examination.source)


def decide(clipping: Clipping, images: str, source: str) -> list[Finding]:
    """Decide by what is cut off, and by the images whose class that changes."""
    if clipping.fraction < LEAST_CLIPPED or clipping.changed < LEAST_CHANGED:
        return []
    if round(clipping.changed * clipping.images) < FEWEST_CHANGED:
        return []
    sentence = (
        f"{counted(clipping.tensors, 'tensor')} {'is' if clipping.tensors == 1 else 'are'} cut off at an end of the "
        f"range, {clipping.name} in {percent(clipping.fraction, 0)} of its values on {images}; the class of "
        f"{percent(clipping.changed, 0)} of {clipping.images} changes when activations are not rounded."
    )
    command = f"edgeclf compress {source} --int8 --calibration 1000"
    return [Finding.rated(CAUSE, "accuracy", clipping.changed, sentence, command)]


def count_clipped(examination: Examination) -> dict[int, float]:
    """Count the fraction of values at an end of the range, by the number of the tensor."""
    ends = {t: ends for number, t in _looked_at(examination.graph) if (ends := _ends(examination.cutter, number, t))}
    at_end, seen = dict.fromkeys(ends, 0), dict.fromkeys(ends, 0)
    for session in examination.run_openly(examination.file, examination.input_tensors):
        _count(session, ends, at_end, seen)
    return {tensor: at_end[tensor] / seen[tensor] for tensor in ends if seen[tensor]}


def count_changed(examination: Examination) -> tuple[float, int]:
    """Compute the fraction of images that the model and its float twin put into different classes, of how many."""
    twin = examination.float_twin
    if twin is None:
        examination.notes.append("what clipped ranges cost in accuracy was not measured: there is no float twin")
        return 0.0, 0
    other = LITERT.open(twin)
    different = seen = 0
    tensors = examination.input_tensors
    for tensor in examination.in_time(tensors, "comparing with the float twin", len(tensors)):
        seen += 1
        real = other.run(examination.as_input_of(other, tensor)).reshape(-1)
        different += means_another_class(examination, examination.session.run(tensor).reshape(-1), real)
    return different / seen, seen


def _looked_at(graph: TfliteModel) -> list[tuple[int, int]]:
    """List operators whose results may be cut off, and the tensors that they write."""
    made = [(i, op.outputs[0]) for i, op in enumerate(graph.operators) if op.name in _CLIPPABLE and op.outputs]
    types = ("int8", "uint8", "int16")
    return [(i, t) for i, t in made if graph.tensors[t].scale and graph.tensors[t].dtype in types]


def _ends(cutter: GraphCutter, number: int, tensor: int) -> tuple[int, ...]:
    """Return the integers at the ends of a tensor's range that no activation function puts there."""
    info = cutter.graph.tensors[tensor]
    activation, limits = cutter.fused_activation(number), np.iinfo(np.dtype(info.dtype))
    ends = []
    # where the range begins at zero, a RELU may be left to the rounding
    if activation not in (_RELU, _RELU_1, _RELU6) and info.zero_point != limits.min:
        ends.append(int(limits.min))
    upper = activation in (_RELU_1, _RELU6) or _ends_at_six(info, int(limits.max))
    if not upper and info.zero_point != limits.max:  # what never is above zero
        ends.append(int(limits.max))
    return tuple(ends)


def _ends_at_six(info: TensorInfo, largest: int) -> bool:
    return 6 / _NEAR <= (largest - info.zero_point) * info.scale <= 6 * _NEAR


def _count(
    session: TFLiteSession, ends: Mapping[int, tuple[int, ...]], at_end: dict[int, int], seen: dict[int, int]
) -> None:
    for tensor, numbers in ends.items():
        values = session.read(tensor)
        seen[tensor] += values.size
        at_end[tensor] += sum(int((values == number).sum()) for number in numbers)
