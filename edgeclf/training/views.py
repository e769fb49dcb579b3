"""What a network sees of each image that is drawn for a step, and what it is to find in it: the interface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edgeclf.training.augmentation import Augmentation, Batch, augment


class Views(Protocol):
    """Makes the rows of a step out of the images that were drawn for it."""

    @property
    def copies(self) -> int:
        """Rows made of each image, K; those of one image follow one another."""
        ...

    @property
    def columns(self) -> int | None:
        """Columns of the targets; None: those of the labels."""
        ...

    def draw(self, batch: Batch, recipe: Augmentation, random: np.random.Generator) -> Batch:
        """Make the rows of a batch of N images, which is not changed itself.

        Args:
            batch: images as they are in the data set, with the targets of their labels.
            recipe: what may happen to an image.
            random: generator of all draws.

        Returns:
            K N images, targets and weights.
        """
        ...


@dataclass(frozen=True)
class LabelledViews:
    """One augmented view of each image, with the target of its label."""

    copies: int = 1
    columns: int | None = None

    def draw(self, batch: Batch, recipe: Augmentation, random: np.random.Generator) -> Batch:
        """Augment the images (see `augment`)."""
        return augment(batch, recipe, random)


LABELLED = LabelledViews()
