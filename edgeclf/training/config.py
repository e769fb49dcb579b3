"""The configuration of a training run: a frozen value, recorded in `run.json`."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, cast

from edgeclf.errors import InputError, UnknownNameError
from edgeclf.image.shape import (
    STRETCH,
    ImageSize,
    InputShape,
    check_fit,
    check_image_size,
    plain_size,
    show_size,
)
from edgeclf.records import Record

AUGMENT_LEVELS = ("none", "light", "standard", "strong", "strongest", "views")
BALANCE_MODES = ("none", "weights", "over", "under")
OPTIMIZERS = ("sgd", "muon", "adam", "adamw")
LARGEST_SEED = 2**31 - 1
SHAPE = ("model", "width", "image_size")
"""Settings that make up the network's shape; their values are those for which there are weights, or that fit limits."""
QUICK = (*SHAPE, "balance", "fit")
"""Settings of a training that have an effect where only the classifier is fitted."""


@dataclass(frozen=True)
class TrainConfig(Record):
    """Settings of a training run. None means: chosen by the data (see `defaults.complete`; `mixed_precision` by the
    processor), and recorded as chosen.

    Args:
        model: name of a network, a key of `networks.NETWORKS`.
        width: width multiplier, for networks that have one.
        image_size: side of the square input, pixels, or (height, width); multiples of 8.
        fit: how pictures of another shape come to the input: `stretch`, `crop` (the largest central region of its
            aspect ratio) or `pad` (the whole picture, letterboxed in gray); of point clouds and meshes `views1` to
            `views64`, the directions that they are seen from (`views6` where none is set). The model file states it.
        epochs: passes over the training split.
        batch_size: images a step, over all replicas.
        learning_rate: peak of the schedule (linear warm-up, then half a cosine to zero; Loshchilov and Hutter, 2017).
        optimizer: `sgd` (Nesterov momentum), `muon` (for convolutions that batch normalization follows, and `sgd` for
            the rest; see `muon`), `adam` or `adamw`.
        momentum: of `sgd` and `muon`.
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
        head_first: fit the classifier on frozen features before the first epoch (Kumar et al., 2022, arXiv:2202.10054);
            for pretrained networks.
        first_layer_rate: learning rate of the first layer, as a fraction of that of the classifier; those between rise
            geometrically (Howard and Ruder, 2018, arXiv:1801.06146).
        frozen_fraction: of the convolutions, the first ones, that are not trained (see `freezing.freeze_first`), for
            pretrained networks.
        norm_rates: learning rate of each convolution in proportion to the squared norm of its filters (see
            `optimizers.layer_factors`), for pretrained networks.
        batch_norm_momentum: of the running statistics of batch normalization, a step; networks of keras.applications
            come with 0.99 or 0.999, whose statistics lag behind the weights in a training of a few hundred steps.
        weight_average: decay a step of a moving average of the weights, which is validated and kept, less in the first
            steps (see `optimizers`); 0: none.
        quick: fit the classifier on frozen features, and train nothing else; None: where photos are very few and all
            else is left open (see `fine_tuning`).
        teacher: what is learned from beside the labels: a run folder, a `.keras`, `.h5` or `.tflite` file of a network
            that knows the same classes, an ensemble of them (its folder, or `RUN+RUN`), or the `.npz` of recorded
            predictions (see `teacher`).
        teacher_weight: fraction of the loss that is the teacher's.
        teacher_views: what the teacher predicts of each image. 1: the image as it is; K: K augmented views as well,
            drawn once, of which training sees one each time (see `soft_targets`).
        temperature: at which both softmaxes are compared (Hinton et al., 2015, arXiv:1503.02531).
        progressive: begin with small images: half the side in the first quarter of the epochs, three quarters until
            60 % (Howard et al., DAWNBench 2018; Tan and Le, 2021, arXiv:2104.00298). About a third less work.
        board: what the model is for, whose budget the network is chosen by: a key of `budget.limits.BOARDS`, or the
            `bench.json` of a board, for `max_latency` there; None: photos get the budget of a Raspberry Pi 4.
        max_latency: milliseconds that one image may take the int8 model, on one thread: on this machine, or on the
            board whose `bench.json` is given.
        max_size: kilobytes (of 1000 bytes) that the int8 file may have.
        seed: of initialization, order and augmentation. Not of the split, which has its own.
        name: name of the run; None: data and network.
    """

    model: str | None = None
    width: float | None = None
    image_size: ImageSize | None = None
    fit: str = STRETCH
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
    head_first: bool | None = None
    first_layer_rate: float | None = None
    frozen_fraction: float | None = None
    norm_rates: bool | None = None
    batch_norm_momentum: float | None = None
    weight_average: float | None = None
    quick: bool | None = None
    teacher: str | None = None
    teacher_weight: float = 0.5
    teacher_views: int = 1
    temperature: float = 2.0
    progressive: bool = False
    board: str | None = None
    max_latency: float | None = None
    max_size: float | None = None
    seed: int = 0
    name: str | None = None

    def __post_init__(self) -> None:
        _check_choice("augment", self.augment, AUGMENT_LEVELS)
        _check_choice("balance", self.balance, BALANCE_MODES)
        _check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_fit(self.fit)
        if self.image_size is not None:
            self._settle_size(self.image_size)
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
        _check_range("first_layer_rate", self.first_layer_rate, 1e-6, 1)
        _check_range("frozen_fraction", self.frozen_fraction, 0, 0.95)
        _check_range("batch_norm_momentum", self.batch_norm_momentum, 0, 0.9999)
        _check_range("weight_average", self.weight_average, 0, 0.99999)
        _check_range("teacher_weight", self.teacher_weight, 0, 1)
        _check_range("teacher_views", self.teacher_views, 1, 1000)
        if type(self.teacher_views) is not int:
            raise InputError(f"teacher_views must be a whole number, got {self.teacher_views}")
        _check_range("temperature", self.temperature, 0.5, 20)
        _check_range("max_latency", self.max_latency, 1e-3, 1e5)
        _check_range("max_size", self.max_size, 1, 1e6)
        check_seed(self.seed)
        if self.quick and self.epochs not in (None, 1):
            raise InputError(f"quick trains no epochs, got epochs {self.epochs}; leave --epochs or --quick out")
        if self.quick and self.teacher is not None:
            raise InputError("quick fits the classifier to the labels alone; leave --teacher or --quick out")
        for name in ("weight_decay", "l1", "l2"):
            _check_range(name, getattr(self, name), 0, 1)

    @property
    def input_shape(self) -> InputShape:
        """Size of the input, 32 pixels where it is not chosen yet, and how pictures come to it."""
        return InputShape(*check_image_size(self.image_size or 32), self.fit)

    def _settle_size(self, given: ImageSize) -> None:
        """Check the input size, and keep one number where it is square."""
        sides = check_image_size(given)
        for side in sides:
            _check_range("image_size", side, 8, 1024)
            if side % 8:
                shown = side if sides[0] == sides[1] else f"{show_size(sides)} (width × height)"
                raise InputError(f"image_size must be a multiple of 8, got {shown}")
        object.__setattr__(self, "image_size", plain_size(*sides))

    def list_given(self, named: Collection[str] = ()) -> frozenset[str]:
        """List the settings that the user gave: all that differ from their defaults, and what is set among `named`."""
        default, values = type(self)().to_dict(), self.to_dict()
        return frozenset(
            name for name, value in values.items() if value != default[name] or (name in named and value is not None)
        )

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


def check_seed(seed: int) -> None:
    """Raise InputError where TensorFlow or NumPy would not take a seed."""
    if not 0 <= seed <= LARGEST_SEED:
        raise InputError(f"seed must be between 0 and {LARGEST_SEED}, got {seed}")


def _check_choice(name: str, value: str | None, choices: tuple[str, ...]) -> None:
    if value is not None and value not in choices:
        raise UnknownNameError(name, value, choices)


def _check_range(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise InputError(f"{name} must be between {low:g} and {high:g}, got {value:g}")
