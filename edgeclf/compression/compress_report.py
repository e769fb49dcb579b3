"""What `compress` made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgeclf.inference.input_range import InputRange
from edgeclf.records import Record


@dataclass(frozen=True)
class CompressedModel(Record):
    """One model file.

    Attributes:
        path: the `.tflite`.
        recipe: its short name, such as `qat-int8`.
        size_bytes: of the file with labels, provenance and samples.
        gzip_bytes: of the file compressed.
        top1: share of right answers of the emitted file on `split`; None without data.
        split: `validation`, else `test`; None without data.
        sparsity: share of zeros among all weights in the file.
        distinct_weights_max: most distinct values in one weight tensor.
        distinct_weights_per_channel_max: most distinct values in one output channel of a weight tensor.
        float_top1: of the float network on the same images; None where it was not measured.
        tensors: each weight tensor's name, elements, sparsity, distinct values in all and per channel.
        notes: what a person should know, one line each.
        seconds: that it took.
        network_input: what pixel values 0 and 255 become before they enter the float network, and who says so.
    """

    path: str
    recipe: str
    size_bytes: int
    gzip_bytes: int
    top1: float | None
    split: str | None
    sparsity: float | None
    distinct_weights_max: int | None
    distinct_weights_per_channel_max: int | None = None
    float_top1: float | None = None
    tensors: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    network_input: InputRange | None = None


@dataclass(frozen=True)
class CompressReport(Record):
    """All models of one call."""

    models: tuple[CompressedModel, ...]
    notes: tuple[str, ...] = ()
