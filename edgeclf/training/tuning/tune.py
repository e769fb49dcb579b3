"""Searches for the settings of a training: the defaults first, then what a sampler or a grid suggests.

The same command goes on with a search that was killed: finished trials are in the study, a half-finished training goes
on from its checkpoint.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeclf.atomic import write_text
from edgeclf.errors import InputError, ModelError, one_line
from edgeclf.measure.formatting import milliseconds, percent, size
from edgeclf.measure.machine import describe_machine
from edgeclf.progress import SILENT, Progress, Task
from edgeclf.search import Asked, Evaluation, Finished, RefusedTrialError, Study, open_study
from edgeclf.search.sampling import choose_untried, seed_of
from edgeclf.search.space import Value
from edgeclf.training.budget.candidates import Candidate
from edgeclf.training.config import TrainConfig
from edgeclf.training.earlier_run import EARLIER_VERSIONS
from edgeclf.training.tuning.conclusion import breaks_limits, conclude
from edgeclf.training.tuning.plan import TuneFolder, TunePlan
from edgeclf.training.tuning.report import JSON_NAME, Trained, Trial, TuneReport, find_best, read_trial
from edgeclf.training.tuning.shapes import MOST_POINTS, Costing, SearchSpace
from edgeclf.training.tuning.sources import reach_weights
from edgeclf.training.tuning.trial import TrialRun, make_config, photos_error


def tune(plan: TunePlan, folder: TuneFolder, progress: Progress = SILENT) -> TuneReport:
    """Search, and write `tune.json` and the link to the best run; goes on where an earlier call ended.

    Args:
        plan: what is searched, and how long.
        folder: that was begun for the plan.
        progress: where bars and trials are shown.

    Raises:
        InputError: settings, photos or the storage cannot be used.
        RunFailedError: the disk is full.
    """
    place: str | Path = plan.search.storage or folder.journal
    method, pruner = plan.search.method, "none" if plan.config.quick else plan.search.pruner
    study = open_study(plan.study_name, place, seed=plan.config.seed, method=method, pruner=pruner)
    work = _Work(plan, folder, study, _recall_space(plan, study, progress), progress)
    work.run()
    return work.conclude()


def _recall_space(plan: TunePlan, study: Study, progress: Progress) -> SearchSpace:
    """Return what the study has searched so far, which other weights on this machine do not change."""

    def find() -> dict[str, Any]:
        space = plan.find_space()
        reached = plan.config.weights != "auto" or reach_weights(plan.config, space.shapes, progress)
        return (space if reached else plan.find_space(offline=True)).to_dict()

    return SearchSpace.from_dict(study.keep("space", find))


@dataclass
class _Work:
    """One session of a search."""

    plan: TunePlan
    folder: TuneFolder
    study: Study
    space: SearchSpace
    progress: Progress
    reported: int = 0
    exhausted: bool = False

    def __post_init__(self) -> None:
        known = [_cost_of(one.record) for one in self.study.finished() if one.record is not None]
        shapes = {one.key: one for one in self.space.shapes}
        measured = [
            dataclasses.replace(shapes[key], latency_ms=latency, size_bytes=content or shapes[key].size_bytes)
            for key, latency, content in known
            if key in shapes and latency is not None
        ]
        plan = self.plan
        self.costing = Costing(plan.config, measured, trust_model=plan.trust_model, progress=self.progress)
        self._check_processor()
        self.trial = TrialRun(plan, self.progress)

    def _check_processor(self) -> None:
        """Refuse to compare times of different processors."""
        records = [one.record for one in self.study.finished() if one.record is not None]
        here = describe_machine().processor
        others = {str(one["cpu"]) for one in records if one.get("latency_ms") is not None} - {here}
        if self.costing.measures and others:
            raise InputError(
                f"this search has times of {', '.join(sorted(others))}, and this machine is a {here}: expected one "
                "processor; give the times of the device with --for bench.json"
            )

    def run(self) -> None:
        """Try settings until there are enough trials, or the time is over."""
        search, study = self.plan.search, self.study
        study.enqueue([{"defaults": True}])
        grid = list(self._grid()) if search.method == "grid" else []
        study.enqueue([{"values": values} for values in grid], grid)
        with self.progress.task("trials", search.trials) as task:
            task.advance(min(search.trials, len(self._counted())), self._describe_best())
            study.run(
                lambda asked: self._evaluate(asked, task),
                done=self._is_done,
                suggestions=0 if search.method == "grid" else search.trials - 1,
                seconds=None if search.hours is None else 3600 * search.hours,
            )

    def conclude(self) -> TuneReport:
        """Make the report, and write it."""
        plan = self.plan
        report = conclude(plan, self.space, self.study.finished(), self.costing)
        best = report.trial(report.best)
        if best is not None and best.trained is not None:
            elsewhere = "" if plan.is_here(best.trained) else best.trained.machine
            problem = self.folder.link_best(best.trained.run, elsewhere)
            report = dataclasses.replace(report, notes=(*report.notes, *filter(None, [problem])))
        path = self.folder.path / JSON_NAME
        elapsed = round(time.monotonic() - plan.began, 3)
        report = dataclasses.replace(report, seconds=elapsed, written=(str(path),))
        write_text(path, report.to_json(indent=1) + "\n")
        return report

    def _is_done(self, finished: Sequence[Finished]) -> bool:
        """Return whether nothing is left to try, and keep the report up to date for whoever stops the search."""
        if len(finished) > self.reported:
            self.reported = len(finished)
            self.conclude()
        return self.exhausted or len(self._counted()) >= self.plan.search.trials

    def _counted(self) -> list[Finished]:
        """List the finished trials but those that took nothing, for which others are suggested."""
        return [one for one in self.study.finished() if not one.free]

    def _grid(self) -> Iterator[dict[str, Value]]:
        """Draw the points of the grid that are tried, all of them where there are enough trials."""
        points = []
        for values in self.space.grid():
            points.append(values)
            if len(points) > MOST_POINTS:
                raise InputError(
                    f"the grid has more than {MOST_POINTS:,} points; narrow it with --space, or take --search random"
                )
        room = self.plan.search.trials - 1
        if len(points) > room:
            self.progress.warn(
                f"the grid has {len(points):,} points, of which {room:,} are drawn for --trials "
                f"{self.plan.search.trials}; narrow it with --space to try all"
            )
            points = random.Random(self.plan.config.seed).sample(points, len(points))[:room]
        yield from points

    def _evaluate(self, asked: Asked, task: Task) -> Evaluation:
        defaults = asked.plan is not None and "values" not in asked.plan
        values, shape = ({}, None) if defaults else self.space.suggest(asked)
        config = self._make_config(values, shape)
        twin = None if defaults else self._find_twin(config)
        if twin is not None:
            repeat = dataclasses.replace(twin[1], same_as=twin[0])
            return self._finish(repeat, asked, task, pruned=twin[2], free=self._enqueue_untried(asked, values))
        if shape is not None and self.costing.asked:
            shape = self._check_cost(shape)
        path = self.folder.trial_path(self.plan.data.name, asked.first)
        fingerprint = next(iter(self._fingerprints()), None)
        start = shape.start if shape is not None and config.weights == "auto" else None
        trained, pruned = self.trial.train(asked, config, path, defaults=defaults, fingerprint=fingerprint, start=start)
        if self._fingerprints() - {trained.fingerprint}:
            raise photos_error(self.plan)
        if self.costing.asked:
            shape = shape or self._shape_of(trained)
        if shape is not None and shape.latency_ms is not None:
            trained = dataclasses.replace(trained, latency_ms=shape.latency_ms, size_bytes=shape.size_bytes)
        return self._finish(trained, asked, task, pruned=pruned)

    def _make_config(self, values: dict[str, Value], shape: Candidate | None) -> TrainConfig:
        try:
            return make_config(self.plan, values, shape)
        except InputError as error:
            raise RefusedTrialError(str(error)) from error

    def _enqueue_untried(self, asked: Asked, values: Mapping[str, Value]) -> bool:
        """Let a point near a suggested one, which was tried before, come next; False: there is none left."""
        points = None if asked.plan is not None else self.space.all_points()
        if points is None:
            return False
        found = choose_untried(points, self.study.taken(), values, seed_of(self.plan.config.seed, asked.number))
        self.exhausted = found is None
        if found is not None:
            self.study.enqueue([{"values": found, "instead_of": asked.number}], [found])
        return not self.exhausted

    def _finish(self, trained: Trained, asked: Asked, task: Task, *, pruned: bool, free: bool = False) -> Evaluation:
        top1 = trained.validation_top1
        state = ", given up early" if pruned else f", as trial {trained.same_as}" if trained.same_as is not None else ""
        where = f"{trained.model}{'' if trained.width is None else f' {trained.width:g}'}"
        costs = (
            "" if trained.latency_ms is None else f", {milliseconds(trained.latency_ms)}, {size(trained.size_bytes)}"
        )
        best = self._find_best()
        standing = "" if best is None else f" (best so far {percent(best.rank[0])}, trial {best.number})"
        if best is not None and top1 > best.rank[0] and not pruned:
            standing = ", the best so far"
        self.progress.info(f"trial {asked.number}: {where}{costs}: validation {percent(top1)}{state}{standing}")
        task.advance(0 if free else 1, self._describe_best(top1))
        return Evaluation(1 - top1, trained.to_dict(), pruned, free)

    def _find_best(self) -> Trial | None:
        trials = map(read_trial, self.study.finished())
        return find_best([one for one in trials if not breaks_limits(one, self.costing)])

    def _describe_best(self, top1: float | None = None) -> str:
        best = self._find_best()
        found = [value for value in (top1, None if best is None else best.rank[0]) if value is not None]
        return f"best {percent(max(found))} on validation" if found else ""

    def _find_twin(self, config: TrainConfig) -> tuple[int, Trained, bool] | None:
        """Find a finished trial whose complete settings are those of `config`, as far as these are given."""
        given = {name: value for name, value in config.to_dict().items() if value is not None and name != "name"}
        for one in self.study.finished():
            if one.record is None or one.record.get("same_as") is not None:
                continue
            trained = Trained.from_dict(dict(one.record))
            settings = EARLIER_VERSIONS | dict(trained.settings)
            same = all(settings.get(name) == value for name, value in given.items())
            if same and self._leaves_open_alike(one, config):
                return one.number, trained, one.state == "pruned"
        return None

    def _leaves_open_alike(self, one: Finished, config: TrainConfig) -> bool:
        """Return whether another trial left the same settings to the defaults; else equal values may be by chance."""
        if one.plan is not None and "values" not in one.plan:
            return False
        names = {name for name in one.suggested if name in config.to_dict()}
        return all(getattr(config, name) is not None for name in names)

    def _check_cost(self, shape: Candidate) -> Candidate:
        self._check_processor()  # another machine may have joined
        try:
            found = self.costing.cost(shape)
        except ModelError as error:
            raise RefusedTrialError(
                f"{shape.name} at {shape.image_size} pixels cannot be timed: {one_line(error)}"
            ) from error
        if found.breaks:
            costs = [self.costing.cost(one) for one in self.space.shapes if self.costing.knows(one)]
            if len(costs) == len(self.space.shapes) and all(one.breaks for one in costs):
                nearest = min(costs, key=self.costing.limits.excess)
                raise InputError(
                    f"no network fits {self.costing.text}: the nearest, {nearest.name} at {nearest.image_size} pixels, "
                    f"takes {self.costing.limits.describe(nearest)}; allow more"
                )
            raise RefusedTrialError(
                f"{found.name} at {found.image_size} pixels takes {self.costing.limits.describe(found)}", free=True
            )
        return found

    def _shape_of(self, trained: Trained) -> Candidate | None:
        """Cost the shape that the defaults led to, where it is one of those that are searched."""
        key = (trained.model, trained.width, trained.image_size)
        found = next((one for one in self.space.shapes if one.key == key), None)
        try:
            return None if found is None else self.costing.cost(found)
        except ModelError:
            return None  # what it costs is not known, and the trial counts nevertheless

    def _fingerprints(self) -> set[str]:
        """Return those of the photos that the finished trials have seen."""
        return {str(one.record["fingerprint"]) for one in self.study.finished() if one.record is not None}


def _cost_of(record: Any) -> tuple[tuple[str, float | None, Any], float | None, int | None]:
    found = Trained.from_dict(dict(record))
    return (found.model, found.width, found.image_size), found.latency_ms, found.size_bytes
