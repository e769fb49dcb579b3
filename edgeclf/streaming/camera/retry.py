"""How long the capture waits for a source, and when it tries again."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


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
        if rate is None:
            return self
        least = 3 / rate
        return dataclasses.replace(
            self,
            stalled=max(self.stalled, least),
            reopen=max(self.reopen, 2 * least),
            opening=max(self.opening, 2 * least),
            first=max(self.first, least),
        )

    def delay(self, failures: int) -> float:
        """Return the pause after `failures` earlier failures in a row."""
        return self.delays[min(failures, len(self.delays) - 1)]
