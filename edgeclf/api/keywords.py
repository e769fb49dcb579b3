"""The keywords of `train`, `compress` and `live` that stand for fields of their plans, typed for editors and checkers.

A test keeps each equal to the fields that it stands for; what a field means is in the docstring of its class.
"""

from __future__ import annotations

from typing import TypedDict

from edgeclf.artifact.normalization import Normalization
from edgeclf.streaming.loop.geometry import Geometry
from edgeclf.streaming.loop.settings import Limits, Smoothing


class TrainKeywords(TypedDict, total=False):
    """The fields of `edgeclf.training.config.TrainConfig`."""

    model: str | None
    width: float | None
    image_size: int | tuple[int, int] | None
    fit: str
    epochs: int | None
    batch_size: int | None
    learning_rate: float | None
    optimizer: str | None
    momentum: float
    weight_decay: float | None
    l1: float
    l2: float
    label_smoothing: float
    dropout: float | None
    warmup_epochs: float | None
    early_stopping: int
    augment: str | None
    unaugmented_epochs: float
    flip: bool | None
    balance: str
    from_run: str | None
    weights: str
    mixed_precision: bool | None
    xla: bool
    head_first: bool | None
    first_layer_rate: float | None
    frozen_fraction: float | None
    norm_rates: bool | None
    batch_norm_momentum: float | None
    weight_average: float | None
    quick: bool | None
    teacher: str | None
    teacher_weight: float
    teacher_views: int
    temperature: float
    progressive: bool
    board: str | None
    max_latency: float | None
    max_size: float | None
    seed: int
    name: str | None


class PretrainKeywords(TrainKeywords, total=False):
    """The fields of `edgeclf.training.pretraining.config.PretrainConfig`."""

    method: str


class CompressKeywords(TypedDict, total=False):
    """The settings of edgeclf's own steps and exporters; plugins may add more, which no type checker knows."""

    shrink_fraction: float
    shrink_target_macs: int | None
    shrink_target_latency: float | None
    shrink_target_size: int | None
    shrink_board: str | None
    shrink_criterion: str
    shrink_iterations: int
    shrink_multiple: int
    shrink_minimum: int
    shrink_learning_rate: float
    shrink_epochs: int | None
    shrink_batch_size: int | None
    shrink_distill: float
    shrink_augment: str
    shrink_unaugmented_epochs: float
    prune_fraction: float
    prune_pattern: str | None
    prune_learning_rate: float
    learning_rate: float
    prune_epochs: int | None
    epochs: int | None
    prune_batch_size: int | None
    batch_size: int | None
    prune_distill: float
    distill: float
    prune_augment: str
    augment: str
    prune_unaugmented_epochs: float
    unaugmented_epochs: float
    cluster_clusters: int
    cluster_learning_rate: float
    cluster_epochs: int | None
    cluster_batch_size: int | None
    cluster_distill: float
    cluster_augment: str
    cluster_unaugmented_epochs: float
    qat_learning_rate: float
    qat_epochs: int | None
    qat_batch_size: int | None
    qat_distill: float
    qat_augment: str
    qat_unaugmented_epochs: float
    bias_correction: bool
    equalization: bool
    ranges: str
    rounding: str
    float_layers: tuple[str, ...]
    float_operators: tuple[str, ...]


class BudgetKeywords(TypedDict, total=False):
    """The fields of `edgeclf.compression.budget.limits.Budget`."""

    max_drop: float | None
    max_size: int | None
    max_latency: float | None
    judge: str
    trials: int
    hours: float | None
    storage: str | None
    board: str | None


class CompressOptions(CompressKeywords, BudgetKeywords, total=False):
    """What `compress` takes besides its own parameters."""


class LiveKeywords(TypedDict, total=False):
    """The fields of `edgeclf.streaming.loop.settings.LiveSettings`."""

    camera: str
    size: tuple[int, int] | None
    rate: float | None
    every_frame: bool
    geometry: Geometry
    smoothing: Smoothing
    limits: Limits
    threads: int | None
    runtime: str
    normalization: Normalization | None
    labels: str | tuple[str, ...] | None
    fit: str | None
    web: str | None
    stay: bool
    token: str | None
    window: bool
    heatmap: bool
    record: str | None
    overwrite: bool
    collect: str | None
    collect_quota: int
    on_change: str | None
    mqtt: str | None
