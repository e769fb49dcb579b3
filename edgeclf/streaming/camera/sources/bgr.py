"""What a source gave, checked: every frame that goes on is uint8[H, W, 3] BGR."""

from __future__ import annotations

import cv2
import numpy as np

from edgeclf.streaming.camera.frame import Pixels
from edgeclf.streaming.camera.source import SourceError


def as_bgr(pixels: object) -> Pixels:
    """uint8[H, W, 3] BGR of what a driver or a decoder handed over; a copy only where channels change.

    Gray ([H, W] or [H, W, 1]) becomes three equal channels, BGRA loses its alpha.

    Raises:
        SourceError: it is no picture; says what came.
    """
    if not isinstance(pixels, np.ndarray):
        raise SourceError(f"expected a picture, got {'nothing' if pixels is None else type(pixels).__name__}")
    channels = 1 if pixels.ndim == 2 else pixels.shape[2] if pixels.ndim == 3 else 0
    if pixels.dtype != np.uint8 or channels not in (1, 3, 4) or 0 in pixels.shape:
        raise SourceError(f"expected a picture of uint8[H, W, 3], got {pixels.dtype}{list(pixels.shape)}")
    if channels == 1:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_GRAY2BGR), np.uint8)
    if channels == 4:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_BGRA2BGR), np.uint8)
    return np.ascontiguousarray(pixels)
