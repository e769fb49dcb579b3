"""What an epoch sees of the images: how large they are, and how they are augmented."""

from __future__ import annotations

from edgeclf.training.augmentation import Augmentation
from edgeclf.training.config import TrainConfig


def image_size_at(config: TrainConfig, epoch: int) -> tuple[int, int]:
    """Return height and width of the images of an epoch (from 0), pixels; the aspect ratio stays, to multiples of 8.

    The last epoch has the images at their size, however few there are.
    """
    height, width = config.input_shape.size
    epochs = config.epochs or 1
    done = epoch / epochs
    if not config.progressive or done >= 0.6 or epoch == epochs - 1:
        return height, width
    part = 0.5 if done < 0.25 else 0.75
    return max(8, round(height * part / 8) * 8), max(8, round(width * part / 8) * 8)


def augmentation_at(recipe: Augmentation, epoch: int, epochs: int, unaugmented_epochs: float) -> Augmentation:
    """Return the augmentation of an epoch.

    Args:
        recipe: of the training.
        epoch: from 0.
        epochs: of the whole training.
        unaugmented_epochs: fraction of them, the last ones, in which only flips remain.
    """
    return recipe.flips_only() if epoch >= first_unaugmented(epochs, unaugmented_epochs) else recipe


def first_unaugmented(epochs: int, unaugmented_epochs: float) -> int:
    """Return the epoch (from 0) from which on images are unaugmented; `epochs` where none are."""
    return epochs - round(unaugmented_epochs * epochs)
