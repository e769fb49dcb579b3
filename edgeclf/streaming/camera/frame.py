"""A frame on its way from the camera to a label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
NOMINAL_RATE = 30.0
"""Frames a second of a source that does not say how many it has."""


class Shot(NamedTuple):
    """What a source hands over.

    Args:
        pixels: uint8[H, W, 3], **BGR** as OpenCV's capture gives them; red and blue change places after the
            resize, where the picture is small.
        captured: `time.monotonic()` when the frame was there, before it was decoded.
        skipped: frames of the source that passed by unseen since the last shot.
        position: seconds into a recording that is read as fast as its frames are taken, where `captured` says nothing
            of how far frames are apart; None: it does, or the source does not know.
    """

    pixels: Pixels
    captured: float
    skipped: int = 0
    position: float | None = None


@dataclass(frozen=True, eq=False)
class Frame:
    """A captured frame.

    Args:
        number: counts all frames that the source showed, from 0, also those that were not looked at.
        pixels: uint8[H, W, 3] BGR; never written to.
        captured: `time.monotonic()` of the capture.
        time: `time.time()` of the capture.
        position: as in `Shot`.
    """

    number: int
    pixels: Pixels
    captured: float
    time: float
    position: float | None = None

    def moment(self, *, paced: bool) -> float:
        """Return the seconds at which the scene was as in the frame, from any zero.

        Args:
            paced: frames come when they are due. Else those of a source that knows no position stand for
                `1 / NOMINAL_RATE` seconds each.
        """
        if paced:
            return self.captured
        return self.number / NOMINAL_RATE if self.position is None else self.position
