"""What `compress` made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edgeclf.artifact.fitted_probabilities import FittedProbabilities
from edgeclf.compression.budget.report import SearchReport
from edgeclf.compression.layer_sensitivity import SensitivityReport
from edgeclf.image.shape import STRETCH
from edgeclf.inference.input_range import InputRange
from edgeclf.measure.speed import Speed
from edgeclf.records import Record


@dataclass(frozen=True)
class CompressedModel(Record):
    """One model file.

    Attributes:
        path: of the file.
        recipe: its short name, such as `qat-int8`.
        size_bytes: of the model with labels, provenance and samples.
        gzip_bytes: of the file compressed.
        top1: fraction of correct predictions of the exported file on `split`; None without data.
        split: `validation`, else `test`; None without data.
        sparsity: fraction of zeros among all weights in the file.
        distinct_weights_max: most distinct values in one weight tensor.
        distinct_weights_per_channel_max: most distinct values in one output channel of a weight tensor.
        float_top1: of the float network on the same images; None where it was not measured.
        images: of `split` that top-1 was measured on; None without data.
        top1_interval: Wilson's 95 % interval of `top1`.
        float_top1_interval: the same of `float_top1`.
        difference: `top1` minus `float_top1`, on the same images.
        difference_interval: 95 % interval of it, which excludes zero where `p_value` is below 0.05, and nowhere else.
        p_value: McNemar's exact one.
        lost: images that the float network predicts correctly and the model wrongly; None where neither was counted.
        gained: images the other way round.
        speed: measured when the model was made, on this machine; None where it was not measured.
        written_bytes: of the file that was written: `size_bytes`, unless the exporter encodes the model (C source).
        tensors: each weight tensor's name, elements, sparsity, distinct values in all and per channel.
        notes: warnings and remarks, one line each.
        seconds: that it took.
        selected_on: whether the images of `split` also chose the epoch that was kept, in the float training or in that
            of a step, so that `top1` is optimistic; None without data.
        digest: SHA-256 of all settings of the recipe.
        network_input: how pixels enter the float network, and where that is known from; the file takes raw ones.
        fit: how pictures of another shape come to the input: `stretch`, `crop` or `pad`.
        agreement: fraction of the images of a split without labels for which the file and the float network predict the
            same class; None where the labels are known.
        probabilities: temperature, threshold and feature space, fitted on validation images; None: they were not.
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
    selected_on: bool | None = None
    digest: str = ""
    images: int | None = None
    top1_interval: tuple[float, float] | None = None
    float_top1_interval: tuple[float, float] | None = None
    difference: float | None = None
    difference_interval: tuple[float, float] | None = None
    p_value: float | None = None
    lost: int | None = None
    gained: int | None = None
    speed: Speed | None = None
    written_bytes: int | None = None
    fit: str = STRETCH
    agreement: float | None = None
    probabilities: FittedProbabilities | None = None


@dataclass(frozen=True)
class CompressReport(Record):
    """All models of one call.

    Attributes:
        models: in the order of the recipes.
        notes: on the data and the source, one line each.
        sensitivity: what each layer of the float network loses in 8 bits; None where it was not asked for.
        in_training: by split, how many of its images were seen in training, too; empty without data.
        search: how the model was found, where a budget was given; None: the recipes were.
    """

    models: tuple[CompressedModel, ...]
    notes: tuple[str, ...] = ()
    in_training: dict[str, int] = field(default_factory=dict)
    sensitivity: SensitivityReport | None = None
    search: SearchReport | None = None
