"""What a model may cost, and how long to search for one that costs no more."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from edgeclf.errors import InputError, UnknownNameError
from edgeclf.measure.formatting import milliseconds, size
from edgeclf.records import Record

JUDGES = ("interval", "estimate")
SMALLEST = 1000
"""Bytes below which a limit of the size is a mistake: kilobytes were meant."""
LIMITS = ("max_drop", "max_size", "max_latency")


class Costs(Protocol):
    """What is compared with limits; None: not known."""

    @property
    def drop_bound(self) -> float | None:
        """Drop in top-1 that is judged, a fraction."""

    @property
    def size_bytes(self) -> int:
        """Of the file."""

    @property
    def latency_ms(self) -> float | None:
        """Of one prediction on one thread."""


@dataclass(frozen=True)
class Budget(Record):
    """Limits, and how a recipe is searched for.

    Args:
        max_drop: percentage points of top-1 that the model may lose against the float network, such as 1.0.
        max_size: bytes of the file.
        max_latency: milliseconds of the median prediction, on one thread.
        judge: what is compared with `max_drop`: `interval`, the upper end of the interval of the drop, so that the
            limit holds for pictures that were never seen; `estimate`, the drop on the validation images as it is.
        trials: recipes that are tried beyond the ladder of known ones.
        hours: after which no other recipe is begun; None: no limit.
        storage: URL of a database through which several machines share the search; None: a file beside the models.
        board: report of `edgeclf bench` on the device; times are estimated from it instead of measured here.

    Raises:
        InputError: no limit is given, or a value is out of range.
    """

    max_drop: float | None = None
    max_size: int | None = None
    max_latency: float | None = None
    judge: str = "interval"
    trials: int = 10
    hours: float | None = None
    storage: str | None = None
    board: str | None = None

    def __post_init__(self) -> None:
        if all(getattr(self, name) is None for name in LIMITS):
            raise InputError("a search needs a limit: give --max-drop, --max-size or --max-latency")
        if self.max_drop is not None and not 0 <= self.max_drop < 100:
            raise InputError(f"--max-drop takes percentage points from 0 to below 100, got {self.max_drop:g}")
        if self.max_size is not None and self.max_size < SMALLEST:
            raise InputError(f"--max-size must be at least {SMALLEST:,} bytes (1KB), got {self.max_size:,}")
        for name in ("max_latency", "hours"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"--{name.replace('_', '-')} must be above 0, got {value:g}")
        if self.trials < 0:
            raise InputError(f"--trials must be at least 0, got {self.trials}")
        if self.judge not in JUDGES:
            raise UnknownNameError("judge", self.judge, JUDGES)

    @property
    def max_drop_fraction(self) -> float | None:
        """`max_drop` as a fraction."""
        return None if self.max_drop is None else self.max_drop / 100

    @property
    def text(self) -> str:
        """The limits in words."""
        limits = {name: getattr(self, name) for name in LIMITS}
        return ", ".join(_WRITTEN[name](value) for name, value in limits.items() if value is not None)

    def excess(self, costs: Costs) -> dict[str, float]:
        """Return by limit what a model costs, as a fraction of the limit; above 1 it breaks that limit.

        A drop or a time of which nothing is known breaks its limit. The ratio of a drop begins one point below zero, so
        that models that gain can be compared, too, and a limit of zero has a ratio.
        """
        found = {}
        if self.max_drop_fraction is not None:
            bound = costs.drop_bound
            found["max_drop"] = 2.0 if bound is None else (bound + 0.01) / (self.max_drop_fraction + 0.01)
        if self.max_size is not None:
            found["max_size"] = costs.size_bytes / self.max_size
        if self.max_latency is not None:
            found["max_latency"] = 2.0 if costs.latency_ms is None else costs.latency_ms / self.max_latency
        return found

    def describe(self, name: str, costs: Costs) -> str:
        """Describe what a model costs of a limit, such as `0.84 points of at most 0.50 points`."""
        taken = {
            "max_drop": None if costs.drop_bound is None else 100 * costs.drop_bound,
            "max_size": costs.size_bytes,
            "max_latency": costs.latency_ms,
        }[name]
        unknown = "an unknown time" if name == "max_latency" else "an unknown drop"
        shown = unknown if taken is None else _WRITTEN[name](taken)
        return f"{shown} of at most {_WRITTEN[name](getattr(self, name))}"


def take_budget(keywords: Mapping[str, Any]) -> tuple[Budget | None, dict[str, Any]]:
    """Return the budget that is among keywords, None where there is none, and the other keywords.

    Raises:
        InputError: a value does not fit, or there is no limit among them.
    """
    names = {field.name for field in dataclasses.fields(Budget)}
    given = {name: value for name, value in keywords.items() if name in names and value is not None}
    others = {name: value for name, value in keywords.items() if name not in names}
    endless = next(
        (name for name, value in given.items() if isinstance(value, float) and not math.isfinite(value)), None
    )
    if endless is not None:
        raise InputError(f"--{endless.replace('_', '-')} must be a finite number, got {given[endless]:g}")
    return (Budget.from_dict(given) if given else None), others


def _points(value: float) -> str:
    written = f"{value:.2f}".replace("-", "−")
    return f"{written} points"


_WRITTEN: Mapping[str, Callable[[Any], str]] = MappingProxyType(
    {"max_drop": _points, "max_size": lambda count: size(int(count)), "max_latency": milliseconds}
)
