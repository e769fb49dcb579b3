"""What a search may choose from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from edgeclf.errors import InputError
from edgeclf.records import Record

Value = bool | int | float | str


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
        InputError: `low` is above `high`.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise InputError(f"a range must not begin above its end, got {self.low:g} to {self.high:g}")

    def suggest(self, name: str, trial: Any) -> Value:
        """Let a trial of Optuna choose a value under `name`."""
        if self.whole:
            step = int(self.step or 1)
            return cast(int, trial.suggest_int(name, int(self.low), int(self.high), log=self.log, step=step))
        return cast(float, trial.suggest_float(name, self.low, self.high, log=self.log, step=self.step))


Space = Mapping[str, Choice | Range]
"""By name, what a value is chosen from."""
