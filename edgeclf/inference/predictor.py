"""Anything that turns images into class probabilities: a classifier of a model file, a Keras network, an ensemble."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt


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
