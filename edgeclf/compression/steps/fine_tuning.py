"""The settings of the short training that pruning, clustering and quantization-aware training share."""

from __future__ import annotations

from dataclasses import dataclass

from edgeclf.errors import InputError, UnknownNameError
from edgeclf.records import Record
from edgeclf.training.config import AUGMENT_LEVELS


@dataclass(frozen=True)
class FineTuning(Record):
    """How a step trains.

    Args:
        learning_rate: peak of the cosine for Adam.
        epochs: passes over the training split; None: chosen by its size.
        batch_size: images a step; None: by their number and size (see `fine_tune.automatic_batch`).
        distill: fraction of the float network's own probabilities in the training targets (Hinton et al., 2015,
            arXiv:1503.02531); 0: labels alone.
        augment: level of the augmentation.
        unaugmented_epochs: fraction of the epochs, at the end, that see unaugmented images (horizontal flips stay);
            more than in the float training, since on large data there are but three to five epochs.

    Raises:
        InputError: a value is out of range.
    """

    learning_rate: float = 2e-4
    epochs: int | None = None
    batch_size: int | None = None
    distill: float = 0.7
    augment: str = "light"
    unaugmented_epochs: float = 0.4

    def __post_init__(self) -> None:
        self.check_types()
        if not 0 < self.learning_rate <= 1:
            raise InputError(f"learning_rate must be above 0 and at most 1, got {self.learning_rate:g}")
        if self.epochs is not None and self.epochs < 0:
            raise InputError(f"epochs must be at least 0, got {self.epochs}")
        if self.batch_size is not None and self.batch_size < 1:
            raise InputError(f"batch_size must be at least 1, got {self.batch_size}")
        for name in ("distill", "unaugmented_epochs"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be 0 to 1, got {getattr(self, name):g}")
        if self.augment not in AUGMENT_LEVELS:
            raise UnknownNameError("augmentation level", self.augment, AUGMENT_LEVELS)
