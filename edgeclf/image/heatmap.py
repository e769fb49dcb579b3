"""Draws a map of evidence over the picture that it belongs to."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import numpy.typing as npt

from edgeclf.image.drawing import Pixels
from edgeclf.image.shape import Box, InputShape

Floats = npt.NDArray[np.float32]

STRONGEST = 0.6
"""How much of the picture the colour hides where the evidence is strongest; where there is none it hides nothing."""


def positive_part(values: Floats) -> Floats:
    """Scale a map to 0..1 of its highest value; what speaks against the class becomes 0 (the ReLU of Grad-CAM)."""
    kept = np.maximum(np.nan_to_num(values), 0)
    highest = float(kept.max(initial=0.0))
    return np.asarray(kept / highest if highest > 0 else kept, np.float32)


def place_map(values: Floats, height: int, width: int, shape: InputShape) -> tuple[Pixels, Box]:
    """Bring the positive part of a map over a network's input to the picture that was fitted to that input.

    Args:
        values: float32[h, w] over the whole input.
        height: of the picture, pixels.
        width: of the picture, pixels.
        shape: of the input, with its fit.

    Returns:
        uint8[bottom - top, right - left], bilinear, 255 at the highest value; and the box of the picture it covers.
    """
    levels = np.asarray(np.rint(positive_part(values) * 255), np.uint8)
    box = left, top, right, bottom = shape.seen_box(height, width)
    x, y, x_end, y_end = shape.filled_box(height, width)
    if (x, y, x_end, y_end) != (0, 0, shape.width, shape.height):
        whole = cv2.resize(levels, (shape.width, shape.height), interpolation=cv2.INTER_LINEAR)
        levels = np.ascontiguousarray(whole[y:y_end, x:x_end], np.uint8)
    return np.asarray(cv2.resize(levels, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR), np.uint8), box


def draw_map(picture: Pixels, values: Floats, shape: InputShape, *, blue_first: bool = False) -> Pixels:
    """Draw a map of evidence over a picture: uint8[H, W, 3], a copy.

    Args:
        picture: uint8[H, W, 3] RGB.
        values: float32[h, w] over the network's input; negative values are not drawn.
        shape: of the input, with its fit.
        blue_first: the picture is BGR.
    """
    height, width = picture.shape[:2]
    placed, (left, top, right, bottom) = place_map(values, height, width, shape)
    levels = cv2.merge([placed] * 3)
    colors, kept = _tables(blue_first)
    drawn = picture.copy()
    part = np.ascontiguousarray(drawn[top:bottom, left:right])
    # whole numbers throughout: several times as fast as blending in float
    drawn[top:bottom, left:right] = cv2.add(
        cv2.multiply(part, cv2.LUT(levels, kept), scale=1 / 255), cv2.LUT(levels, colors)
    )
    return np.asarray(drawn, np.uint8)


@functools.lru_cache(maxsize=2)
def _tables(blue_first: bool) -> tuple[Pixels, Pixels]:
    """Return by level uint8[1, 256, 3]: the colour times its opacity, and what is kept of the picture, in 255ths."""
    levels = np.arange(256, dtype=np.uint8)
    colors = cv2.applyColorMap(levels[None], cv2.COLORMAP_TURBO).reshape(256, 3)[:, :: 1 if blue_first else -1]
    opacity = levels[:, None] / 255 * STRONGEST
    kept = np.repeat(np.rint(255 * (1 - opacity)), 3, axis=1)
    return tuple(np.asarray(part, np.uint8)[None] for part in (np.rint(colors * opacity), kept))  # type: ignore[return-value]
