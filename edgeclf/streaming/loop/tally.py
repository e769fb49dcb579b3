"""Count the ages of frames and the results a second, over a run of any length, in a fixed amount of memory."""

from __future__ import annotations

import math

from edgeclf.streaming.loop.result import FrameAges

_SMALLEST_MS = 0.001
_STEP = math.log(1.005)
_GAP = 4.0
_BINS = 4200  # up to twenty minutes, in steps of half a percent


class AgeTally:
    """Counts of frame ages, in bins of half a percent: a month of results needs no more memory than a minute's."""

    def __init__(self) -> None:
        self._counts = [0] * _BINS
        self._total = 0
        self._largest = 0.0

    def add(self, milliseconds: float) -> None:
        """Count one more result."""
        self._total += 1
        if milliseconds > self._largest:
            self._largest = milliseconds
        at = int(math.log(milliseconds / _SMALLEST_MS) / _STEP) if milliseconds > _SMALLEST_MS else 0
        self._counts[at if at < _BINS else _BINS - 1] += 1

    def ages(self) -> FrameAges:
        """Return median and 95th percentile, right to half a percent, and the exact maximum."""
        if not self._total:
            return FrameAges(None, None, None)
        return FrameAges(self._quantile(0.5), self._quantile(0.95), round(self._largest, 3))

    def _quantile(self, fraction: float) -> float:
        rank, seen = fraction * self._total, 0
        for number, count in enumerate(self._counts):
            seen += count
            if seen >= rank:
                middle = _SMALLEST_MS * math.exp((number + 0.5) * _STEP)
                return round(min(middle, self._largest), 3)
        return round(self._largest, 3)


class Rate:
    """Events a second over the last seconds.

    Args:
        seconds: how far back.
    """

    _PARTS = 8

    def __init__(self, seconds: float = 2.0) -> None:
        self._window, self._part = seconds, seconds / self._PARTS
        self._begun: list[float] = []
        self._counts: list[int] = []
        self._last = 0.0

    def _is_gap(self, now: float) -> bool:
        """Return whether nothing came for far longer than events are apart: what was before is another time then."""
        total = sum(self._counts)
        if total < 2:
            return False
        usual = (self._last - self._begun[0]) / (total - 1)
        return now - self._last > max(self._window, _GAP * usual)

    def add(self, now: float) -> float:
        """Count one more event at `now` (seconds, never falling); return the rate including it."""
        if self._is_gap(now):
            self._begun, self._counts = [], []
        self._last = now
        if not self._begun or now - self._begun[-1] >= self._part:
            self._begun.append(now)
            self._counts.append(0)
            if len(self._begun) > self._PARTS:
                del self._begun[0], self._counts[0]
        self._counts[-1] += 1
        span = now - self._begun[0]
        total = sum(self._counts)
        return (total - 1) / span if span > 0 else 0.0
