"""Compute when the frames of a recording are due."""

from __future__ import annotations

import time


class Pace:
    """Turns seconds inside a recording into moments of `time.monotonic()`, from the first frame on."""

    def __init__(self) -> None:
        self._zero: float | None = None

    def due(self, seconds: float) -> float:
        """Return the moment of the frame that lies `seconds` into the recording; the first one asked for is due now."""
        if self._zero is None:
            self.restart(seconds)
        assert self._zero is not None
        return self._zero + seconds

    def restart(self, seconds: float) -> None:
        """Make the frame that lies `seconds` into the recording due now, and those after it accordingly."""
        self._zero = time.monotonic() - seconds
