"""Bounds how many images a network is called with at once."""

from __future__ import annotations

SIDE = 224
"""Pixels a side up to which a batch is as large as asked for."""


def bounded_batch(most: int, height: int, width: int) -> int:
    """Return how many images of a size are predicted at once: `most`, or fewer where they have more pixels than usual.

    Activations grow with the pixels: a first layer of 96 channels at 256x256 takes 5 GB for 200 images.

    Args:
        most: for images of up to 224x224 pixels.
        height: pixels, of all views of an object together.
        width: pixels.
    """
    return max(1, min(most, most * SIDE * SIDE // (height * width)))
