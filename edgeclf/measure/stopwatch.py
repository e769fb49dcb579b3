"""Times calls of one function: warm-up, back-to-back calls, percentiles."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeclf.records import Record

WARM_UP_SECONDS = 3.0  # at most
_WINDOW_SECONDS = 0.05
_FEWEST_WINDOWS = 3
_CALL_SECONDS = 3.0


@dataclass(frozen=True)
class Percentiles(Record):
    """Milliseconds: half of the calls took at most `median`, 99 % at most `p99`."""

    median: float
    p90: float
    p99: float


def call_latency(call: Callable[[], object]) -> Percentiles:
    """Time a function that classifies one image, warmed up as a model is; for what is no model file.

    It is called for about 3 seconds, between 30 and 1,000 times.
    """
    with undisturbed():
        _, _, seconds = warm_up(call)
        return percentiles(time_calls(call, int(np.clip(_CALL_SECONDS / seconds, 30, 1000))))


def percentiles(nanoseconds: npt.NDArray[np.int64]) -> Percentiles:
    """Compute median, 90 % and 99 % of int64[N] nanoseconds, in milliseconds."""
    median, p90, p99 = np.percentile(nanoseconds, [50, 90, 99]) / 1e6
    return Percentiles(median=float(median), p90=float(p90), p99=float(p99))


def warm_up(invoke: Callable[[], object], longest: float = WARM_UP_SECONDS) -> tuple[int, bool, float]:
    """Call `invoke` until two windows in a row are not faster than the best before, or `longest` seconds are over.

    Three windows are always waited for, whatever they take: fewer cannot show whether calls get faster.

    Returns:
        calls made, whether they had stopped getting faster, seconds a call.
    """
    deadline = time.perf_counter() + longest
    best, windows, idle_windows, made = float("inf"), 0, 0, 0
    while idle_windows < 2:
        window: list[int] = []
        closes = time.perf_counter() + _WINDOW_SECONDS
        while len(window) < 2 or time.perf_counter() < closes:
            start = time.perf_counter_ns()
            invoke()
            window.append(time.perf_counter_ns() - start)
        made, windows = made + len(window), windows + 1
        median = float(np.median(window))
        idle_windows = idle_windows + 1 if median > 0.98 * best else 0
        best = min(best, median)
        if windows >= _FEWEST_WINDOWS and time.perf_counter() > deadline:
            return made, idle_windows >= 2, best / 1e9
    return made, True, best / 1e9


def time_calls(invoke: Callable[[], object], calls: int) -> npt.NDArray[np.int64]:
    """Time `calls` calls, back to back: int64[calls] nanoseconds."""
    times = np.empty(calls, np.int64)
    clock = time.perf_counter_ns
    for index in range(calls):
        start = clock()
        invoke()
        times[index] = clock() - start
    return times


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep the garbage collector from running between two readings of the clock."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
