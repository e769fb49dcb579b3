"""A trial as its evaluation sees it: values are suggested to it, and it reports on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgeclf.search.sampling import quiet
from edgeclf.search.space import Space, Value
from edgeclf.search.storage import patiently
from edgeclf.search.trials import DEATHS, PLAN


class Asked:
    """A trial that is to be evaluated.

    Attributes:
        number: of the trial.
        first: of the trial whose process died and that it takes the place of; else its own.
        plan: what was enqueued; None: values are to be suggested.
    """

    def __init__(self, trial: Any, sampler: Callable[[], Any], first: int) -> None:
        self.number: int = trial.number
        self.first = first
        self.plan: Mapping[str, Any] | None = trial.user_attrs.get(PLAN)
        self._trial = trial
        self._sampler: Callable[[], Any] | None = sampler

    def suggest(self, space: Space) -> dict[str, Value]:
        """Choose a value for each name, by what earlier trials have shown; may be called again for other names."""
        if self._sampler is not None:
            self._trial.study.sampler, self._sampler = self._sampler(), None
        with quiet():
            return patiently(lambda: {name: part.suggest(name, self._trial) for name, part in space.items()})

    def report(self, step: int, score: float) -> bool:
        """Record an intermediate score; returns whether the trial should be given up.

        Args:
            step: 1 to `LAST_STEP`; a step that was reported before the process died is left as it is.
            score: the smaller, the better.
        """
        with quiet():
            return patiently(lambda: self._report(step, score))

    def _report(self, step: int, score: float) -> bool:
        if self._trial.user_attrs.get(DEATHS):
            # it was left by processes that died, and comes on: these do not add up to a trial that always kills
            self._trial.set_user_attr(DEATHS, 0)
        self._trial.report(score, step)
        return bool(self._trial.should_prune())
