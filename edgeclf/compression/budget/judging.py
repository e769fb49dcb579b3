"""Decides which candidates hold a budget, so that the promise survives having looked at many of them.

Each candidate that is compared with the limit of the drop is a look at the same validation images: with enough looks
one passes by luck. The probability that a candidate passes whose true drop is the limit is therefore spent (Bonferroni,
with unequal parts): 5 % over all looks, however many. The first one gets 2.5 %, which makes its bound the upper end of
the usual 95 % interval; look number k from the second on gets 2.5 % / (k (k - 1)), which add up to the other 2.5 %. A
candidate whose training chose its epoch by validation images counts as many looks as there were states to choose from.
Candidates that break another limit are no looks: they could not pass.

These are the levels at which intervals are asked for. What passes by luck, computed exactly
(`tools/benchmarks/budget_looks.py`), is 2.4 to 6.0 % at the first look, and 4.6 to 12.7 % at one of ten: the most where
images are lost and none gained, for which the interval of a paired difference is too narrow on one side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edgeclf.compression.budget.limits import Budget
from edgeclf.measure.paired_interval import difference_interval
from edgeclf.measure.speed import Speed
from edgeclf.records import Record

FIRST_LOOK = 0.025
"""Probability, on one side, that the first candidate passes by luck."""
ALL_LOOKS = 0.05
"""The same for all candidates together."""
_MOST_IMAGES = 10_000_000
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Measured(Record):
    """What a recipe costs; the drop is that on validation images.

    Attributes:
        recipe: its plain values.
        name: its short name.
        digest: of all its settings.
        calibration: training images that were drawn to set the quantization ranges, which quantization-aware training
            may have set instead; 0: none.
        size_bytes: of the file.
        latency_ms: median prediction on one thread; None: not measured.
        images: validation images; None: there are none.
        lost: of them, those that the float network predicts correctly and the model wrongly.
        gained: those the other way round.
        top1: of the model, a fraction.
        looks: how many networks validation images chose from; more than 1 where they chose the epoch of a training.
        seconds: that it took to make and measure.
        cpu: that `latency_ms` was measured on; empty: it is an estimate, or there is none.
        host: name of the machine that has its file.
        speed: beside the float32 model; None: not measured.
        key: identity of the recipe, the source, the data and the settings.
        settings: of the recipe, and the number of calibration images, where they are not the defaults, in words.
        timed: whether a time was asked for when it was made; a file of another format has none all the same.
    """

    recipe: dict[str, Any]
    name: str
    digest: str
    calibration: int
    size_bytes: int
    latency_ms: float | None = None
    images: int | None = None
    lost: int | None = None
    gained: int | None = None
    top1: float | None = None
    looks: int = 1
    seconds: float = 0.0
    cpu: str = ""
    host: str = ""
    speed: Speed | None = None
    key: str = ""
    settings: str = ""
    timed: bool = False

    @property
    def label(self) -> str:
        """Its name, with the settings that tell it from others of the same name."""
        return f"{self.name} ({self.settings})" if self.settings else self.name

    @property
    def drop(self) -> float | None:
        """Top-1 of the float network minus that of the model, a fraction."""
        if self.images is None or self.lost is None or self.gained is None:
            return None
        return (self.lost - self.gained) / self.images

    def drop_interval(self, level: float = FIRST_LOOK) -> tuple[float, float] | None:
        """Return the interval of the drop, outside of which the true one lies with `level` on each side."""
        if self.images is None or self.lost is None or self.gained is None:
            return None
        low, high = difference_interval(self.lost, self.gained, self.images, 2 * level)
        return -high, -low


@dataclass(frozen=True)
class Judged(Record):
    """A candidate, and whether it holds the budget.

    Attributes:
        candidate: what was measured.
        drop: on validation images, a fraction; None: unknown.
        drop_interval: its 95 % interval, as if it were the only candidate.
        drop_bound: what was compared with the limit; by intervals, their upper end at `level`.
        level: probability on one side that was spent on it; None: the drop was not compared.
        breaks: the limits that it breaks.
        worst: what it costs of the limit that it comes closest to, or breaks most, as a fraction.
    """

    candidate: Measured
    drop: float | None
    drop_interval: tuple[float, float] | None
    drop_bound: float | None
    level: float | None
    breaks: tuple[str, ...]
    worst: float

    @property
    def holds(self) -> bool:
        """Whether it breaks no limit."""
        return not self.breaks

    @property
    def size_bytes(self) -> int:
        """Of the file."""
        return self.candidate.size_bytes

    @property
    def latency_ms(self) -> float | None:
        """Of one prediction on one thread."""
        return self.candidate.latency_ms


@dataclass(frozen=True)
class _Costs:
    drop_bound: float | None
    size_bytes: int
    latency_ms: float | None


class Spending:
    """Spends the probability of a pass by luck, a look after the other."""

    def __init__(self) -> None:
        self._looks = 0

    def level(self, looks: int = 1) -> float:
        """Return the probability, on one side, of the next candidate, which is not spent yet.

        Args:
            looks: that it counts.
        """
        first, last = self._looks, self._looks + max(1, looks)
        return (_spent(last) - _spent(first)) / (last - first)

    def spend(self, looks: int = 1) -> float:
        """Return the same, and spend it."""
        level = self.level(looks)
        self._looks += max(1, looks)
        return level


def _spent(looks: int) -> float:
    return 0.0 if looks == 0 else ALL_LOOKS - (ALL_LOOKS - FIRST_LOOK) / looks


def processors_of(measured: Iterable[Measured]) -> set[str]:
    """Return the names of the processors that candidates were timed on."""
    return {one.cpu for one in measured if one.cpu}


class Judge:
    """Judges candidates in the order in which they were tried.

    Args:
        budget: its limits.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget, self._spending = budget, Spending()

    def judge(self, candidates: Sequence[Measured]) -> tuple[Judged, ...]:
        """Judge further candidates; each look is spent."""
        return tuple(map(self._judge, candidates))

    def provable_drop(self, images: int, looks: int = 1) -> float:
        """Return the smallest drop that the next candidate can prove, where no image changes sides, a fraction."""
        return smallest_provable_drop(images, self._spending.level(looks))

    def _judge(self, one: Measured) -> Judged:
        excess = self._budget.excess(_Costs(0.0, one.size_bytes, one.latency_ms))
        excess.pop("max_drop", None)
        level, bound = None, one.drop
        by_interval = self._budget.max_drop is not None and self._budget.judge == "interval"
        if by_interval and all(value <= 1 + _ROUNDING for value in excess.values()):
            level = self._spending.spend(one.looks)
        interval = one.drop_interval(FIRST_LOOK if level is None else level) if by_interval else None
        if interval is not None:
            bound = interval[1]
        excess = self._budget.excess(_Costs(bound, one.size_bytes, one.latency_ms))
        return Judged(
            candidate=one,
            drop=one.drop,
            drop_interval=one.drop_interval(),
            drop_bound=bound,
            level=level,
            breaks=tuple(name for name, value in excess.items() if value > 1 + _ROUNDING),
            worst=max(excess.values(), default=0.0),
        )


def smallest_provable_drop(images: int, level: float = FIRST_LOOK) -> float:
    """Return the upper end of the interval of the drop where no image changed sides, a fraction.

    Args:
        images: that are predicted by both.
        level: probability on one side.
    """
    return -difference_interval(0, 0, images, 2 * level)[0]


def images_to_prove(drop: float, level: float = FIRST_LOOK) -> int | None:
    """Return how many images can prove a drop, if none of them changes sides; None: more than there ever are.

    Args:
        drop: a fraction.
        level: probability on one side.
    """
    low, high = 1, 2
    while smallest_provable_drop(high, level) > drop:
        low, high = high, 2 * high
        if high > _MOST_IMAGES:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if smallest_provable_drop(middle, level) > drop else (low, middle)
    return high
