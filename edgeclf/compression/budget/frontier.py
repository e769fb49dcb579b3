"""What the candidates of a search show: those that no other beats, what bound, what the next point would cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgeclf.compression.budget.judging import Judged, processors_of
from edgeclf.compression.budget.limits import LIMITS, Budget
from edgeclf.measure.formatting import milliseconds, points, size

NEAREST = 3
"""Candidates that are shown where none holds the budget."""
_SAME = 1.02
"""Times within this factor of each other are not measurably different."""


def find_frontier(judged: Sequence[Judged]) -> tuple[Judged, ...]:
    """Return the candidates that no other one beats in drop, size and time together, the smallest drop first.

    Of equal ones the first is kept. What is not known counts as infinitely bad; times of different processors count
    for nothing.
    """
    kept, timed = [], _have_one_processor(judged)
    for index, one in enumerate(judged):
        rivals = ((place, other) for place, other in enumerate(judged) if place != index)
        if not any(_beats(other, one, earlier=place < index, timed=timed) for place, other in rivals):
            kept.append(one)
    return tuple(sorted(kept, key=lambda one: _costs(one, timed=timed)))


def pick(judged: Sequence[Judged]) -> Judged | None:
    """Return the first candidate that holds the budget: they were tried in the order of what they take to make."""
    return next((one for one in judged if one.holds), None)


def find_nearest(judged: Sequence[Judged], budget: Budget) -> tuple[Judged, ...]:
    """Return the candidates that break their worst limit by the least, the nearest first.

    Of those that break it as much, the ones that break fewer limits come first, then those that break all by less.
    """

    def distance(one: Judged) -> tuple[float, int, float]:
        over = sum(max(0.0, ratio - 1) for ratio in budget.excess(one).values())
        return one.worst, len(one.breaks), over

    return tuple(sorted((one for one in judged if not one.holds), key=distance))[:NEAREST]


def find_binding(judged: Sequence[Judged], picked: Judged | None, budget: Budget) -> tuple[str, ...]:
    """Return the limits that decided: those that ruled out candidates before the pick, else the tightest one.

    Args:
        judged: all candidates in order.
        picked: the one that holds; None: none does.
        budget: the limits.
    """
    before = judged if picked is None else judged[: judged.index(picked)]
    broken = tuple(name for name in LIMITS if any(name in one.breaks for one in before))
    if broken or picked is None:
        return broken
    excess = budget.excess(picked)
    return (max(excess, key=excess.__getitem__),) if excess else ()


def describe_next_points(picked: Judged, frontier: Sequence[Judged]) -> tuple[str, ...]:
    """Describe, for drop, size and time, the next better point on the frontier and what it costs, a line each."""
    timed = _have_one_processor((picked, *frontier))
    lines, own = [], _costs(picked, timed=timed)
    for place, noun in enumerate(_BETTER):
        costs = {index: _costs(one, timed=timed)[place] for index, one in enumerate(frontier)}
        better = [index for index, cost in costs.items() if cost < own[place] / (_SAME if place == 2 else 1)]
        if better:
            next_one = frontier[max(better, key=lambda index: costs[index])]
            lines.append(f"{noun}: {next_one.candidate.label}, {_describe_change(picked, next_one, timed=timed)}")
    return tuple(lines)


def describe_miss(one: Judged, budget: Budget) -> str:
    """Describe why a candidate does not hold the budget."""
    parts = [budget.describe(name, one) for name in one.breaks]
    if "max_drop" in one.breaks and one.drop is not None and budget.judge == "interval":
        parts.append(f"its drop is {100 * one.drop:.2f} points on {one.candidate.images:,} validation images")
    return f"{one.candidate.label}: " + "; ".join(parts)


_BETTER = ("less drop", "smaller", "faster")
"""In the order of `_costs`."""


def _have_one_processor(judged: Sequence[Judged]) -> bool:
    """Return whether times of candidates may be compared."""
    return len(processors_of(one.candidate for one in judged)) < 2


def _costs(one: Judged, *, timed: bool) -> tuple[float, float, float]:
    return (
        math.inf if one.drop is None else one.drop,
        one.size_bytes,
        math.inf if one.latency_ms is None or not timed else one.latency_ms,
    )


def _beats(one: Judged, other: Judged, *, earlier: bool, timed: bool) -> bool:
    mine, others = _costs(one, timed=timed), _costs(other, timed=timed)
    if mine == others:
        return earlier
    return all(a <= b for a, b in zip(mine, others, strict=True))


def _describe_change(old: Judged, new: Judged, *, timed: bool) -> str:
    parts = []
    if old.drop is not None and new.drop is not None and new.drop != old.drop:
        # a difference of drops: positive is worse
        parts.append(f"{points(new.drop - old.drop)} points of drop")
    if new.size_bytes != old.size_bytes:
        sign = "+" if new.size_bytes > old.size_bytes else "−"
        parts.append(f"{sign}{size(abs(new.size_bytes - old.size_bytes))}")
    if timed and old.latency_ms is not None and new.latency_ms is not None and new.latency_ms != old.latency_ms:
        sign = "+" if new.latency_ms > old.latency_ms else "−"
        parts.append(f"{sign}{milliseconds(abs(new.latency_ms - old.latency_ms))}")
    return ", ".join(parts) or "the same"
