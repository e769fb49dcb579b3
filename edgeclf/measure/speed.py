"""Times a model and the float32 model of the same network in turns: what compression gains in speed on this machine.

It takes about a second. Both models are warmed up; then they take turns in rounds, first one first and then the other,
so that a drifting machine slows both alike. Each round gives one ratio.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeclf.artifact.model_file import ModelFile
from edgeclf.inference.engine import find_engine
from edgeclf.measure.latency import burst, timed_call, warm_session
from edgeclf.measure.machine import describe_machine, is_busy_at
from edgeclf.measure.statistics import Interval
from edgeclf.measure.stopwatch import undisturbed
from edgeclf.records import Record

ROUNDS, FEWEST_ROUNDS = 15, 6
BURST_SECONDS = 0.02
SECONDS = 3.0
"""For all rounds; slow models have fewer, but never less than `FEWEST_ROUNDS`."""
LONGEST_WARM_UP = 0.5  # seconds


@dataclass(frozen=True)
class Speed(Record):
    """Of one model, beside the float32 model of the same network, measured in turns on this machine.

    Attributes:
        median_ms: of the interpreter's `invoke` on one image.
        float32_median_ms: the same of the float32 model.
        times_as_fast: the median over the rounds of float32's time divided by this model's; below 1 it is slower.
        times_as_fast_interval: that contains the true median ratio with a confidence of 95 % or more.
        runs: timed calls of this model.
        threads: of the interpreter.
        runtime: name of the runtime.
        runtime_version: of its package.
        cpu: name of the processor.
        cores: that this process may use.
        load_average: of the last minute, before the work that ends in measuring; well above 0 other programs ran.
    """

    median_ms: float
    float32_median_ms: float
    times_as_fast: float
    times_as_fast_interval: tuple[float, float]
    runs: int
    threads: int
    runtime: str
    runtime_version: str
    cpu: str
    cores: int
    load_average: float | None

    @property
    def was_busy(self) -> bool:
        """Whether other programs ran at the same time, so that the figures are less certain than they look."""
        return is_busy_at(self.load_average, self.cores)


def measure_speed(
    model: ModelFile,
    float32: ModelFile,
    *,
    threads: int = 1,
    runtime: str = "litert",
    load_before: float | None = None,
) -> Speed:
    """Time `model` and `float32` in turns.

    Args:
        model: the file whose speed is asked for.
        float32: the float32 model of the same network.
        threads: of the interpreter.
        runtime: name of the runtime.
        load_before: the machine's load before this program began to work, whose own work must not count as another's;
            None: the present one.

    Raises:
        ModelError: a model cannot be opened.
    """
    machine, engine = describe_machine(), find_engine(runtime)
    sessions = [engine.open(file, threads=threads) for file in (model, float32)]
    rounds: list[list[float]] = [[], []]
    timed = 0
    with undisturbed():
        # a call takes that many seconds once it is warm
        seconds = [warm_session(session, LONGEST_WARM_UP)[2] for session in sessions]
        calls = [max(1, round(BURST_SECONDS / one)) for one in seconds]
        deadline = time.perf_counter() + SECONDS
        while len(rounds[1]) < ROUNDS and (len(rounds[1]) < FEWEST_ROUNDS or time.perf_counter() < deadline):
            for index in (0, 1) if len(rounds[1]) % 2 else (1, 0):
                times = burst(timed_call(sessions[index]), calls[index])
                rounds[index].append(float(np.median(times)) / 1e6)
            timed += calls[0]
    ratios = [slow / fast for fast, slow in zip(*rounds, strict=True)]
    low, high = median_interval(ratios)
    return Speed(
        median_ms=round(float(np.median(rounds[0])), 6),
        float32_median_ms=round(float(np.median(rounds[1])), 6),
        times_as_fast=round(float(np.median(ratios)), 4),
        times_as_fast_interval=(round(low, 4), round(high, 4)),
        runs=timed,
        threads=threads,
        runtime=sessions[0].engine,
        runtime_version=sessions[0].engine_version,
        cpu=machine.processor,
        cores=machine.cores,
        load_average=machine.load_average if load_before is None else load_before,
    )


def median_interval(values: Sequence[float], alpha: float = 0.05) -> Interval:
    """Compute an interval of the median of what `values` are drawn from, whatever their distribution.

    Both ends are values: the k-th lowest and the k-th highest, with the largest k at which the chance that fewer than k
    lie on one side of the median stays within `alpha` / 2. Below six values 95 % cannot be reached; then all of them.

    Source: W. J. Conover, "Practical Nonparametric Statistics", 3rd edition (1999), section 3.2.
    """
    ordered, size = sorted(values), len(values)
    below, ways, rank = 1.0, 1.0, 0
    while below <= alpha / 2 * 2.0**size:
        rank += 1
        ways = ways * (size - rank + 1) / rank
        below += ways
    rank = max(rank, 1)
    return ordered[rank - 1], ordered[size - rank]
