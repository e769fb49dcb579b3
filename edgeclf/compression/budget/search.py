"""Searches for the cheapest recipe whose model holds a budget: a ladder of known recipes, then what a sampler suggests.

A search that was killed goes on with the same command: candidates are kept in a hidden folder beside the models, trials
in a study (see `edgeclf.search`). Candidates do not depend on the limits, so another budget takes them from there.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeclf.atomic import check_writable
from edgeclf.compression.budget.frontier import pick
from edgeclf.compression.budget.judging import Judge, Judged, Measured, images_to_prove
from edgeclf.compression.budget.ladder import TIME_NOISE, Rung, make_ladder, make_space, recipe_of
from edgeclf.compression.budget.limits import LIMITS, Budget
from edgeclf.compression.budget.looks import count_looks
from edgeclf.compression.budget.making import CandidateMaker
from edgeclf.compression.budget.means import find_means, find_noisy_layers
from edgeclf.compression.budget.report import Refused
from edgeclf.compression.budget.request import LACKS_IMAGES, SearchPlan
from edgeclf.compression.budget.writing import Found, write_result
from edgeclf.compression.compress_report import CompressReport
from edgeclf.compression.pipeline.context import RecipeContext
from edgeclf.compression.pipeline.identity import describe_inputs, describe_network
from edgeclf.compression.pipeline.preparation import prepare
from edgeclf.compression.pipeline.request import check_kind, find_folder
from edgeclf.compression.pipeline.scoring import scored_split
from edgeclf.compression.pipeline.training_data import Images
from edgeclf.compression.recipe import Recipe, digest_of
from edgeclf.errors import DataError, InputError
from edgeclf.graph.private_apis import safe_mode
from edgeclf.keras_files.loading import LoadedNetwork, load_network
from edgeclf.measure.formatting import milliseconds, size
from edgeclf.measure.machine import describe_machine
from edgeclf.progress import SILENT, Progress
from edgeclf.search import Asked, Evaluation, Finished, RefusedTrialError, Space, Study, open_study
from edgeclf.search.storage import show_url

JUDGED_BY = (
    "the drop is judged by the upper end of its interval on validation images; each further look at them makes it "
    "wider, so that of ten whose true drop is the limit one passes by luck with a chance of about 5 %, and up to 13 % "
    "where images are lost and none are gained. Searches with other limits look at the same images, and are counted by "
    "themselves"
)


def search(plan: SearchPlan, progress: Progress = SILENT, images: Images = None) -> CompressReport:
    """Search, and write the model that was picked.

    Args:
        plan: what is searched for.
        progress: where bars and candidates are shown.
        images: what `check_request` listed; None: the plan names them.

    Raises:
        InputError: the source, the data, the budget or the output cannot be used.
        RunFailedError: the disk is full.
    """
    began, compress = time.monotonic(), plan.compress
    loaded = load_network(compress.source, trust_model=compress.trust_model)
    check_kind(loaded.kind, loaded.path.name, compress.recipes)
    out = find_folder(compress, loaded.path, loaded.run)
    check_writable(out)
    with safe_mode(not compress.trust_model):
        context = prepare(loaded, compress, progress, images)
        _check_validation(context, plan.budget)
        origin = describe_network(loaded)
        identity = digest_of(describe_inputs(origin, compress, context))
        folder = out / f".{loaded.name}.search"
        maker = CandidateMaker(origin, compress, context, plan.budget, folder / identity[:16])
        work = _Work(plan, loaded, context, maker, progress)
        study, asked = _open(work, folder, identity)
        ended = work.run(study)
        storage = None if plan.budget.storage is None else show_url(plan.budget.storage)
        found = Found(
            search=asked,
            budget=dataclasses.replace(plan.budget, storage=storage),
            judged=work.judge(study.finished()),
            refused=(*work.refused, *_refused(study.finished())),
            suggested=sum(1 for one in study.finished() if one.plan is None and one.record is not None),
            provable_drop=work.provable_drop,
            ended=ended,
            fixed=plan.fixed,
            notes=(JUDGED_BY,) if plan.budget.max_drop is not None and plan.budget.judge == "interval" else (),
        )
        return write_result(found, maker, out, overwrite=compress.overwrite, began=began)


def _check_validation(context: RecipeContext, budget: Budget) -> None:
    if budget.max_drop is None:
        return
    scored = scored_split(context.data)
    if scored is None:
        raise InputError(LACKS_IMAGES)
    if scored[0] != "validation":
        raise DataError(
            "--max-drop is judged on validation images, and the data has none: expected a folder validation beside "
            "train, or class folders without splits"
        )


def _open(work: _Work, folder: Path, identity: str) -> tuple[Study, str]:
    """Open the study of a search; returns the digest of what is searched for, too."""
    budget, plan = work.plan.budget, work.plan.compress
    asked = {
        "identity": identity,
        "limits": [getattr(budget, name) for name in (*LIMITS, "judge")],
        # what is in the report: another one of the same name has other times
        "board": work.maker.board_models,
        "named": work.plan.named,
        "recipes": [recipe.to_dict() for recipe in plan.recipes],
        "settings": dict(work.plan.settings),
        "fixed": work.plan.fixed,
    }
    if budget.max_latency is not None and budget.board is None:
        asked["processor"] = describe_machine().processor  # times of different ones cannot be compared
    if not plan.speed:
        asked["speed"] = False  # with times it is another search, which measures them
    digest = digest_of(asked)[:16]
    work.maker.store.begin(digest)
    name = f"compress-{work.loaded.name}-{digest}"
    return open_study(name, budget.storage or folder / "study.journal", seed=plan.seed), digest


@dataclasses.dataclass
class _Work:
    """One search: from trials to candidates and back."""

    plan: SearchPlan
    loaded: LoadedNetwork
    context: RecipeContext
    maker: CandidateMaker
    progress: Progress
    refused: tuple[Refused, ...] = ()
    provable_drop: float | None = None

    @property
    def budget(self) -> Budget:
        return self.plan.budget

    @property
    def images(self) -> int | None:
        """Validation images that the drop is judged on."""
        correct = self.context.float_correct
        return None if correct is None or self.budget.max_drop is None else len(correct)

    def run(self, study: Study) -> bool:
        """Try recipes until one holds the budget, or there are no more; returns False where the hours ended before."""
        provable = self._check_provable()
        bases = self.plan.compress.recipes
        means, refused = find_means(self.plan, self.context, kind=self.loaded.kind, provable=provable)
        self.refused += refused
        space: Space = {}
        if self.plan.fixed:
            study.enqueue(study.keep("ladder", lambda: [Rung.of(one, means.calibration).to_dict() for one in bases]))
        else:
            plain = self._make_plain(Rung.of(bases[0], means.calibration))

            def list_rungs() -> list[dict[str, Any]]:
                noisy = dataclasses.replace(means, noisy_layers=find_noisy_layers(self.plan, self.context, plain))
                return [rung.to_dict() for rung in make_ladder(noisy, self.budget, plain)]

            study.enqueue(study.keep("ladder", list_rungs))
            space = make_space(means, self.budget, plain)

        def evaluate(asked: Asked) -> Evaluation:
            rung = recipe_of(asked.suggest(space), means) if asked.plan is None else Rung.from_dict(dict(asked.plan))
            finished = study.finished()
            self._check_shape(rung, finished)
            self._check_look(rung, finished)
            measured = self.maker.make(rung)
            self._log(measured, study.finished())
            (alone,) = Judge(self.budget).judge([measured])
            return Evaluation(alone.worst, measured.to_dict())

        return study.run(
            evaluate,
            done=lambda finished: pick(self.judge(finished)) is not None,
            suggestions=self.budget.trials if space else 0,
            seconds=None if self.budget.hours is None else 3600 * self.budget.hours,
        )

    def judge(self, finished: Sequence[Finished]) -> tuple[Judged, ...]:
        """Judge the candidates of the finished trials, in order."""
        return Judge(self.budget).judge(_measured(finished))

    def _make_plain(self, rung: Rung) -> Measured:
        try:
            return self.maker.make(rung)
        except RefusedTrialError as error:
            raise InputError(f"{Recipe.from_dict(rung.recipe).name}: {error}") from error

    def _check_provable(self) -> bool:
        """Report the smallest drop that the validation images can prove; returns whether the limit is above."""
        limit = self.budget.max_drop_fraction
        if limit is None or self.images is None or self.budget.judge != "interval":
            return True
        self.provable_drop = Judge(self.budget).provable_drop(self.images)
        least = f"{self.images:,} validation images can prove a drop of {100 * self.provable_drop:.2f} points at best"
        if self.provable_drop <= limit:
            self.progress.info(f"{least}, where none of them changes sides")
            return True
        needed = images_to_prove(limit)
        more = "no number of images can" if needed is None else f"at least {needed:,} would be needed"
        self.progress.warn(
            f"{least}, so --max-drop {self.budget.max_drop:g} cannot be promised ({more}): nothing is trained for it. "
            "Add photos to validation, allow a larger drop, or take --judge estimate, which promises nothing for "
            "pictures that were never seen"
        )
        return False

    def _check_shape(self, rung: Rung, finished: Sequence[Finished]) -> None:
        """Refuse a recipe before it is trained if a network of the same widths is too large or too slow already."""
        recipe = Recipe.from_dict(rung.recipe)
        if not any(step.kind == "shrink" for step in recipe.steps):
            return
        shape, most, limit = _shape_of(rung.recipe), self.budget.max_size, self.budget.max_latency
        for found in _measured(finished):
            large = most is not None and found.size_bytes > most
            slow = limit is not None and found.latency_ms is not None and found.latency_ms > TIME_NOISE * limit
            if (large or slow) and _shape_of(found.recipe) == shape:
                raise RefusedTrialError(
                    f"{recipe.name}: {found.name}, whose layers are as wide, is too {'large' if large else 'slow'}"
                )

    def _check_look(self, rung: Rung, finished: Sequence[Finished]) -> None:
        """Refuse a recipe before it is trained if no result of it could be proven any more."""
        limit, recipe = self.budget.max_drop_fraction, Recipe.from_dict(rung.recipe)
        if limit is None or self.images is None or self.budget.judge != "interval" or not recipe.trains:
            return
        judge = Judge(self.budget)
        judge.judge(_measured(finished))
        looks = count_looks(recipe, self.context)
        least = judge.provable_drop(self.images, looks)
        if least > limit:
            raise RefusedTrialError(
                f"{recipe.name}: after so many looks {self.images:,} validation images can prove a drop of "
                f"{100 * least:.2f} points at best"
            )

    def _log(self, found: Measured, finished: Sequence[Finished]) -> None:
        """Log what a candidate costs, with the bound of its drop that is compared after the looks before."""
        judge, parts = Judge(self.budget), []
        judge.judge(_measured(finished))
        (one,) = judge.judge([found])
        if one.drop is not None:
            parts.append(f"drop {100 * one.drop:.2f} points")
            if one.drop_bound is not None and one.drop_bound != one.drop:
                parts[-1] += f" (at most {100 * one.drop_bound:.2f})"
        parts.append(size(found.size_bytes))
        if found.latency_ms is not None:
            parts.append(milliseconds(found.latency_ms))
        self.progress.info(f"{found.label}: {', '.join(parts)}")


def _shape_of(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides about size and time of a recipe's file, of its plain values: not how it was trained."""
    steps = [{key: value for key, value in step.items() if key != "training"} for step in recipe["steps"]]
    return {**recipe, "steps": [step for step in steps if step["kind"] != "qat"]}


def _measured(finished: Sequence[Finished]) -> list[Measured]:
    """Return the candidates in the order in which they were finished: what was judged is not judged anew by others."""
    ordered = sorted(finished, key=lambda one: one.order)
    return [Measured.from_dict(dict(one.record)) for one in ordered if one.record is not None]


def _refused(finished: Sequence[Finished]) -> tuple[Refused, ...]:
    found = []
    for one in finished:
        if one.state != "complete":
            name = "a suggested recipe" if one.plan is None else Recipe.from_dict(one.plan["recipe"]).name
            found.append(Refused(name, one.reason))
    return tuple(dict.fromkeys(found))
