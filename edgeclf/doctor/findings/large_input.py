"""An input with more pixels than the photos have, or than the network is given by its own first operator."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from edgeclf.artifact.tflite import TfliteModel
from edgeclf.doctor.examination import Examination
from edgeclf.doctor.report import Finding
from edgeclf.image.shape import InputShape
from edgeclf.measure.formatting import percent

CAUSE = "input-larger-than-needed"
LEAST_GAIN = 1.25
"""Side of the input over that of the median photo."""
LEAST_DETAIL = 1.0
"""Grey levels, on average over pixels, by which the median picture at half the input's size and back differs. Measured:
clothing photos of 400 pixels and more 3.6 at 160 and 2.3 at 320; those shrunk to 80 and enlarged to 160 again 0.75;
CIFAR-10 enlarged from 32 pixels to 160 and 224 0.7 and 0.5."""
_FIRST = 8  # operators at the front that are looked at
_MULTIPLE = 8  # of pixels a side that is recommended
_UPSAMPLING = ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
_PASSES_ON = ("QUANTIZE", "DEQUANTIZE", "CAST", "MUL", "ADD", "SUB", "DIV", "PAD", "RESHAPE")


def find_large_input(examination: Examination) -> list[Finding]:
    """Compare the input with the photos of `--data`, and look for an operator that enlarges it."""
    enlarged = find_enlargement(examination.graph)
    if enlarged is not None:
        return decide_enlargement(*enlarged)
    images = examination.images
    if images is None or images.source != "data":
        return []
    side = min(images.shape.size)
    pixels = []
    for image, size in zip(images.pixels, images.sizes.tolist(), strict=True):
        left, top, right, bottom = images.shape.filled_box(*size)
        pixels.append(image[top:bottom, left:right])
    scales = [_scale(images.shape, *size) for size in images.sizes.tolist()]
    return decide(side, round(side * float(np.median(scales)), 1), measure_detail(pixels))


def _scale(shape: InputShape, height: int, width: int) -> float:
    """Return how many of a photo's pixels lie beside one another in a pixel of the input, along the finer axis."""
    left, top, right, bottom = shape.seen_box(height, width)
    to_left, to_top, to_right, to_bottom = shape.filled_box(height, width)
    return max((bottom - top) / (to_bottom - to_top), (right - left) / (to_right - to_left))


def decide(side: int, photo_side: float, detail: float) -> list[Finding]:
    """Decide by the input's shorter side, the pixels that the median photo has there, and the detail (grey levels)."""
    enough = _round_up(photo_side)
    if side >= LEAST_GAIN * photo_side:
        reason = f"the median photo has {photo_side:g}"
    elif detail < LEAST_DETAIL:
        enough, reason = _round_up(side / 2), f"at half the size and back the photos differ by {detail:.1f} grey levels"
    else:
        return []
    if side < LEAST_GAIN * enough:
        return []
    return [_finding(side, enough, reason, f"edgeclf train DATA --image-size {enough}")]


def decide_enlargement(side: int, enlarged: int) -> list[Finding]:
    """Decide by the shorter side of the input, and that to which the graph enlarges it."""
    enough = _round_up(side)
    if enlarged < LEAST_GAIN * enough:
        return []
    reason = f"the graph enlarges its input of {side} pixels itself"
    return [_finding(enlarged, enough, reason, f"edgeclf train DATA --image-size {enough}")]


def _round_up(side: float) -> int:
    """Return the next side that a network can be trained at."""
    return -int(-side // _MULTIPLE) * _MULTIPLE


def _finding(side: int, enough: int, reason: str, command: str) -> Finding:
    part = 1 - (enough / side) ** 2
    sentence = (
        f"The network computes on {side} pixels a side, and {reason}: at {enough} pixels it would compute on "
        f"{percent(part, 0)} fewer (a heuristic: what that costs in accuracy, only a training shows)."
    )
    return Finding(CAUSE, "time", round(part, 4), False, sentence, command, "high" if part >= 0.5 else "medium")


def measure_detail(images: Iterable[npt.NDArray[np.uint8]]) -> float:
    """Compute by how many grey levels images uint8[H, W, 3] differ from themselves at half the size and back."""
    differences = []
    for image in images:
        height, width = image.shape[:2]
        half = cv2.resize(image, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
        back = cv2.resize(half, (width, height), interpolation=cv2.INTER_CUBIC)
        differences.append(np.abs(image.astype(np.int16) - back).mean())
    return float(np.median(differences))


def find_enlargement(graph: TfliteModel) -> tuple[int, int] | None:
    """Find where a graph enlarges its input before anything else: the shorter sides before and after."""
    tensor = graph.input_indices[0]
    for _ in graph.operators[:_FIRST]:
        readers = graph.consumers(tensor)
        if len(readers) != 1:
            return None
        before, after = graph.tensors[tensor].shape, graph.tensors[readers[0].outputs[0]].shape
        if readers[0].name in _UPSAMPLING and len(before) == len(after) == 4:
            sides = min(before[1:3]), min(after[1:3])
            return sides if sides[1] > sides[0] else None
        if readers[0].name not in _PASSES_ON:
            return None
        tensor = readers[0].outputs[0]
    return None
