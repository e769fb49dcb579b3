"""Times single predictions of models that take turns, so that a drifting machine slows all of them alike.

**What is timed.** The interpreter's `invoke` alone, from Python: the input lies in its tensor already and the output
stays in its tensor, as in the stopwatch that ships with LiteRT (`benchmark_litert_model`). Decoding and resizing photos
is `preprocessing_latency`, measured apart, because it does not depend on the model's weights.

**Order.** Each model is warmed up until its calls get no faster. Then come rounds: in each, every model in a newly
drawn order makes a burst of timed calls. A burst begins with a few calls that do not count, in which caches and
sleeping threads come back; the burst itself is back to back, as in a program that does nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.model_file import ModelFile
from edgeclf.errors import InputError
from edgeclf.image.decoding import load_image
from edgeclf.image.shape import STRETCH
from edgeclf.inference.engine import Session, check_threads, find_engine
from edgeclf.inference.watched_call import WatchedCall
from edgeclf.measure.stopwatch import WARM_UP_SECONDS, Percentiles, percentiles, time_calls, undisturbed, warm_up
from edgeclf.progress import SILENT, Progress
from edgeclf.records import Record

ROUNDS = 20
LOADS = 5
_BURST_WARM_UP_SECONDS = 0.003
_BUDGET_SECONDS = 4.0
_FEWEST_RUNS, _MOST_RUNS = 100, 2000


@dataclass(frozen=True)
class Latency(Record):
    """Of one model at one thread count.

    Attributes:
        latency_ms: of the timed calls.
        runs: timed calls.
        warm_up_runs: calls before them.
        steady: whether the warm-up ended because calls got no faster (else because its time was over).
        load_ms: median milliseconds to open the file, check it and plan its memory, in a process that has the runtime
            imported and the file in the page cache.
        spread: half the range of the rounds' medians between their quartiles, relative to the median: how much the
            machine drifted. Above `report.DRIFT` the figures deserve a quieter machine.
    """

    path: str
    threads: int
    latency_ms: Percentiles
    runs: int
    warm_up_runs: int
    steady: bool
    load_ms: float
    spread: float


@dataclass
class _Contender:
    """A model under test: its invoke and the times so far, in nanoseconds."""

    file: ModelFile
    threads: int
    invoke: Callable[[], object]
    load_ms: float
    warm_up_runs: int
    steady: bool
    runs: int
    rounds: list[npt.NDArray[np.int64]]


def measure_latency(
    models: Sequence[ModelFile],
    *,
    threads: Sequence[int] = (1,),
    runtime: str = "litert",
    runs: int | None = None,
    rounds: int = ROUNDS,
    seed: int = 0,
    progress: Progress = SILENT,
) -> tuple[Latency, ...]:
    """Time every model at every thread count.

    Args:
        models: the model files.
        threads: thread counts, each at least 1. All models of one count take turns; counts come one after the other.
        runtime: name of the runtime.
        runs: timed calls of each model and count; None takes as many as fit about 4 seconds, between 100 and 2,000.
        rounds: turns into which the calls are divided (fewer where there are fewer calls).
        seed: of the order within the rounds.
        progress: where the bar goes.

    Returns:
        One result for each pair of thread count and model: models in the order given, within them the counts in theirs.

    Raises:
        InputError: a count is below 1.
        ModelError: a model cannot be opened.
    """
    check_counts(threads, runs)
    results: dict[tuple[int, int], Latency] = {}
    for count in dict.fromkeys(threads):
        measured = _measure_together(models, count, runtime, runs, rounds, seed, progress)
        results.update({(index, count): latency for index, latency in enumerate(measured)})
    return tuple(results[index, count] for index in range(len(models)) for count in dict.fromkeys(threads))


def check_counts(threads: Sequence[int], runs: int | None) -> None:
    """Raise InputError where the number of timed calls is below 1, or a thread count is none."""
    if runs is not None and runs < 1:
        raise InputError(f"runs must be at least 1, got {runs}")
    if not threads:
        raise InputError("expected a number of threads, got none")
    for count in threads:
        check_threads(count)


def preprocessing_latency(
    photos: Sequence[Path], height: int, width: int, *, fit: str = STRETCH, progress: Progress = SILENT
) -> Percentiles | None:
    """Time decoding and resizing, from a file in the page cache to `uint8[height, width, 3]`; None without photos.

    Each photo is read twice and the second time counts, so that the disk does not.

    Raises:
        ImageError: a photo cannot be read.
    """
    if not photos:
        return None
    times = np.empty(len(photos), np.int64)
    with undisturbed(), progress.task("timing pre-processing", len(photos)) as task:
        for index, photo in enumerate(photos):
            load_image(photo, height, width, fit)
            start = time.perf_counter_ns()
            load_image(photo, height, width, fit)
            times[index] = time.perf_counter_ns() - start
            task.advance()
    return percentiles(times)


def _measure_together(
    models: Sequence[ModelFile],
    threads: int,
    runtime: str,
    runs: int | None,
    rounds: int,
    seed: int,
    progress: Progress,
) -> list[Latency]:
    noun = "thread" if threads == 1 else "threads"
    order = np.random.default_rng(seed)
    with undisturbed(), progress.task(f"timing at {threads} {noun}", None) as task:
        contenders = []
        for file in models:
            contenders.append(_enter(file, threads, runtime, runs))
            task.advance(note=f"{file.name} is warm")
        turns = max(1, min(rounds, *(c.runs for c in contenders)))
        for turn in range(turns):
            for index in order.permutation(len(contenders)):
                contender = contenders[index]
                # Calls that do not divide evenly go to the first rounds.
                calls = contender.runs // turns + (turn < contender.runs % turns)
                contender.rounds.append(burst(contender.invoke, calls))
                task.advance(note=f"round {turn + 1} of {turns}")
    return [_conclude(contender) for contender in contenders]


def _enter(file: ModelFile, threads: int, runtime: str, runs: int | None) -> _Contender:
    loads, engine = [], find_engine(runtime)
    for _ in range(LOADS):
        start = time.perf_counter_ns()
        # Reading, checking and parsing are part of loading, so a file that was read before is read again.
        fresh = ModelFile.read(file.path) if file.path else ModelFile(file.content, file.name)
        session = engine.open(fresh, threads=threads)
        loads.append(time.perf_counter_ns() - start)
    made, steady, seconds = warm_session(session)
    count = runs or int(np.clip(_BUDGET_SECONDS / seconds, _FEWEST_RUNS, _MOST_RUNS))
    return _Contender(file, threads, timed_call(session), float(np.median(loads)) / 1e6, made + 1, steady, count, [])


def prepare_call(file: ModelFile, threads: int, runtime: str) -> tuple[Callable[[], object], float]:
    """Open and warm a model with a picture in its input tensor; returns its invoke, and the seconds a call takes.

    Raises:
        ModelError: the model cannot be opened.
    """
    session = find_engine(runtime).open(file, threads=threads)
    return timed_call(session), warm_session(session)[2]


def warm_session(session: Session, longest: float = WARM_UP_SECONDS) -> tuple[int, bool, float]:
    """Put a picture into the input tensor and warm the model up; returns what `warm_up` does."""
    fill_input(session)
    return warm_up(timed_call(session), longest)


def timed_call(session: Session) -> Callable[[], object]:
    """Return the invoke of a session without the watch over its time and memory, which takes some 0.15 ms a call."""
    invoke = session.invoke
    return invoke.function if isinstance(invoke, WatchedCall) else invoke


def fill_input(session: Session) -> None:
    """Put a picture of random values into the input tensor, and run the model on it once."""
    session.run(_noise(session.input.shape, np.dtype(session.input.dtype)))


def burst(invoke: Callable[[], object], calls: int) -> npt.NDArray[np.int64]:
    """Time calls back to back, int64[calls] nanoseconds, after a few in which caches and threads come back."""
    ready = time.perf_counter() + _BURST_WARM_UP_SECONDS
    invoke()
    invoke()
    while time.perf_counter() < ready:
        invoke()
    return time_calls(invoke, calls)


def _conclude(contender: _Contender) -> Latency:
    figures = percentiles(np.concatenate(contender.rounds))
    low, high = np.percentile([np.median(r) for r in contender.rounds], [25, 75]) / 1e6
    return Latency(
        path=str(contender.file.path or contender.file.name),
        threads=contender.threads,
        latency_ms=figures,
        runs=contender.runs,
        warm_up_runs=contender.warm_up_runs,
        steady=contender.steady,
        load_ms=contender.load_ms,
        spread=float((high - low) / 2 / figures.median) if figures.median else 0.0,
    )


def _noise(shape: Sequence[int], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Make an image of random values, since zeros can be faster than pictures in float arithmetic (denormals)."""
    rng = np.random.default_rng(0)
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        low, high = max(limits.min, -128), min(limits.max, 255)
        return rng.integers(low, high + 1, tuple(shape)).astype(dtype)
    return rng.uniform(0, 1, tuple(shape)).astype(dtype)
