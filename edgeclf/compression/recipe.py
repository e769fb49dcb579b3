"""What is done to a network: a frozen value with a short name that is written beside the model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeclf.compression.export.formats import FORMATS
from edgeclf.errors import InputError, UnknownNameError
from edgeclf.records import Record
from edgeclf.training.config import AUGMENT_LEVELS

DEFAULT_FORMATS = ("int8", "float16")
PATTERNS = {"2:4": 0.5}
"""Structured sparsity: zeros among each four neighbours, and the share that this makes."""
_PART = re.compile(r"prune(?P<share>\d+(\.\d+)?)|prune(?P<zeros>\d)of(?P<of>\d)|cluster(?P<clusters>\d+)|(?P<qat>qat)")


@dataclass(frozen=True)
class Recipe(Record):
    """One model's way from float to file.

    Args:
        format: one of `FORMATS`.
        qat: quantization-aware training; int8 only.
        prune: share of zeros among the weights, 0 to 1.
        pattern: `2:4` makes two of each four neighbouring weights zero; then `prune` is 0.5.
        cluster: number of distinct values a weight tensor.
        prune_epochs: of the training that prunes; None: by the size of the data. So are the other two.
        cluster_epochs: of the training after clustering.
        qat_epochs: of the quantization-aware training.
        prune_learning_rate: peak of the cosine for Adam.
        cluster_learning_rate: peak of the cosine for Adam.
        qat_learning_rate: peak of the cosine for Adam.
        batch_size: images a step.
        distill: share of the float network's own probabilities in the training targets (Hinton et al., 2015,
            arXiv:1503.02531); 0: labels alone.
        augment: level of the augmentation while training.
        settle: share of the epochs, at the end of each training, that see images as they are, flips apart; more than in
            the float training, since on large data there are but three to five of them.
        bias_correction: after calibration, take back the mean error that rounding left in each layer.

    Raises:
        InputError: a value is out of range, or two do not go together.
    """

    format: str = "int8"
    qat: bool = False
    prune: float | None = None
    pattern: str | None = None
    cluster: int | None = None
    prune_epochs: int | None = None
    cluster_epochs: int | None = None
    qat_epochs: int | None = None
    prune_learning_rate: float = 1e-3
    cluster_learning_rate: float = 2e-4
    qat_learning_rate: float = 2e-4
    batch_size: int = 128
    distill: float = 0.7
    augment: str = "light"
    settle: float = 0.4
    bias_correction: bool = True

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise UnknownNameError("format", self.format, FORMATS)
        if self.qat and not FORMATS[self.format].carries_ranges:
            raise InputError(f"quantization-aware training makes int8 models, got {self.format}; run it apart")
        if self.pattern is not None:
            if self.pattern not in PATTERNS:
                raise UnknownNameError("pruning pattern", self.pattern, PATTERNS)
            object.__setattr__(self, "prune", PATTERNS[self.pattern])
        if self.prune is not None and not 0 < self.prune < 1:
            raise InputError(f"prune must be between 0 and 1 (the share of zeros) or 2:4, got {self.prune:g}")
        if self.cluster is not None and not 3 <= self.cluster <= 256:
            raise InputError(f"cluster must be 3 to 256 distinct weights, got {self.cluster}")
        if not 0 <= self.distill <= 1:
            raise InputError(f"distill must be 0 to 1, got {self.distill:g}")
        if self.augment not in AUGMENT_LEVELS:
            raise UnknownNameError("augmentation level", self.augment, AUGMENT_LEVELS)
        if not 0 <= self.settle <= 1:
            raise InputError(f"settle must be 0 to 1, got {self.settle:g}")
        if self.batch_size < 1:
            raise InputError(f"batch_size must be at least 1, got {self.batch_size}")
        for name in ("prune", "cluster", "qat"):
            epochs, rate = getattr(self, f"{name}_epochs"), getattr(self, f"{name}_learning_rate")
            if epochs is not None and epochs < 0:
                raise InputError(f"{name}_epochs must be at least 0, got {epochs}")
            if not 0 < rate <= 1:
                raise InputError(f"{name}_learning_rate must be above 0 and at most 1, got {rate:g}")

    @property
    def name(self) -> str:
        """Short name, such as `int8`, `qat-int8`, `prune50-cluster16-qat-int8`."""
        parts = []
        if self.pattern is not None:
            parts.append("prune" + self.pattern.replace(":", "of"))
        elif self.prune is not None:
            parts.append(f"prune{100 * self.prune:g}")
        if self.cluster is not None:
            parts.append(f"cluster{self.cluster}")
        if self.qat:
            parts.append("qat")
        return "-".join([*parts, self.format])

    @property
    def trains(self) -> bool:
        """Whether images with labels are trained on."""
        return self.qat or self.prune is not None or self.cluster is not None

    @property
    def calibrates(self) -> bool:
        """Whether training images set quantization ranges."""
        return FORMATS[self.format].calibrates


def parse_recipe(name: str) -> Recipe:
    """The recipe that a short name stands for.

    Raises:
        InputError: it stands for none.
    """
    *parts, last = name.strip().lower().split("-")
    if last not in FORMATS:
        raise UnknownNameError("recipe", name, FORMATS)
    values: dict[str, Any] = {"format": last}
    for part in parts:
        found = _PART.fullmatch(part)
        if found is None:
            raise InputError(f"recipe {name!r}: {part!r} is none of prune50, prune2of4, cluster16, qat")
        if found["share"]:
            values["prune"] = float(found["share"]) / 100
        elif found["zeros"]:
            values["pattern"] = f"{found['zeros']}:{found['of']}"
        elif found["clusters"]:
            values["cluster"] = int(found["clusters"])
        else:
            values["qat"] = True
    return Recipe(**values)


def choose_recipes(
    formats: Sequence[str] = (),
    *,
    qat: bool = False,
    prune: str | float | None = None,
    cluster: int | None = None,
    io: str = "uint8",
    **settings: Any,
) -> tuple[Recipe, ...]:
    """What the flags of the command line stand for: one recipe a format, each with all changes.

    Args:
        formats: of `FORMATS`; none: int8 where something is changed or `io` is int8, else `DEFAULT_FORMATS`.
        qat: quantization-aware training.
        prune: share of zeros, or `2:4`.
        cluster: number of distinct weights a tensor.
        io: input and output type; `int8` goes with int8 models alone.
        settings: other fields of `Recipe`.

    Raises:
        InputError: the flags do not go together.
    """
    changed = qat or prune is not None or cluster is not None or io == "int8"
    chosen = tuple(dict.fromkeys(formats)) or (("int8",) if changed else DEFAULT_FORMATS)
    values = {"qat": qat, "cluster": cluster, **_pruning(prune), **settings}
    return tuple(Recipe(format=name, **values) for name in chosen)


def _pruning(prune: str | float | None) -> dict[str, Any]:
    if isinstance(prune, str) and ":" in prune:
        return {"pattern": prune.strip()}
    try:
        return {"prune": None if prune is None else float(prune)}
    except ValueError:
        raise InputError(f"prune must be a share of zeros such as 0.5, or 2:4, got {prune!r}") from None
