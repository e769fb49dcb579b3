"""Minutes of work without a pause: a board's first minute is not its tenth, once it is warm.

Models take turns in bursts back to back, so that the machine never rests. The first minute and the last are compared;
where the whole takes less than two minutes, its two halves.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.model_file import ModelFile
from edgeclf.errors import InputError
from edgeclf.measure.board import BoardReading, read_board
from edgeclf.measure.latency import prepare_call
from edgeclf.measure.stopwatch import Percentiles, percentiles, time_calls, undisturbed
from edgeclf.progress import SILENT, Progress, Task
from edgeclf.records import Record

WINDOW_SECONDS = 60.0
_BURST_SECONDS = 0.25
_READ_EVERY = 2.0


@dataclass(frozen=True)
class SustainedModel(Record):
    """One model at one thread count, in the first window and in the last.

    Attributes:
        ratio: last median over first: above 1 it got slower.
        runs: timed calls in all.
    """

    name: str
    threads: int
    first_ms: Percentiles
    last_ms: Percentiles
    ratio: float
    runs: int


@dataclass(frozen=True)
class Sustained(Record):
    """Figures of minutes of work, for machine and models.

    Attributes:
        minutes: that were asked for.
        seconds: that it took.
        interrupted: whether it was ended before.
        window_seconds: length of the first and of the last window.
        board_first: the sensors at the end of the first window; None where the board has none.
        board_last: at the end.
        hottest_celsius: highest temperature on the way.
        throttled: everything that slowed the board down on the way.
        models: in the order of the report.
    """

    minutes: float
    seconds: float
    interrupted: bool
    window_seconds: float
    board_first: BoardReading | None
    board_last: BoardReading | None
    hottest_celsius: float | None
    throttled: tuple[str, ...]
    models: tuple[SustainedModel, ...]


@dataclass
class _Worker:
    """A model at work; `first` and `last` hold (second at which a burst ended, its nanoseconds)."""

    name: str
    threads: int
    invoke: Callable[[], object]
    calls: int
    runs: int = 0
    first: list[tuple[float, npt.NDArray[np.int64]]] = field(default_factory=list)
    last: deque[tuple[float, npt.NDArray[np.int64]]] = field(default_factory=deque)


def check_minutes(minutes: float) -> None:
    """Raise InputError where `minutes` is not a positive number."""
    if not 0 < minutes < float("inf"):
        raise InputError(f"sustain must be above 0 minutes, got {minutes:g}")


def measure_sustained(
    models: Sequence[tuple[str, ModelFile, int]],
    minutes: float,
    *,
    runtime: str = "litert",
    board: Callable[[], BoardReading] = read_board,
    progress: Progress = SILENT,
) -> Sustained | None:
    """Keep `models` running for `minutes`; Ctrl-C ends it early, with what was measured until then.

    Args:
        models: name, file and thread count of each.
        minutes: how long.
        runtime: name of the runtime.
        board: reads the sensors.
        progress: where the bar goes.

    Returns:
        None when interrupted before every model had two turns.

    Raises:
        InputError: `minutes` is not above 0.
        ModelError: a model cannot be opened.
    """
    check_minutes(minutes)
    workers: list[_Worker] = []
    readings = [(0.0, board())]
    interrupted = False
    try:
        with undisturbed(), progress.task("sustained work, seconds", max(1, round(60 * minutes))) as task:
            for name, file, threads in models:
                invoke, call_seconds = prepare_call(file, threads, runtime)
                workers.append(_Worker(name, threads, invoke, max(1, round(_BURST_SECONDS / call_seconds))))
            for seconds in _rounds(workers, 60 * minutes, task):
                if seconds - readings[-1][0] >= _READ_EVERY:
                    readings.append((seconds, board()))
    except KeyboardInterrupt:
        interrupted = True
    if len(workers) < len(models) or any(not worker.first or len(worker.last) < 2 for worker in workers):
        return None
    ended = workers[-1].last[-1][0]
    readings.append((ended, board()))
    return _conclude(workers, readings, minutes, ended, interrupted)


def _rounds(workers: Sequence[_Worker], total: float, task: Task) -> Iterator[float]:
    """Give each worker its turn until `total` seconds are over, at least twice; yields the seconds so far."""
    began, reported, turns = time.monotonic(), 0, 0
    seconds = 0.0
    while seconds < total or turns < 2:
        for worker in workers:
            times = time_calls(worker.invoke, worker.calls)
            seconds = time.monotonic() - began
            worker.runs += len(times)
            _keep(worker, seconds, times)
            # Calls get slower or faster on the way; the length of a turn must not.
            worker.calls = max(1, round(_BURST_SECONDS * 1e9 / float(np.median(times))))
        turns += 1
        whole = min(int(seconds), round(total))
        task.advance(whole - reported, note=f"{workers[0].name} {np.median(workers[0].last[-1][1]) / 1e6:.3g} ms")
        reported = whole
        yield seconds


def _keep(worker: _Worker, seconds: float, times: npt.NDArray[np.int64]) -> None:
    if seconds <= WINDOW_SECONDS or not worker.first:
        worker.first.append((seconds, times))
    worker.last.append((seconds, times))
    while worker.last[0][0] < seconds - WINDOW_SECONDS and len(worker.last) > 2:
        worker.last.popleft()


def _conclude(
    workers: Sequence[_Worker],
    readings: Sequence[tuple[float, BoardReading]],
    minutes: float,
    ended: float,
    interrupted: bool,
) -> Sustained:
    window = min(WINDOW_SECONDS, ended / 2)
    board_first = next(reading for at, reading in readings if at >= window)
    board_last = readings[-1][1]
    temperatures = [r.temperature_celsius for _, r in readings if r.temperature_celsius is not None]
    slowed = dict.fromkeys(flag for _, reading in readings for flag in reading.throttled or ())
    return Sustained(
        minutes=minutes,
        seconds=round(ended, 1),
        interrupted=interrupted,
        window_seconds=round(window, 1),
        board_first=board_first if board_first.has_sensors() else None,
        board_last=board_last if board_last.has_sensors() else None,
        hottest_celsius=max(temperatures, default=None),
        throttled=tuple(slowed),
        models=tuple(_compared(worker, window, ended) for worker in workers),
    )


def _compared(worker: _Worker, window: float, ended: float) -> SustainedModel:
    # A single burst may be longer than a window on a slow board; then it stands for it.
    early = [times for at, times in worker.first if at <= window] or [worker.first[0][1]]
    late = [times for at, times in worker.last if at > ended - window] or [worker.last[-1][1]]
    first, last = percentiles(np.concatenate(early)), percentiles(np.concatenate(late))
    return SustainedModel(
        name=worker.name,
        threads=worker.threads,
        first_ms=first,
        last_ms=last,
        ratio=round(last.median / first.median, 4),
        runs=worker.runs,
    )
