"""Soft targets of distillation: what a teacher predicts for each image, and for fixed augmented views of it.

A network that sees an image shifted and mirrored, and is to give what the teacher predicts for the image as it is,
learns that the change means nothing; shown a view together with what the teacher predicts for this view, it learns the
teacher's function, and gains by long trainings (Beyer et al., 2022, arXiv:2106.05237). A teacher that predicts in every
step would cost several times the training itself, so each image has a number of views that are drawn once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeclf.training.augmentation import Augmentation, Batch, Images, Moves, augment, move

Floats = npt.NDArray[np.float32]
SMALLEST_PROBABILITY = 1e-7
"""What a probability counts as at least, whose logarithm is taken."""


def soften(probabilities: npt.NDArray[np.float32], temperature: float) -> npt.NDArray[np.float32]:
    """Flatten probabilities float32[N, C] as a softmax at `temperature` does: powers of 1/temperature, normalized."""
    logarithms = np.log(np.maximum(probabilities.astype(np.float64), SMALLEST_PROBABILITY)) / temperature
    powers = np.exp(logarithms - logarithms.max(axis=1, keepdims=True))
    soft: npt.NDArray[np.float32] = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return soft


@dataclass(frozen=True)
class FixedViews:
    """Augmented views that are the same whenever they are drawn: functions of the image's file and their number.

    At another size of the same image they show the same, but for the rounding of pixels; where its sides have another
    ratio, rotations and erased squares differ.

    Args:
        recipe: what may happen to an image; images are not mixed with others.
        count: of views, K.
    """

    recipe: Augmentation
    count: int

    def draw(self, images: Images, contents: Sequence[str], numbers: npt.NDArray[np.int64]) -> Images:
        """Draw one view of each image.

        Args:
            images: uint8[N, H, W, 3].
            contents: N content hashes.
            numbers: int64[N], which view, from 0.
        """
        generators = (_generator(content, int(number)) for content, number in zip(contents, numbers, strict=True))
        if self.recipe.only_moves:  # all at once, since one after the other they take as long as a small network's step
            return move(images, self._draw_moves(images, [*generators]))
        drawn = np.empty_like(images)
        nothing = np.zeros(1, np.float32)
        for row, random in enumerate(generators):
            drawn[row] = augment(Batch(images[row : row + 1], nothing, nothing), self.recipe, random).images[0]
        return drawn

    def _draw_moves(self, images: Images, generators: Sequence[np.random.Generator]) -> Moves:
        size = images.shape[1], images.shape[2]
        draws = [Moves.draw(1, size, self.recipe, random) for random in generators]
        mirrored, tops, lefts = (
            np.concatenate([getattr(one, name) for one in draws]) for name in ("mirrored", "tops", "lefts")
        )
        return Moves(mirrored, tops, lefts, draws[0].down, draws[0].right)


def _generator(content: str, number: int) -> np.random.Generator:
    """Make the generator of one view of an image, by its content hash."""
    seed = int.from_bytes(hashlib.blake2b(content.encode(), digest_size=8).digest(), "little")
    return np.random.default_rng([seed, number])


@dataclass(frozen=True)
class SoftTargets:
    """What a teacher predicts for the training images, in their order.

    Args:
        probabilities: float32[N, C], for each image.
        contents: N content hashes.
        views: that the teacher has seen, too; None: none.
        of_views: float32[N, K, C], what it predicts for each of them; None where there are none.
        temperature: at which they are given.
    """

    probabilities: Floats
    contents: tuple[str, ...]
    views: FixedViews | None = None
    of_views: Floats | None = None
    temperature: float = 1.0

    def choose(
        self, images: Images, rows: npt.NDArray[np.int64], recipe: Augmentation, random: np.random.Generator
    ) -> tuple[Images, Floats, Augmentation]:
        """Choose what a step sees of its images, and what the teacher predicts for that.

        Args:
            images: uint8[N, H, W, 3], as they are in the data set.
            rows: int64[N], their numbers in the training split.
            recipe: what may happen to them.
            random: generator of the draws.

        Returns:
            The images, or views of them; float32[N, C], softened; and what may still happen to the images: `recipe`,
            or, for views that are drawn by it, the mixing alone.
        """
        if self.views is None or self.of_views is None or recipe.unmixed() != self.views.recipe:
            return images, soften(self.probabilities[rows], self.temperature), recipe
        numbers = random.integers(0, self.views.count, len(rows))
        drawn = self.views.draw(images, [self.contents[row] for row in rows], numbers)
        return drawn, soften(self.of_views[rows, numbers], self.temperature), recipe.mixing_only()
