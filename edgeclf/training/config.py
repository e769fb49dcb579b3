"""The configuration of a training run: a frozen value, recorded in `run.json`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, cast

from edgeclf.errors import InputError, UnknownNameError
from edgeclf.records import Record

AUGMENT_LEVELS = ("none", "light", "standard", "strong", "strongest")
BALANCE_MODES = ("none", "weights", "over", "under")
OPTIMIZERS = ("sgd", "adam", "adamw")


@dataclass(frozen=True)
class TrainConfig(Record):
    """Settings of a training run. None means: chosen by the data (see `defaults.complete`; `mixed_precision` by the
    processor), and recorded as chosen.

    Args:
        model: name of a network, a key of `networks.NETWORKS`.
        width: width multiplier, for networks that have one.
        image_size: side of the square input, pixels; a multiple of 8.
        epochs: passes over the training split.
        batch_size: images a step, over all replicas.
        learning_rate: peak of the schedule (linear warm-up, then half a cosine to zero; Loshchilov and Hutter, 2017).
        optimizer: `sgd` (Nesterov momentum), `adam` or `adamw`.
        momentum: of `sgd`.
        weight_decay: decoupled (Loshchilov and Hutter, 2019): a step takes `learning_rate * weight_decay * weight`.
        l1: L1 penalty on kernels.
        l2: L2 penalty on kernels.
        label_smoothing: fraction of the target spread over all classes (Szegedy et al., 2016).
        dropout: rate before the classifier.
        warmup_epochs: length of the linear warm-up; may be a fraction.
        early_stopping: epochs without a better validation top-1 after which training ends; 0: never. The unaugmented
            epochs may then never be reached.
        augment: level of `augmentation.LEVELS`.
        unaugmented_epochs: fraction of the epochs, the last ones, that see unaugmented images (only flips remain),
            since images in use are neither shifted nor erased (He et al., 2019, arXiv:1909.09148).
        flip: horizontal flips; None: those of the level, except for written characters.
        balance: `weights` (loss by inverse class frequency), `over` or `under` (sampling), or `none`.
        from_run: run folder of an earlier training to grow from, where photos or classes were added: its weights and
            settings are taken over (see `parent_run`).
        weights: `.h5`, `.keras` or `.tflite` file of a pretrained network, a run folder, `auto` or `none`.
        mixed_precision: bfloat16 activations; None: where that trains faster (see `precision`).
        xla: compile the step with XLA.
        progressive: begin with small images: half the side in the first quarter of the epochs, three quarters until
            60 % (Howard et al., DAWNBench 2018; Tan and Le, 2021, arXiv:2104.00298). About a third less work.
        seed: of initialization, order and augmentation. Not of the split, which has its own.
        name: name of the run; None: data and network.
    """

    model: str | None = None
    width: float | None = None
    image_size: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    optimizer: str | None = None
    momentum: float = 0.9
    weight_decay: float | None = None
    l1: float = 0.0
    l2: float = 0.0
    label_smoothing: float = 0.05
    dropout: float | None = None
    warmup_epochs: float | None = None
    early_stopping: int = 0
    augment: str | None = None
    unaugmented_epochs: float = 0.2
    flip: bool | None = None
    balance: str = "none"
    from_run: str | None = None
    weights: str = "auto"
    mixed_precision: bool | None = None
    xla: bool = False
    progressive: bool = False
    seed: int = 0
    name: str | None = None

    def __post_init__(self) -> None:
        _check_choice("augment", self.augment, AUGMENT_LEVELS)
        _check_choice("balance", self.balance, BALANCE_MODES)
        _check_choice("optimizer", self.optimizer, OPTIMIZERS)
        _check_range("image_size", self.image_size, 8, 1024)
        if self.image_size is not None and self.image_size % 8:
            raise InputError(f"image_size must be a multiple of 8, got {self.image_size}")
        _check_range("width", self.width, 0.05, 4)
        _check_range("epochs", self.epochs, 1, 100_000)
        _check_range("batch_size", self.batch_size, 1, 65_536)
        _check_range("learning_rate", self.learning_rate, 1e-8, 100)
        _check_range("momentum", self.momentum, 0, 0.9999)
        _check_range("label_smoothing", self.label_smoothing, 0, 0.9)
        _check_range("dropout", self.dropout, 0, 0.95)
        _check_range("warmup_epochs", self.warmup_epochs, 0, 1000)
        _check_range("early_stopping", self.early_stopping, 0, 100_000)
        _check_range("unaugmented_epochs", self.unaugmented_epochs, 0, 1)
        _check_range("seed", self.seed, 0, 2**31 - 1)
        for name in ("weight_decay", "l1", "l2"):
            _check_range(name, getattr(self, name), 0, 1)

    def replace(self, **changes: object) -> TrainConfig:
        """Return a copy with `changes`.

        Raises:
            UnknownNameError: there is no such setting.
            InputError: a value cannot be used.
        """
        known = [field.name for field in dataclasses.fields(self)]
        for name in changes:
            if name not in known:
                raise UnknownNameError("setting", name, known)
        return dataclasses.replace(self, **cast(dict[str, Any], changes))


def _check_choice(name: str, value: str | None, choices: tuple[str, ...]) -> None:
    if value is not None and value not in choices:
        raise UnknownNameError(name, value, choices)


def _check_range(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise InputError(f"{name} must be between {low:g} and {high:g}, got {value:g}")
