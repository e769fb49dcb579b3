"""Anything that turns images into class probabilities: a classifier of a model file, a Keras network, an ensemble."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgeclf.errors import RunFailedError


class Predictor(Protocol):
    """A network together with its preprocessing."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the outputs."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images that it takes, pixels."""
        ...

    def probabilities(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Compute the probabilities float32[N, C] of raw RGB images uint8[N, H, W, 3] of this size."""
        ...


def check_numbers(scores: npt.NDArray[np.float32], name: str) -> None:
    """Refuse outputs float32[N, C] that are no numbers: the best of them would be class 0.

    Args:
        scores: what a network computes.
        name: of the network, for the message.

    Raises:
        RunFailedError: one is NaN or infinite.
    """
    wrong = int((~np.isfinite(scores)).any(axis=1).sum())
    if wrong:
        raise RunFailedError(
            f"{name}: what it computes is NaN or infinite for {wrong:,} of {len(scores):,} images; is its network "
            "whole, and do pixels enter it as they did in training (--normalize)?"
        )
