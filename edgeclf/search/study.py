"""A study: trials that are asked for, evaluated, and kept; what was enqueued comes first, then what a sampler suggests.

The order of one worker is decided by the seed, also where the worker was killed and began again: the sampler of each
trial gets a seed of its own, from the study's and the number of trials before it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from edgeclf.search.asked import Asked
from edgeclf.search.heartbeat import beating
from edgeclf.search.sampling import check_method, make_pruner, make_sampler, quiet, seed_of
from edgeclf.search.space import Value
from edgeclf.search.storage import HEARTBEAT_SECONDS, MOST_RETRIES, open_storage, patiently
from edgeclf.search.trials import (
    BEFORE,
    DEATHS,
    ENDED,
    FREE,
    PLAN,
    REASON,
    RECORD,
    SPARE,
    Evaluation,
    Finished,
    RefusedTrialError,
    is_spare,
    is_suggested,
    read_finished,
)

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

LAST_STEP = 10
"""Step at which a whole trial reports last, where it is to be compared with others before its end."""

LONGEST_WAIT = 5.0
"""Seconds after which a worker that has nothing to do looks again what the others have found."""


Evaluate = Callable[[Asked], Evaluation]
"""Evaluates a trial; raises RefusedTrialError where the candidate cannot be made."""


class Study:
    """Trials under one name in one storage; see `open_study`."""

    def __init__(self, study: Any, storage: Any, *, method: str, seed: int, heartbeat: int | None) -> None:
        self._study, self._storage, self._method = study, storage, method
        self._seed, self._heartbeat = seed, heartbeat

    def enqueue(self, plans: Sequence[Mapping[str, Any]], values: Sequence[Mapping[str, Value]] = ()) -> None:
        """Add trials that come before all suggested ones, in order; those that were added already are left out.

        Args:
            plans: JSON's own types, one each.
            values: what `Asked.suggest` returns for each; empty: that is left to the sampler.
        """
        known = [trial.user_attrs.get(PLAN) for trial in self._trials()]
        for plan, given in zip(plans, values or [{}] * len(plans), strict=True):
            if dict(plan) not in known:
                self._study.enqueue_trial(dict(given), user_attrs={PLAN: dict(plan)})

    def keep(self, name: str, make: Callable[[], Any]) -> Any:
        """Keep what `make` returns, of JSON's own types, with the study, unless it has something of this name; returns
        what it has."""
        if name not in self._kept():
            made = make()
            # which may take a while: another worker may have been first
            if name not in self._kept():
                patiently(lambda: self._study.set_user_attr(name, made))
        return self._kept()[name]

    def finished(self) -> tuple[Finished, ...]:
        """Return the trials that came to their end, by number."""
        trials = self._trials()
        retried = {number for trial in trials for number in trial.system_attrs.get("retry_history", ())}
        found = (read_finished(trial) for trial in trials if trial.number not in retried)
        return tuple(one for one in found if one is not None)

    def running(self) -> tuple[int, ...]:
        """Return the numbers of the trials that some worker is evaluating, or was when it died."""
        return tuple(trial.number for trial in self._trials() if trial.state.name == "RUNNING")

    def taken(self) -> tuple[Mapping[str, Value], ...]:
        """Return the values of all trials, also of those that run, or wait with values of their own."""
        return tuple(trial.params or trial.system_attrs.get("fixed_params", {}) for trial in self._trials())

    def run(
        self,
        evaluate: Evaluate,
        *,
        done: Callable[[Sequence[Finished]], bool],
        suggestions: int = 0,
        seconds: float | None = None,
    ) -> bool:
        """Evaluate trials until `done`, or until nothing is left to do.

        A worker that finds nothing to do, while others work on a shared study, waits for what they find: if one of them
        dies, it takes that trial over.

        Args:
            evaluate: see `Evaluate`. Other exceptions than RefusedTrialError end the run; the trial is tried again by
                the next one.
            done: asked before each trial whether what is finished suffices.
            suggestions: trials in the whole study, of all workers, that the sampler may suggest.
            seconds: after which no other trial begins; None: no limit.

        Returns:
            whether it came to its end before `seconds` were over.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while not done(self.finished()):
            if deadline is not None and time.monotonic() >= deadline:
                return False
            self._revive()
            waiting = any(trial.state.name == "WAITING" for trial in self._trials())
            left = suggestions - sum(map(is_suggested, self._trials()))
            if waiting or left > 0:
                self._evaluate_one(evaluate, suggestions)
            elif self.running():
                time.sleep(min((self._heartbeat or 1) / 2, LONGEST_WAIT))
            else:
                break
        return True

    def retry_unfinished(self) -> None:
        """Let trials be tried again that a process left which is not there any more; they keep their place.

        Only for a storage that no other process uses: in a shared one heartbeats show who died.
        """
        for trial in self._trials():
            if trial.state.name == "RUNNING":
                tries = trial.user_attrs.get(DEATHS, 0) + 1
                self._storage.set_trial_user_attr(self._key(trial.number), DEATHS, tries)
                self._wait_again(trial.number) if tries <= MOST_RETRIES else self._fail(trial.number)

    def _evaluate_one(self, evaluate: Evaluate, suggestions: int) -> None:
        from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
        from optuna.trial import TrialState

        with quiet():
            trial = self._study.ask()
        if self._heartbeat is not None:  # at once: one without any would run for ever if this process died here
            patiently(lambda: self._storage.record_heartbeat(self._key(trial.number)))
        earlier, plan = [one for one in self._trials() if one.number < trial.number], trial.user_attrs.get(PLAN)
        if plan is None:
            # another worker took the one that was waiting, or the last that may be suggested
            spare = sum(map(is_suggested, earlier)) >= suggestions
        else:
            # two workers that began at the same time have both enqueued it
            alike = [one for one in earlier if one.user_attrs.get(PLAN) == plan and not is_spare(one)]
            spare = any(one.state.name != "FAIL" for one in alike)
        if spare:
            trial.set_user_attr(SPARE, True)
            self._study.tell(trial, state=TrialState.PRUNED)
            return
        gone = sum(1 for one in earlier if one.state.name == "FAIL" or is_spare(one))

        def sampler() -> Any:
            return make_sampler(self._method, seed_of(self._seed, trial.number - gone))

        outcome: dict[str, Any] = {"state": TrialState.PRUNED}
        try:
            with beating(self._storage, patiently(lambda: self._key(trial.number)), self._heartbeat):
                found = evaluate(Asked(trial, sampler, self._first(trial.number)))
        except RefusedTrialError as error:
            kept: dict[str, Any] = {REASON: str(error), **({FREE: True} if error.free else {})}
        except UpdateFinishedTrialError:
            return  # this worker was thought dead, and another one has the trial now
        except BaseException:
            # a database that is gone gives the trial to another worker, by its heartbeats
            with contextlib.suppress(UpdateFinishedTrialError, StorageInternalError):
                self._wait_again(trial.number)
            raise
        else:
            outcome = outcome if found.pruned else {"values": found.score}
            kept = {RECORD: dict(found.record), **({FREE: True} if found.free else {})}
        with contextlib.suppress(UpdateFinishedTrialError):
            kept[ENDED], kept[BEFORE] = time.time(), sum(one.state.is_finished() for one in self._trials())
            patiently(lambda: [trial.set_user_attr(name, value) for name, value in kept.items()])
            patiently(lambda: self._study.tell(trial, **outcome))

    def _revive(self) -> None:
        if self._heartbeat is not None:
            import optuna

            with quiet():
                patiently(lambda: optuna.storages.fail_stale_trials(self._study))

    def _wait_again(self, number: int) -> None:
        from optuna.trial import TrialState

        self._storage.set_trial_state_values(self._key(number), TrialState.WAITING)

    def _fail(self, number: int) -> None:
        from optuna.trial import TrialState

        self._study.tell(number, state=TrialState.FAIL)

    def _first(self, number: int) -> int:
        """Return the number of the trial that one is a retry of, which Optuna notes beside it."""
        return int(
            patiently(lambda: self._storage.get_trial(self._key(number))).system_attrs.get("failed_trial", number)
        )

    def _key(self, number: int) -> int:
        study = self._storage.get_study_id_from_name(self._study.study_name)
        return cast(int, self._storage.get_trial_id_from_study_id_trial_number(study, number))

    def _kept(self) -> dict[str, Any]:
        return cast("dict[str, Any]", patiently(lambda: self._study.user_attrs))

    def _trials(self) -> list[FrozenTrial]:
        return cast("list[FrozenTrial]", patiently(lambda: self._study.get_trials(deepcopy=False)))


def open_study(
    name: str,
    place: str | Path,
    *,
    seed: int = 0,
    method: str = "tpe",
    pruner: str = "none",
    heartbeat: int = HEARTBEAT_SECONDS,
) -> Study:
    """Open a study, or create it.

    Args:
        name: of the study in the storage.
        place: see `open_storage`. In a file, which this process alone uses, trials without an end belong to a process
            that died, and are tried again.
        seed: of the sampler.
        method: one of `sampling.METHODS`.
        pruner: one of `sampling.PRUNERS`: which trials `Asked.report` gives up.
        heartbeat: seconds; see `HEARTBEAT_SECONDS`.

    Raises:
        InputError: the storage cannot be used.
        UnknownNameError: there is no such method or pruner.
        OutputError: the file cannot be written.
    """
    import optuna

    check_method(method, pruner)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage, shared = open_storage(place, heartbeat), not isinstance(place, Path)
    with quiet():
        made = optuna.create_study(
            study_name=name,
            storage=storage,
            load_if_exists=True,
            sampler=make_sampler(method, seed),
            pruner=make_pruner(pruner, LAST_STEP),
        )
    study = Study(made, storage, method=method, seed=seed, heartbeat=heartbeat if shared else None)
    if not shared:
        study.retry_unfinished()
    return study
