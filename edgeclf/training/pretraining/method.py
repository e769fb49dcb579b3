"""What is known of a way to learn from images without labels: one value a method; importing loads no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgeclf.dataset.probing import DataProbe
from edgeclf.training.augmentation import Augmentation
from edgeclf.training.config import TrainConfig
from edgeclf.training.defaults import estimate_training_images
from edgeclf.training.objective import Objective

FEWEST_IMAGES = 16
"""Photos below which there is nothing to learn from: a batch, and the statistics over it, would be smaller."""
FEWEST_EPOCHS, MOST_EPOCHS = 10, 100


def accept(config: TrainConfig) -> None:
    """Refuse nothing."""


@dataclass(frozen=True)
class Method:
    """One entry of `METHODS`.

    Args:
        make: the objective, of the augmentation.
        paper: where it comes from.
        pretext: what the network is to find, for reports.
        augment: level of `augmentation.LEVELS`.
        batch_size: images a step.
        learning_rate: peak of the schedule.
        steps: of the whole training, from which the epochs follow.
        optimizer: its name.
        weight_decay: decoupled.
        check: refuses settings that the method cannot take.
    """

    make: Callable[[Augmentation], Objective]
    paper: str
    pretext: str
    augment: str
    batch_size: int
    learning_rate: float
    steps: int
    optimizer: str = "adam"
    weight_decay: float = 0.0
    check: Callable[[TrainConfig], None] = accept

    def complete(self, config: TrainConfig, probe: DataProbe) -> TrainConfig:
        """Return `config` with those open settings chosen that depend on the method."""
        images = estimate_training_images(probe)
        batch = config.batch_size or self.batch_size
        epochs = round(self.steps / max(1, images // batch))
        own = (config.optimizer or self.optimizer) == self.optimizer
        settings = {
            "batch_size": batch,
            "epochs": min(max(epochs, FEWEST_EPOCHS), MOST_EPOCHS),
            "optimizer": self.optimizer,
            "learning_rate": self.learning_rate if own else None,
            "weight_decay": self.weight_decay if own else None,
            "augment": self.augment,
            "dropout": 0.0,
        }
        return config.replace(**{name: value for name, value in settings.items() if getattr(config, name) is None})
