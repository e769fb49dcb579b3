"""What a search may choose from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from edgeclf.errors import InputError
from edgeclf.records import Record

Value = bool | int | float | str
MOST_LISTED = 1000
"""Whole numbers of a range beyond which they are not listed."""


@dataclass(frozen=True)
class Choice(Record):
    """One of several values.

    Args:
        values: at least one.

    Raises:
        InputError: there is none.
    """

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise InputError("a choice needs at least one value")

    def suggest(self, name: str, trial: Any) -> Value:
        """Let a trial of Optuna choose a value under `name`."""
        return cast("Value", trial.suggest_categorical(name, list(self.values)))

    def distribution(self) -> Any:
        """Return it as Optuna describes it."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)

    def points(self, count: int) -> tuple[Value, ...]:
        """List all values, whatever `count` is."""
        return self.values

    def all_values(self) -> tuple[Value, ...]:
        """List all values."""
        return self.values


@dataclass(frozen=True)
class Range(Record):
    """A number between two others, both included.

    Args:
        low: the least.
        high: the most.
        log: whether factors count, as with learning rates.
        step: distance of the values from `low` on; None: all numbers between.
        whole: whether it is a whole number.

    Raises:
        InputError: `low` is above `high`, or `log` has a `low` of 0 or below, or a step.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    def __post_init__(self) -> None:
        if not -math.inf < self.low <= self.high < math.inf:
            raise InputError(f"a range must not begin above its end, got {self.low:g} to {self.high:g}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise InputError(f"a range by factors must begin above 0 and have no step, got {self.low:g}, {self.step}")

    def suggest(self, name: str, trial: Any) -> Value:
        """Let a trial of Optuna choose a value under `name`."""
        if self.whole:
            step = int(self.step or 1)
            return cast(int, trial.suggest_int(name, int(self.low), int(self.high), log=self.log, step=step))
        return cast(float, trial.suggest_float(name, self.low, self.high, log=self.log, step=self.step))

    def distribution(self) -> Any:
        """Return it as Optuna describes it."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def points(self, count: int) -> tuple[Value, ...]:
        """List at most `count` numbers from `low` to `high`, evenly apart, or by equal factors with `log`."""
        parts = [place / max(1, count - 1) for place in range(count)]
        if self.log:
            found = [self.low * (self.high / self.low) ** part for part in parts]
        else:
            found = [self.low + (self.high - self.low) * part for part in parts]
        if self.step is not None and not self.log:
            found = [self.low + self.step * round((one - self.low) / self.step) for one in found]
        # rounding must not leave the range, nor the grid change by it between two machines
        found = [min(max(float(f"{one:.6g}"), self.low), self.high) for one in found]
        return tuple(dict.fromkeys(round(one) if self.whole else one for one in found))

    def all_values(self) -> tuple[Value, ...] | None:
        """List all whole numbers of the range; None: it is of others, too, or there are more than `MOST_LISTED`."""
        if not self.whole:
            return None
        numbers = range(int(self.low), int(self.high) + 1, int(self.step or 1))
        return tuple(numbers) if len(numbers) <= MOST_LISTED else None


Space = Mapping[str, Choice | Range]
"""By name, what a value is chosen from."""
