"""Counts what is really in a model file: zeros and distinct values of each weight tensor, float operators, size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgeclf.artifact.compressed_size import gzip_size
from edgeclf.artifact.inspection import weight_statistics
from edgeclf.artifact.macs import parameter_tensors
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.tflite import TfliteModel
from edgeclf.compression.export.graph_queries import float_operators


@dataclass(frozen=True)
class ModelFileStats:
    """Counted in the file.

    Attributes:
        size_bytes: of the file.
        gzip_bytes: compressed.
        sparsity: fraction of zeros among all weights.
        distinct_weights_max: most distinct values in one weight tensor.
        distinct_weights_per_channel_max: most in one output channel.
        tensors: the same for each weight tensor.
        float_operators: operators inside the graph that are not integer.
        groups: of four neighbouring input channels, in the weights that have their input channels in fours.
        groups_off_pattern: of these, those with less than two zeros.
    """

    size_bytes: int
    gzip_bytes: int
    sparsity: float | None
    distinct_weights_max: int | None
    distinct_weights_per_channel_max: int | None
    tensors: tuple[dict[str, Any], ...]
    float_operators: tuple[str, ...]
    groups: int = 0
    groups_off_pattern: int = 0


def model_file_stats(file: ModelFile) -> ModelFileStats:
    """Count in a `.tflite`; of a file of another format, the sizes alone."""
    if not file.is_tflite:
        return ModelFileStats(len(file.content), gzip_size(file.content), None, None, None, (), ())
    model, content = file.graph, file.content
    rows = []
    for tensor in parameter_tensors(model):
        statistics = weight_statistics(tensor)
        # one dimension is a bias
        if len(tensor.shape) >= 2 and statistics["sparsity"] is not None:
            rows.append({"name": tensor.name, "elements": tensor.elements, **statistics})
    total = sum(row["elements"] for row in rows)
    groups, off = _two_of_four(model)
    return ModelFileStats(
        size_bytes=len(content),
        gzip_bytes=gzip_size(content),
        sparsity=sum(row["elements"] * row["sparsity"] for row in rows) / total if total else None,
        distinct_weights_max=max((row["distinct_weights"] for row in rows), default=None),
        distinct_weights_per_channel_max=max((row["distinct_weights_per_channel"] for row in rows), default=None),
        tensors=tuple(rows),
        float_operators=float_operators(model),
        groups=groups,
        groups_off_pattern=off,
    )


def _two_of_four(model: TfliteModel) -> tuple[int, int]:
    """Count groups of four neighbouring input channels in convolutions and dense layers, and those that break 2:4."""
    groups = off = 0
    for op in model.operators:
        if op.name not in ("CONV_2D", "FULLY_CONNECTED"):
            continue
        weights = model.tensors[op.inputs[1]]
        widened = model.producer(weights.index)
        if widened is not None and widened.name == "DEQUANTIZE":  # float16 weights
            weights = model.tensors[widened.inputs[0]]
        values = weights.values()
        # the last axis is that of the input channels
        if values is None or weights.shape[-1] % 4:
            continue
        zeros = (values.reshape(-1, 4) == weights.zero_point).sum(axis=1)
        groups += len(zeros)
        off += int((zeros < 2).sum())
    return groups, off
