"""Anything that turns images into class probabilities: a classifier of a model file, a Keras network, an ensemble."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt


class Predictor(Protocol):
    """A network together with its preprocessing.

    Attributes:
        labels: class names in the order of the outputs.
        size: height and width of the images that it takes, pixels.
    """

    labels: tuple[str, ...]
    size: tuple[int, int]

    def probabilities(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Probabilities float32[N, C] of raw RGB images uint8[N, H, W, 3] of this size."""
        ...
