"""Makes and measures the candidates of a search, each once."""

from __future__ import annotations

import dataclasses
import functools
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from edgeclf.artifact.macs import count_macs
from edgeclf.artifact.model_file import ModelFile
from edgeclf.atomic import is_full_disk
from edgeclf.compression.budget.board_models import models_of_format
from edgeclf.compression.budget.judging import Measured, processors_of
from edgeclf.compression.budget.ladder import Rung
from edgeclf.compression.budget.limits import Budget
from edgeclf.compression.budget.looks import count_looks
from edgeclf.compression.budget.store import CandidateStore, Stored
from edgeclf.compression.compress_report import CompressedModel
from edgeclf.compression.export.tflite import TFLite
from edgeclf.compression.exporter import Exporter
from edgeclf.compression.pipeline.context import RecipeContext
from edgeclf.compression.pipeline.identity import describe_inputs
from edgeclf.compression.pipeline.plan import CompressPlan
from edgeclf.compression.pipeline.preparation import draw_calibration
from edgeclf.compression.pipeline.run_recipe import Candidate, run_recipe
from edgeclf.compression.pipeline.scoring import score_float
from edgeclf.compression.pipeline.speed_gain import FLOAT_COST, SpeedMeter
from edgeclf.compression.pipeline.stage_cache import StageCache
from edgeclf.compression.recipe import Recipe, describe_settings
from edgeclf.errors import InputError, OutputError, RunFailedError, one_line
from edgeclf.inference.classifier import Classifier
from edgeclf.measure.machine import describe_machine
from edgeclf.measure.statistics import BoolArray
from edgeclf.search import RefusedTrialError
from edgeclf.training.budget import candidates as networks
from edgeclf.training.budget.speed import BoardSpeed, estimate_latency
from edgeclf.training.memory import refuse_without_memory


class CandidateMaker:
    """Makes candidates of one source.

    Args:
        origin: the source, as `describe_network` describes it.
        plan: of the call.
        context: what the recipes share, calibrated as the plan says.
        budget: the limits, and the board whose figures times are estimated from.
        folder: where candidates are kept.
    """

    def __init__(
        self, origin: dict[str, Any], plan: CompressPlan, context: RecipeContext, budget: Budget, folder: Path
    ) -> None:
        self._origin, self._plan, self._budget = origin, plan, budget
        self._contexts = {plan.calibration: context}
        self._meter = SpeedMeter(context, plan.recipes)
        self._board = None if budget.board is None else BoardSpeed.read(budget.board)
        self.store = CandidateStore(folder)

    @property
    def context(self) -> RecipeContext:
        """What the recipes share."""
        return self._contexts[self._plan.calibration]

    @property
    def board_models(self) -> list[dict[str, Any]] | None:
        """What times are estimated from, JSON's own types; None: nothing is."""
        return None if self._board is None else [model.to_dict() for model in self._board.models]

    def describe_times(self, measured: Iterable[Measured]) -> str:
        """Say in words what the times of candidates are from; empty: there are none."""
        if self._board is not None:
            return self._board.source
        processors = processors_of(measured)
        if not self._times or not processors:
            return ""
        where = "this machine" if processors == {describe_machine().processor} else " and ".join(sorted(processors))
        apart = "; times of different processors are not compared" if len(processors) > 1 else ""
        return f"median of one prediction on one thread, measured on {where}{apart}"

    @property
    def _times(self) -> bool:
        return self._plan.speed or self._budget.max_latency is not None

    def make(self, rung: Rung) -> Measured:
        """Make and measure a candidate, or take it from where it is kept.

        Raises:
            RefusedTrialError: the recipe does not go with the network, or its training diverged.
        """
        key, recipe = self._key(rung), Recipe.from_dict(rung.recipe)
        self._check_board(recipe)
        kept, context = self.store.load(key), self._context(rung.calibration)
        timed = None if kept is None else self._time_again(key, kept, recipe)
        if timed is not None:
            return timed
        cache = StageCache(self._identity(rung.calibration), self.store.stages, self.store.users)
        try:
            for step in recipe.steps:
                step.check(context.original)
            with refuse_without_memory():
                candidate = run_recipe(context.original, recipe, context, cache)
        except OutputError:
            raise
        except InputError as error:
            raise RefusedTrialError(one_line(error)) from error
        except RunFailedError as error:
            if is_full_disk(error):
                raise
            raise RefusedTrialError(one_line(error)) from error
        if self._times and self._board is None:
            self._meter.keep(candidate)
            network = functools.partial(cache.apply, context.original, recipe.steps, context)
            cost = self._meter.describe_float_layers(recipe, candidate.file, network)
            model = dataclasses.replace(candidate.model, notes=(*candidate.model.notes, *cost))
            candidate = dataclasses.replace(candidate, model=model)
        measured, figures = self._measure(candidate, rung, key)
        content = recipe.export.encode(candidate.file.content)
        candidate = dataclasses.replace(candidate, model=dataclasses.replace(figures, written_bytes=len(content)))
        measured = dataclasses.replace(measured, size_bytes=len(content))
        file = recipe.file_name + recipe.export.suffix
        self.store.save(key, Stored(measured, content, file, candidate.record("")))
        return measured

    def _time_again(self, key: str, kept: Stored, recipe: Recipe) -> Measured | None:
        """Return the figures of a kept candidate, with the time that this search needs: the board's, or this machine's.

        A time that this processor has taken is kept, so that a search that was killed goes on as it would have, unless
        other programs ran then and none runs now. None: what an encoding was made of is not kept, and must be made
        again to be timed.
        """
        before, file = kept.measured, ModelFile(kept.content, kept.file)
        if type(recipe.export).encode is not Exporter.encode:
            here = self._board is None and before.speed is not None and before.cpu == describe_machine().processor
            untimed = before.timed and before.latency_ms is None  # nor can it be
            return before if here or untimed or not self._times else None
        if self._board is not None:
            estimate = self._estimate(recipe, file) if file.is_tflite else None
            return dataclasses.replace(before, latency_ms=estimate, cpu="", speed=None)
        if before.speed is None and before.latency_ms is not None:  # that was a board's
            before = dataclasses.replace(before, latency_ms=None, timed=False)
        compared = self._budget.max_latency is not None and before.cpu not in ("", describe_machine().processor)
        disturbed = before.speed is not None and before.speed.was_busy and not self._meter.is_disturbed
        if not compared and not (disturbed and self._times) and (before.timed or not self._times):
            return before
        speed = self._meter.measure(file)
        if speed is None:
            return before
        measured = dataclasses.replace(
            before, latency_ms=speed.median_ms, cpu=speed.cpu, speed=speed, host=platform.node(), timed=True
        )
        model = kept.record["model"]
        notes = list(model.get("notes", ()))
        if before.cpu not in ("", speed.cpu):  # where the cost of layers in float was another
            notes = [note for note in notes if not note.startswith(FLOAT_COST)]
        record = {**kept.record, "model": {**model, "speed": speed.to_dict(), "notes": notes}}
        self.store.save(key, dataclasses.replace(kept, measured=measured, record=record))
        return measured

    def stored(self, measured: Measured) -> Stored | None:
        """Return the file and the record of a candidate; None: another machine made it."""
        return self.store.load(measured.key)

    def test(self, content: bytes) -> tuple[BoolArray, BoolArray] | None:
        """Return which images of the test split the float network and a model predict correctly, bool[N] each.

        None: there is no test split, or it has no labels of the network's classes.
        """
        data = self.context.data
        if data is None or not self.context.labelled or not len(data.splits.get("test", ())):
            return None
        split = data.splits["test"]
        alone = dataclasses.replace(self.context, data=dataclasses.replace(data, splits={"test": split}))
        before = score_float(alone)
        assert before is not None
        classifier, found = Classifier(ModelFile(content, "candidate")), np.zeros(len(split), bool)
        with self.context.progress.task("top-1 on test", len(split)) as task:
            for start in range(0, len(split), 100):
                part = slice(start, start + 100)
                found[part] = classifier.top1(split.images[part]) == split.labels[part]
                task.advance(len(split.labels[part]))
        return before, found

    def _measure(self, candidate: Candidate, rung: Rung, key: str) -> tuple[Measured, CompressedModel]:
        model = candidate.model
        speed = self._meter.measure(candidate.file) if self._times and self._board is None else None
        latency, cpu = (None, "") if speed is None else (speed.median_ms, speed.cpu)
        if self._board is not None and candidate.file.is_tflite:
            latency = self._estimate(candidate.recipe, candidate.file)
        measured = Measured(
            recipe=rung.recipe,
            name=candidate.recipe.name,
            digest=candidate.recipe.digest,
            calibration=self._count_images(candidate, rung.calibration),
            size_bytes=model.size_bytes,
            latency_ms=latency,
            images=model.images,
            lost=model.lost,
            gained=model.gained,
            top1=model.top1,
            looks=count_looks(candidate.recipe, self.context),
            seconds=model.seconds,
            cpu=cpu,
            host=platform.node(),
            speed=speed,
            key=key,
            settings=self._describe(candidate, rung.calibration),
            timed=self._times,
        )
        return measured, dataclasses.replace(model, speed=speed)

    def _count_images(self, candidate: Candidate, asked: int) -> int:
        images = self._context(asked).calibration_images
        return 0 if images is None or candidate.calibration is None else len(images)

    def _describe(self, candidate: Candidate, asked: int) -> str:
        other = asked != self._plan.calibration
        more = f"{self._count_images(candidate, asked):,} calibration images" if other else ""
        return ", ".join(filter(None, (describe_settings(candidate.recipe), more)))

    def _check_board(self, recipe: Recipe) -> None:
        """Refuse a recipe whose time could never be estimated by the report of the board, before it is made."""
        limit, board = self._budget.max_latency, self._board
        if board is not None and limit is not None and not models_of_format(board.models, recipe):
            selects = isinstance(recipe.export, TFLite) and recipe.export.policy.selects
            kind = "model with the same layers in float" if selects else f"{recipe.export.label()} model"
            raise RefusedTrialError(f"{recipe.name}: the report {board.path} has no {kind} to estimate its time from")

    def _estimate(self, recipe: Recipe, file: ModelFile) -> float | None:
        """Estimate the time of a file on the board; None: none of its report is of this format."""
        assert self._board is not None
        alike = models_of_format(self._board.models, recipe)
        if not alike:
            return None
        like = networks.Candidate("", None, 0, count_macs(file.graph), 0, len(file.content), 0, "", 0.0)
        return estimate_latency(like, alike)

    def _context(self, calibration: int) -> RecipeContext:
        if calibration not in self._contexts:
            data = self.context.data
            assert data is not None
            self._contexts[calibration] = draw_calibration(self.context, data, calibration)
        return self._contexts[calibration]

    def _identity(self, calibration: int) -> dict[str, Any]:
        return describe_inputs(
            self._origin, dataclasses.replace(self._plan, calibration=calibration), self._contexts[calibration]
        )

    def _key(self, rung: Rung) -> str:
        # the draw itself need not be made to know the key: the plan decides it
        plan = dataclasses.replace(self._plan, calibration=rung.calibration)
        identity = describe_inputs(self._origin, plan, self.context)
        return StageCache(identity).candidate_key(Recipe.from_dict(rung.recipe))
