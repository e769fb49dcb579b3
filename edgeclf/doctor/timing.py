"""Times calls that take turns, in little time and beside other programs.

The least of some bursts is what a call takes when nothing disturbs it. For a comparison each round gives one ratio, and
what is concluded must hold at the unfavourable end of the interval of their median.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeclf.measure.speed import median_interval
from edgeclf.measure.stopwatch import time_calls

ROUNDS = 9
FEWEST_ROUNDS = 6
"""Below six the interval of a median does not reach 95 %."""
_BURST_SECONDS, _BURST_WARM_UP_SECONDS = 0.002, 0.001
_FIRST_LOOK_SECONDS = 0.003
_MOST_CALLS = 400

Call = Callable[[], object]


@dataclass(frozen=True)
class Turns:
    """Times of calls that took turns: float64[calls, rounds] microseconds, the median of each burst."""

    medians: npt.NDArray[np.float64]
    least: npt.NDArray[np.float64]

    def microseconds(self, index: int) -> float:
        """Return the median over the rounds of one call's times."""
        return float(np.median(self.medians[index]))

    def undisturbed(self, index: int) -> float:
        """Return the least time of one call."""
        return float(self.least[index].min())

    def compare(self, index: int, other: int) -> Ratio:
        """Compute how many times as long one call takes as another."""
        ratios = self.medians[index] / self.medians[other]
        low, high = median_interval([float(value) for value in ratios])
        return Ratio(float(np.median(ratios)), low, high)


@dataclass(frozen=True)
class Ratio:
    """A ratio of two times, and an interval that contains it with a confidence of 95 % or more."""

    value: float
    low: float
    high: float


def time_in_turns(calls: Sequence[Call], seconds: float = 1.0, rounds: int = ROUNDS) -> Turns:
    """Time calls in rounds, in each of them every call once more, in alternating order.

    The caller keeps the garbage collector away (`undisturbed`), once for many of these.

    Args:
        calls: each without arguments.
        seconds: after which no round is begun, once there are `FEWEST_ROUNDS` (or `rounds`, where that is less).
        rounds: at most.
    """
    fewest = min(rounds, FEWEST_ROUNDS)
    medians: list[list[float]] = [[] for _ in calls]
    least: list[list[float]] = [[] for _ in calls]
    counts = [_count_calls(call) for call in calls]
    deadline = time.perf_counter() + seconds
    for number in range(rounds):
        if number >= fewest and time.perf_counter() > deadline:
            break
        for index in range(len(calls)) if number % 2 else reversed(range(len(calls))):
            times = _burst(calls[index], counts[index])
            medians[index].append(float(np.median(times)) / 1e3)
            least[index].append(float(times.min()) / 1e3)
    return Turns(np.array(medians), np.array(least))


def _count_calls(call: Call) -> int:
    """Call a few times; return how many of it make a burst (see `_burst`)."""
    call()
    best, ends = float("inf"), time.perf_counter() + _FIRST_LOOK_SECONDS
    while best == float("inf") or time.perf_counter() < ends:
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return int(np.clip(_BURST_SECONDS / max(best, 1e-9), 1, _MOST_CALLS))


def _burst(call: Call, count: int) -> npt.NDArray[np.int64]:
    """Time calls back to back, int64[count] nanoseconds, after a few in which caches and threads come back."""
    ready = time.perf_counter() + _BURST_WARM_UP_SECONDS
    call()
    while time.perf_counter() < ready:
        call()
    return time_calls(call, count)
