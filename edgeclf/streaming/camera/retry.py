"""How long the capture waits for a source, and when it tries again."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


def lengthen(seconds: float, rate: float | None, *, frames: int = 3) -> float:
    """Return seconds of waiting, or the time that so many frames take where that is longer; None: no rate is known."""
    return seconds if rate is None else max(seconds, frames / rate)


@dataclass(frozen=True)
class RetryPolicy:
    """Times in seconds.

    Args:
        stalled: without a frame until a running source counts as stalled.
        reopen: without a frame until it is closed and opened again.
        opening: until an opening that does not return is given up.
        first: how long the very first frame is tried for, before the source counts as one that does not work.
        delays: pauses before the next attempts; the last one is used from then on.
    """

    stalled: float = 1.5
    reopen: float = 5.0
    opening: float = 15.0
    first: float = 4.0
    delays: tuple[float, ...] = (0.2, 0.5, 1.0, 2.0, 5.0)

    def of_rate(self, rate: float | None) -> RetryPolicy:
        """Return the times for a camera that was asked for so many frames a second: at least three frames' time."""
        return dataclasses.replace(
            self,
            stalled=lengthen(self.stalled, rate),
            reopen=lengthen(self.reopen, rate, frames=6),
            opening=lengthen(self.opening, rate, frames=6),
            first=lengthen(self.first, rate),
        )

    def delay(self, failures: int) -> float:
        """Return the pause after `failures` earlier failures in a row."""
        return self.delays[min(failures, len(self.delays) - 1)]
