"""A study: trials that are asked for, evaluated, and kept; what was enqueued comes first, then what a sampler suggests.

The order of one worker is decided by the seed, also where the worker was killed and began again: the sampler of each
trial gets a seed of its own, from the study's and the number of trials before it.
"""

from __future__ import annotations

import contextlib
import random
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from edgeclf.errors import EdgeclfError
from edgeclf.search.heartbeat import beating
from edgeclf.search.space import Space, Value
from edgeclf.search.storage import HEARTBEAT_SECONDS, MOST_RETRIES, open_storage

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

RANDOM_TRIALS = 5
"""Suggested trials that are drawn at random, before the sampler has seen enough."""
_PLAN, _RECORD, _REASON, _SPARE, _DEATHS = "plan", "record", "reason", "spare", "deaths"


class RefusedTrialError(EdgeclfError):
    """A candidate that cannot be made; the study goes on. The message is the reason."""


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        score: the smaller, the better.
        record: JSON's own types; kept with the trial.
    """

    score: float
    record: Mapping[str, Any]


@dataclass(frozen=True)
class Finished:
    """A trial that came to its end.

    Attributes:
        number: of the trial; numbers grow in the order in which trials began.
        state: `complete`; `refused`: it could not be made; `lost`: the process died in it again and again.
        plan: what was enqueued; None: it was suggested.
        suggested: values of a suggested one.
        score: of a complete one.
        record: of a complete one.
        reason: of another one.
    """

    number: int
    state: Literal["complete", "refused", "lost"]
    plan: Mapping[str, Any] | None
    suggested: Mapping[str, Value]
    score: float | None = None
    record: Mapping[str, Any] | None = None
    reason: str = ""


class Asked:
    """A trial that is to be evaluated.

    Attributes:
        number: of the trial.
        plan: what was enqueued; None: values are to be suggested.
    """

    def __init__(self, trial: Any, position: int, seed: int) -> None:
        self.number: int = trial.number
        self.plan: Mapping[str, Any] | None = trial.user_attrs.get(_PLAN)
        self._trial, self._position, self._seed = trial, position, seed

    def suggest(self, space: Space) -> dict[str, Value]:
        """Choose a value for each name, by what earlier trials have shown."""
        self._trial.study.sampler = _sampler(random.Random(f"{self._seed}/{self._position}").getrandbits(32))
        return {name: part.suggest(name, self._trial) for name, part in space.items()}

    def report(self, step: int, score: float) -> bool:
        """Record an intermediate score; returns whether the trial should be given up."""
        self._trial.report(score, step)
        return bool(self._trial.should_prune())


Evaluate = Callable[[Asked], Evaluation]
"""Evaluates a trial; raises RefusedTrialError where the candidate cannot be made."""


class Study:
    """Trials under one name in one storage; see `open_study`."""

    def __init__(self, study: Any, storage: Any, *, seed: int, heartbeat: int | None) -> None:
        self._study, self._storage = study, storage
        self._seed, self._heartbeat = seed, heartbeat

    def enqueue(self, plans: Sequence[Mapping[str, Any]]) -> None:
        """Add trials that come before all suggested ones, in order; those that were added already are left out.

        Args:
            plans: JSON's own types, one each.
        """
        known = [trial.user_attrs.get(_PLAN) for trial in self._trials()]
        for plan in plans:
            if dict(plan) not in known:
                self._study.enqueue_trial({}, user_attrs={_PLAN: dict(plan)})

    def is_empty(self) -> bool:
        """Return whether there is no trial yet, not even a waiting one."""
        return not self._trials()

    def finished(self) -> tuple[Finished, ...]:
        """Return the trials that came to their end, by number."""
        trials = self._trials()
        retried = {number for trial in trials for number in trial.system_attrs.get("retry_history", ())}
        found = (_finished(trial) for trial in trials if trial.number not in retried)
        return tuple(one for one in found if one is not None)

    def running(self) -> tuple[int, ...]:
        """Return the numbers of the trials that some worker is evaluating, or was when it died."""
        return tuple(trial.number for trial in self._trials() if trial.state.name == "RUNNING")

    def run(
        self,
        evaluate: Evaluate,
        *,
        done: Callable[[Sequence[Finished]], bool],
        suggestions: int = 0,
        seconds: float | None = None,
    ) -> None:
        """Evaluate trials until `done`, or until nothing is left to do.

        A worker that finds nothing to do, while others work on a shared study, waits for what they find: if one of them
        dies, it takes that trial over.

        Args:
            evaluate: see `Evaluate`. Other exceptions than RefusedTrialError end the run; the trial is tried again by
                the next one.
            done: asked before each trial whether what is finished suffices.
            suggestions: trials in the whole study, of all workers, that the sampler may suggest.
            seconds: after which no other trial begins; None: no limit.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while not done(self.finished()) and (deadline is None or time.monotonic() < deadline):
            self._revive()
            waiting = any(trial.state.name == "WAITING" for trial in self._trials())
            left = suggestions - sum(map(_is_suggested, self._trials()))
            if waiting or left > 0:
                self._evaluate_one(evaluate, suggestions)
            elif self.running():
                time.sleep((self._heartbeat or 1) / 2)
            else:
                return

    def retry_unfinished(self) -> None:
        """Let trials be tried again that a process left which is not there any more; they keep their place.

        Only for a storage that no other process uses: in a shared one heartbeats show who died.
        """
        for trial in self._trials():
            if trial.state.name == "RUNNING":
                tries = trial.user_attrs.get(_DEATHS, 0) + 1
                self._storage.set_trial_user_attr(self._key(trial.number), _DEATHS, tries)
                self._wait_again(trial.number) if tries <= MOST_RETRIES else self._fail(trial.number)

    def _evaluate_one(self, evaluate: Evaluate, suggestions: int) -> None:
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        with _quiet():
            trial = self._study.ask()
        earlier = [one for one in self._trials() if one.number < trial.number]
        if trial.user_attrs.get(_PLAN) is None and sum(map(_is_suggested, earlier)) >= suggestions:
            # another worker took the one that was waiting, or the last that may be suggested
            trial.set_user_attr(_SPARE, True)
            self._study.tell(trial, state=TrialState.PRUNED)
            return
        gone = sum(1 for one in earlier if one.state.name == "FAIL" or _is_spare(one))
        try:
            with beating(self._storage, self._key(trial.number), self._heartbeat):
                found = evaluate(Asked(trial, trial.number - gone, self._seed))
        except RefusedTrialError as error:
            outcome: dict[str, Any] = {"state": TrialState.PRUNED}
            kept: tuple[str, Any] = (_REASON, str(error))
        except BaseException:
            self._wait_again(trial.number)
            raise
        else:
            outcome, kept = {"values": found.score}, (_RECORD, dict(found.record))
        # where this worker was thought dead, another one has the trial now
        with contextlib.suppress(UpdateFinishedTrialError):
            trial.set_user_attr(*kept)
            self._study.tell(trial, **outcome)

    def _revive(self) -> None:
        if self._heartbeat is not None:
            import optuna

            with _quiet():
                optuna.storages.fail_stale_trials(self._study)

    def _wait_again(self, number: int) -> None:
        from optuna.trial import TrialState

        self._storage.set_trial_state_values(self._key(number), TrialState.WAITING)

    def _fail(self, number: int) -> None:
        from optuna.trial import TrialState

        self._study.tell(number, state=TrialState.FAIL)

    def _key(self, number: int) -> int:
        study = self._storage.get_study_id_from_name(self._study.study_name)
        return cast(int, self._storage.get_trial_id_from_study_id_trial_number(study, number))

    def _trials(self) -> list[FrozenTrial]:
        return cast("list[FrozenTrial]", self._study.get_trials(deepcopy=False))


def open_study(name: str, place: str | Path, *, seed: int = 0, heartbeat: int = HEARTBEAT_SECONDS) -> Study:
    """Open a study, or create it.

    Args:
        name: of the study in the storage.
        place: see `open_storage`. In a file, which this process alone uses, trials without an end belong to a process
            that died, and are tried again.
        seed: of the sampler.
        heartbeat: seconds; see `HEARTBEAT_SECONDS`.

    Raises:
        InputError: the storage cannot be used.
        OutputError: the file cannot be written.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage, shared = open_storage(place, heartbeat), not isinstance(place, Path)
    with _quiet():
        made = optuna.create_study(study_name=name, storage=storage, load_if_exists=True, sampler=_sampler(seed))
    study = Study(made, storage, seed=seed, heartbeat=heartbeat if shared else None)
    if not shared:
        study.retry_unfinished()
    return study


def _sampler(seed: int) -> Any:
    from optuna.samplers import TPESampler

    with _quiet():
        return TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS, constant_liar=True)


def _finished(trial: FrozenTrial) -> Finished | None:
    states: dict[str, Literal["complete", "refused", "lost"]] = {
        "COMPLETE": "complete",
        "PRUNED": "refused",
        "FAIL": "lost",
    }
    state = states.get(trial.state.name)
    if state is None or _is_spare(trial):
        return None
    reason = "the process died each time that it was tried" if state == "lost" else trial.user_attrs.get(_REASON, "")
    return Finished(
        number=trial.number,
        state=state,
        plan=trial.user_attrs.get(_PLAN),
        suggested=dict(trial.params),
        score=trial.value if state == "complete" else None,
        record=trial.user_attrs.get(_RECORD),
        reason="" if state == "complete" else reason,
    )


def _is_spare(trial: FrozenTrial) -> bool:
    return bool(trial.user_attrs.get(_SPARE))


def _is_suggested(trial: FrozenTrial) -> bool:
    return _PLAN not in trial.user_attrs and not _is_spare(trial) and trial.state.name != "FAIL"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna's warnings away: parts that are used here are called experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
