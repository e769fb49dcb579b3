"""Constants whose bytes lie in the file more than once."""

from __future__ import annotations

import hashlib

import numpy as np

from edgeclf.artifact.tflite import TfliteModel
from edgeclf.doctor.examination import Examination
from edgeclf.doctor.report import Finding
from edgeclf.measure.formatting import counted, percent, size

CAUSE = "duplicate-constants"
LEAST_BYTES, LEAST_FRACTION = 4_000, 0.05
_SMALLEST = 256  # bytes of a constant that is compared; zeros of a bias are often equal


def find_duplicate_constants(examination: Examination) -> list[Finding]:
    """Count the bytes of constants that are stored more than once."""
    copies, held = count_copies(examination.graph)
    return decide(copies, held, len(examination.file.content), examination.source)


def count_copies(graph: TfliteModel) -> tuple[int, int]:
    """Count the buffers whose bytes lie elsewhere too, and the bytes that they take."""
    first: dict[bytes, int] = {}
    places: set[int] = set()
    copies = held = 0
    for tensor in graph.tensors:
        if tensor.data is None or len(tensor.data) < _SMALLEST:
            continue
        place = _address(tensor.data)
        if place in places:  # the same buffer, shared as it should be
            continue
        places.add(place)
        digest = hashlib.sha256(tensor.data).digest()
        if digest in first:
            copies, held = copies + 1, held + len(tensor.data)
        first.setdefault(digest, tensor.index)
    return copies, held


def decide(copies: int, held: int, file_bytes: int, source: str) -> list[Finding]:
    """Decide by the number of copies, the bytes that they take, and those of the file."""
    fraction = held / file_bytes
    if held < LEAST_BYTES or fraction < LEAST_FRACTION:
        return []
    sentence = (
        f"{counted(copies, 'constant')} {'is' if copies == 1 else 'are'} stored a second time, {size(held)} of the "
        f"file's {size(file_bytes)} ({percent(fraction, 0)})."
    )
    return [Finding.rated(CAUSE, "bytes", fraction, sentence, f"edgeclf compress {source} --int8")]


def _address(data: memoryview) -> int:
    return int(np.frombuffer(data, np.uint8).ctypes.data)
