"""Weights of which many are zero, in kernels that multiply by them all the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.compressed_size import gzip_size
from edgeclf.artifact.operators import WEIGHTED
from edgeclf.artifact.tflite import TensorInfo, TfliteModel
from edgeclf.doctor.examination import Examination
from edgeclf.doctor.report import Finding
from edgeclf.doctor.timing import Ratio
from edgeclf.measure.formatting import percent, size

CAUSE = "zeros-that-no-kernel-uses"
LEAST_ZEROS = 0.30
"""Of all weights: rounding alone makes a few percent zero, and no usual training without pruning a third."""
STILL_PAYS = 1.10
"""Times as long without zeros: from there on kernels do use them."""


def find_unused_zeros(examination: Examination) -> list[Finding]:
    """Count the zeros among the weights; where they are many, time the model beside the same one without any."""
    zeros, count = count_zeros(examination.graph)
    if not count or zeros / count < LEAST_ZEROS:
        return []
    full = examination.changed(fill_zeros)
    if full is None:
        examination.notes.append("whether zeros among the weights are used was not measured: no variant without them")
        return []
    packed = gzip_size(examination.file.content)
    ratio = examination.compare_with(full)
    return decide(zeros / count, ratio, len(examination.file.content), packed, examination.source)


def decide(fraction: float, beside_full: Ratio, file_bytes: int, packed: int, source: str) -> list[Finding]:
    """Decide by the fraction of zeros, and the model's time relative to that of the same without zeros."""
    if fraction < LEAST_ZEROS or beside_full.value < 1 / STILL_PAYS:
        return []
    sentence = (
        f"{percent(fraction, 0)} of the weights are zero and the model takes {beside_full.value:.2f} times as long as "
        f"without any zero: no kernel skips them, and they only help where the file is packed "
        f"({size(packed)} of {size(file_bytes)})."
    )
    return [Finding.rated(CAUSE, "bytes", fraction, sentence, f"edgeclf compress {source} --shrink 0.5 --int8")]


def count_zeros(graph: TfliteModel) -> tuple[int, int]:
    """Count the zeros among the weights of convolutions and dense layers, where all are stored, and all weights."""
    zeros = count = 0
    for tensor in {op.inputs[1]: graph.tensors[op.inputs[1]] for op in graph.operators if _has_weights(op)}.values():
        values = tensor.values()
        # int4 constants are packed two in a byte, and no variant without zeros is made of them
        if values is not None and not tensor.sparse and tensor.dtype != "int4":
            zeros += int((values == _zero(tensor)).sum())
            count += values.size
    return zeros, count


def fill_zeros(model: Any, tensors: Sequence[TensorInfo], names: Sequence[str]) -> None:
    """Put another number in the place of each zero of the weights of an unpacked model (see `graph_cuts.Change`)."""
    graph = model.subgraphs[0]
    for operator, name in zip(graph.operators, names, strict=True):
        if name not in WEIGHTED:
            continue
        info = tensors[int(operator.inputs[1])]
        values = info.values()
        if values is None or info.sparse or info.dtype == "int4":
            continue
        filled: npt.NDArray[Any] = values.copy()
        at = values == _zero(info)
        least = np.abs(values[~at].astype(np.float64)).mean() if (~at).any() else 1.0
        signs = np.where(np.arange(at.sum()) % 2, 1, -1)
        low, high = (-127, 127) if info.dtype == "int8" else (0, 255) if info.dtype == "uint8" else (-np.inf, np.inf)
        shifted = _zero(info)[at] + signs * max(least, 1.0 if info.scales.size else least)
        filled[at] = np.clip(shifted, low, high).astype(values.dtype)
        model.buffers[graph.tensors[int(operator.inputs[1])].buffer].data = np.frombuffer(filled.tobytes(), np.uint8)


def _has_weights(operator: Any) -> bool:
    return operator.name in WEIGHTED and len(operator.inputs) > 1 and operator.inputs[1] >= 0


def _zero(tensor: TensorInfo) -> npt.NDArray[Any]:
    """Return the number that stands for zero, at each place of a constant."""
    shape = [1] * len(tensor.shape)
    if len(tensor.zero_points) > 1:
        shape[tensor.axis] = -1
    zeros = tensor.zero_points.reshape(shape) if len(tensor.zero_points) else np.zeros(shape, np.int64)
    return np.broadcast_to(zeros, tensor.shape)
