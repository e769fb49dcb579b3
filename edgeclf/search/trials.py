"""What a study keeps of its trials, and how they end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from edgeclf.errors import EdgeclfError
from edgeclf.search.space import Value

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

PLAN, RECORD, REASON, SPARE, DEATHS, FREE, ENDED = "plan", "record", "reason", "spare", "deaths", "free", "ended"
BEFORE = "before"
"""Keys of what is kept with a trial."""
State = Literal["complete", "pruned", "refused", "lost"]


class RefusedTrialError(EdgeclfError):
    """A candidate that cannot be made; the study goes on. The message is the reason.

    Attributes:
        free: nothing was tried, and another trial may be suggested instead.
    """

    def __init__(self, reason: str, *, free: bool = False) -> None:
        super().__init__(reason)
        self.free = free


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        score: the smaller, the better.
        record: JSON's own types; kept with the trial.
        pruned: whether it was given up early (see `Asked.report`).
        free: nothing was tried, since the score was known, and another trial may be suggested instead.
    """

    score: float
    record: Mapping[str, Any]
    pruned: bool = False
    free: bool = False


@dataclass(frozen=True)
class Finished:
    """A trial that came to its end.

    Attributes:
        number: of the trial; numbers grow in the order in which trials began.
        state: `complete`; `pruned`: it was given up early; `refused`: it could not be made; `lost`: the process died in
            it again and again.
        plan: what was enqueued; None: it was suggested.
        suggested: values of a suggested one, or of an enqueued one that was given values.
        score: of a complete one.
        record: of a complete or a pruned one.
        reason: of another one.
        reported: intermediate scores by step.
        free: whether nothing was tried in it (see `Evaluation` and `RefusedTrialError`).
        ended: when, in seconds since 1970 by the clock of the machine that evaluated it.
        before: how many trials had come to their end then; None: an earlier version evaluated it.
    """

    number: int
    state: State
    plan: Mapping[str, Any] | None
    suggested: Mapping[str, Value]
    score: float | None = None
    record: Mapping[str, Any] | None = None
    reason: str = ""
    reported: Mapping[int, float] = field(default_factory=dict)
    free: bool = False
    ended: float = 0.0
    before: int | None = None

    @property
    def order(self) -> tuple[bool, float, int]:
        """Sorts trials as they came to their end; those of earlier versions come first, by clocks, which may differ."""
        return self.before is not None, self.ended if self.before is None else self.before, self.number


def read_finished(trial: FrozenTrial) -> Finished | None:
    """Return what a trial of Optuna came to; None: it has no end yet, or stands for none."""
    states: dict[str, State] = {"COMPLETE": "complete", "PRUNED": "refused", "FAIL": "lost"}
    state = states.get(trial.state.name)
    if state is None or is_spare(trial):
        return None
    if state == "refused" and RECORD in trial.user_attrs:
        state = "pruned"
    reason = "the process died each time that it was tried" if state == "lost" else trial.user_attrs.get(REASON, "")
    return Finished(
        number=trial.number,
        state=state,
        plan=trial.user_attrs.get(PLAN),
        suggested=dict(trial.params),
        score=trial.value if state == "complete" else None,
        record=trial.user_attrs.get(RECORD),
        reason="" if state in ("complete", "pruned") else reason,
        reported=dict(trial.intermediate_values),
        free=bool(trial.user_attrs.get(FREE)),
        # not what Optuna has, which is in the time zone of whoever wrote it
        ended=float(trial.user_attrs.get(ENDED, 0.0)),
        before=trial.user_attrs.get(BEFORE),
    )


def is_spare(trial: FrozenTrial) -> bool:
    """Return whether another worker had taken what this trial was for."""
    return bool(trial.user_attrs.get(SPARE))


def is_suggested(trial: FrozenTrial) -> bool:
    """Return whether a trial counts among those that the sampler may suggest."""
    counts = PLAN not in trial.user_attrs and not is_spare(trial) and not trial.user_attrs.get(FREE)
    return counts and trial.state.name != "FAIL"
