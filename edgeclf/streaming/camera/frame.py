"""A frame on its way from the camera to a label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


class Shot(NamedTuple):
    """What a source hands over.

    Args:
        pixels: uint8[H, W, 3], **BGR** as OpenCV's capture gives them; red and blue change places after the
            resize, where the picture is small.
        captured: `time.monotonic()` when the frame was there, before it was decoded.
        skipped: frames of the source that passed by unseen since the last shot.
    """

    pixels: Pixels
    captured: float
    skipped: int = 0


@dataclass(frozen=True, eq=False)
class Frame:
    """A captured frame.

    Args:
        number: counts all frames that the source showed, from 0, also those that were not looked at.
        pixels: uint8[H, W, 3] BGR; never written to.
        captured: `time.monotonic()` of the capture.
        time: `time.time()` of the capture.
    """

    number: int
    pixels: Pixels
    captured: float
    time: float
