"""What an epoch sees of the images: how large they are, and what happens to them."""

from __future__ import annotations

from edgeclf.training.augmentation import Augmentation
from edgeclf.training.config import TrainConfig


def image_size_at(config: TrainConfig, epoch: int) -> int:
    """Side of the images of an epoch (from 0), pixels."""
    whole, share = config.image_size or 32, epoch / (config.epochs or 1)
    if not config.progressive or share >= 0.6:
        return whole
    return max(8, round(whole * (0.5 if share < 0.25 else 0.75) / 8) * 8)


def augmentation_at(recipe: Augmentation, epoch: int, epochs: int, settle: float) -> Augmentation:
    """The augmentation of an epoch.

    Args:
        recipe: of the training.
        epoch: from 0.
        epochs: of the whole training.
        settle: share of them, at the end, that see images as they are, flips apart.
    """
    return recipe.settled() if epoch >= first_settled(epochs, settle) else recipe


def first_settled(epochs: int, settle: float) -> int:
    """The epoch (from 0) from which on images are seen as they are; `epochs` where none are."""
    return epochs - round(settle * epochs)
