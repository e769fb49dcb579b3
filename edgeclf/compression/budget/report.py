"""What a search found."""

from __future__ import annotations

from dataclasses import dataclass

from edgeclf.compression.budget.judging import Judged
from edgeclf.compression.budget.limits import Budget
from edgeclf.records import Record


@dataclass(frozen=True)
class TestResult(Record):
    """The picked model on the test split, which chose nothing.

    Attributes:
        images: of the split.
        top1: of the model, a fraction.
        float_top1: of the float network.
        drop: of top-1, a fraction.
        drop_interval: its 95 % interval.
    """

    images: int
    top1: float
    float_top1: float
    drop: float
    drop_interval: tuple[float, float]


@dataclass(frozen=True)
class Refused(Record):
    """A recipe that was not made, or not measured: its name, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class SearchReport(Record):
    """The candidates of a search, and what was chosen.

    Attributes:
        budget: the limits.
        holds: whether the model that was written holds them.
        picked: the model that was written: the first that holds the budget, else the nearest miss.
        path: of its file; empty where another machine that shares the search wrote it.
        candidates: all that were measured, in the order in which they were tried.
        frontier: indices into `candidates` of those that no other one beats in drop, size and time together.
        nearest: where nothing holds, indices of the nearest misses.
        misses: why each of them does not hold the budget, a line each.
        binding: the limits that decided.
        next_points: what the next better points on the frontier cost, a line each.
        refused: recipes that were left out.
        suggested: how many of the candidates the search itself suggested, beyond the ladder.
        validation_images: that drops are judged on.
        provable_drop: the smallest drop that they can prove, a fraction, if none of them changes sides.
        test: of the written model; None: there is no test split with labels of the network's classes.
        latency_from: what times are from.
        seconds: that the search took, in this process.
        search: digest of what was searched for: the limits, the network, its data, and the settings.
        exhausted: nothing was left to try, or one holds the budget; else its hours were over before.
        notes: what to know of it, a line each.
    """

    budget: Budget
    holds: bool
    picked: Judged | None
    path: str
    candidates: tuple[Judged, ...]
    frontier: tuple[int, ...] = ()
    nearest: tuple[int, ...] = ()
    misses: tuple[str, ...] = ()
    binding: tuple[str, ...] = ()
    next_points: tuple[str, ...] = ()
    refused: tuple[Refused, ...] = ()
    suggested: int = 0
    validation_images: int | None = None
    provable_drop: float | None = None
    test: TestResult | None = None
    latency_from: str = ""
    seconds: float = 0.0
    search: str = ""
    exhausted: bool = True
    notes: tuple[str, ...] = ()
