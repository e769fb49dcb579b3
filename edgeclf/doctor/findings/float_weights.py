"""Weights in float that int8 would store in a quarter (float16: a half) of the bytes."""

from __future__ import annotations

from edgeclf.artifact.macs import parameter_tensors
from edgeclf.artifact.operators import TYPE_BITS
from edgeclf.doctor.examination import Examination
from edgeclf.doctor.report import Finding
from edgeclf.measure.formatting import percent, size

CAUSE = "float-weights"
LEAST_SAVED, LEAST_FRACTION = 100_000, 0.3
"""Bytes that int8 must save, and that part of the file: a float model of a few kilobytes is sound as it is."""
_FLOATS = ("float32", "float16", "bfloat16")


def find_float_weights(examination: Examination) -> list[Finding]:
    """Count the bytes that weights of at least two dimensions would save in int8."""
    # Weights that a DEQUANTIZE turns into float32 each time are stored as float16.
    graph = examination.graph
    stored = {t.index: t for t in parameter_tensors(graph) if len(t.shape) >= 2 and t.dtype in _FLOATS}
    for operator in graph.operators:
        if operator.name == "DEQUANTIZE" and graph.tensors[operator.inputs[0]].data is not None:
            constant = graph.tensors[operator.inputs[0]]
            if constant.dtype in _FLOATS and len(constant.shape) >= 2:
                stored[constant.index] = constant
    held = sum(t.elements * (TYPE_BITS[t.dtype] or 0) // 8 for t in stored.values())
    saved = held - sum(t.elements for t in stored.values())
    return decide(saved, len(examination.file.content), held, examination.source)


def decide(saved: int, file_bytes: int, held: int, source: str) -> list[Finding]:
    """Decide by the bytes that int8 saves, of the file, and that float weights hold."""
    fraction = saved / file_bytes
    if saved < LEAST_SAVED or fraction < LEAST_FRACTION:
        return []
    sentence = (
        f"{size(held)} of the file's {size(file_bytes)} are weights in float; in int8 they take {size(held - saved)}, "
        f"which makes the file {percent(fraction, 0)} smaller."
    )
    return [Finding.rated(CAUSE, "bytes", fraction, sentence, f"edgeclf compress {source} --int8 --speed")]
