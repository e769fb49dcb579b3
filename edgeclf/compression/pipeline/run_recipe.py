"""From a float network to one model: made, measured, and described by a record. What a search calls for each trial."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from edgeclf.artifact.model_file import ModelFile
from edgeclf.compression.compress_report import CompressedModel
from edgeclf.compression.export.calibration import CalibrationSet
from edgeclf.compression.export.model_file_stats import ModelFileStats, model_file_stats
from edgeclf.compression.export.packaging import package
from edgeclf.compression.exporter import ExportedFile
from edgeclf.compression.pipeline.budget import compare_with_budget
from edgeclf.compression.pipeline.context import RecipeContext
from edgeclf.compression.pipeline.remarks import remarks
from edgeclf.compression.pipeline.scoring import BoolArray, fit_exported, score_exported, scored_split
from edgeclf.compression.pipeline.stage_cache import StageCache
from edgeclf.compression.probabilities.fit import Fit
from edgeclf.compression.recipe import Recipe
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.measure.paired_interval import difference_interval
from edgeclf.measure.statistics import discordant, mcnemar_p, paired_difference, wilson_interval

SELECTED = (
    "top-1 was measured on validation images that also chose the epoch, so it is a little too high; measure the models "
    "on images that chose nothing with edgeclf bench, which takes the test split"
)


@dataclass(frozen=True)
class Candidate:
    """What a recipe made of a network.

    Attributes:
        recipe: the recipe.
        file: with labels, provenance and samples; it was not written yet.
        model: its figures; `path` is empty until the file is written.
        calibration: the draw that set its ranges; None: nothing was calibrated.
        applied: what became of the exporter's settings (see `ExportedFile`).
    """

    recipe: Recipe
    file: ModelFile
    model: CompressedModel
    calibration: CalibrationSet | None = None
    applied: Mapping[str, Any] | None = None

    def record(self, path: str) -> dict[str, Any]:
        """Return what is written beside the file, JSON's own types.

        Args:
            path: where the file goes.
        """
        return {
            "model": replace(self.model, path=path).to_dict(),
            "recipe": self.recipe.to_dict(),
            "applied": None if self.applied is None else dict(self.applied),
            "calibration": None if self.calibration is None else self.calibration.to_dict(),
        }


def run_recipe(network: FloatNetwork, recipe: Recipe, context: RecipeContext, cache: StageCache) -> Candidate:
    """Make a model of a float network.

    Args:
        network: prepared; the one that `context` and `cache` were made for.
        recipe: what is done to it.
        context: the images, and what is known of the source.
        cache: stages that other recipes have trained already.

    Raises:
        InputError: the network or the images do not fit the recipe.
        RunFailedError: training diverged, or the disk is full.
    """
    start = time.monotonic()
    made = cache.apply(network, recipe.steps, context)
    exported = recipe.export.export(made, context)
    calibration = context.calibration if recipe.calibrates else None
    outputs, scored = score_exported(exported, context), scored_split(context.data)
    correct = None if outputs is None else outputs.correct
    agreement: float | None = None
    agreed: tuple[str, ...] = ()
    if correct is not None and not context.labelled:
        agreement, agreed, correct = float(correct.mean()), _describe_agreement(correct), None
    top1 = None if correct is None else float(correct.mean())
    split = None if scored is None or top1 is None else scored[0]
    trained = recipe.trains and made.model is not network.model  # what a board carries already stays as it is
    selected = split == "validation" and (context.selected or trained)
    metrics = _metrics(split, top1, context, selected)
    content, fit = exported.content, fit_exported(exported, outputs, context)
    if exported.is_tflite:
        content = _package(exported, recipe, context, calibration, metrics, fit)
    file = ModelFile(content, f"{context.name}-{recipe.file_name}{recipe.export.suffix}")
    stats, plain = model_file_stats(file), Recipe((), recipe.export)
    notes = (
        *context.notes,
        *made.notes,
        *agreed,
        *exported.notes,
        *(calibration.findings if calibration else ()),
        *compare_with_budget(context.choice, recipe, file),
        *_fit_notes(fit),
        # what steps remark on is counted in TFLite files alone
        *remarks(recipe if exported.is_tflite else plain, stats, cache.gzip_bytes.get(plain.digest)),
    )
    model = replace(
        _figures(recipe, stats),
        top1=top1,
        split=split,
        selected_on=None if split is None else selected,
        float_top1=context.float_top1,
        notes=tuple(dict.fromkeys(notes)),  # what is fitted carries some of the source's
        seconds=round(time.monotonic() - start, 1),
        network_input=context.network_input,
        fit=context.original.input.fit,
        agreement=agreement,
        probabilities=fit.fitted,
        **_intervals(correct, context.float_correct),
    )
    cache.gzip_bytes[recipe.digest] = stats.gzip_bytes
    return Candidate(recipe, file, model, calibration, exported.applied)


def _describe_agreement(same: BoolArray) -> tuple[str, ...]:
    low, high = wilson_interval(int(same.sum()), len(same))
    line = f"names the class of the float network for {int(same.sum())} of {len(same)} images"
    return (f"{line} ({same.mean():.1%}; 95 % interval {low:.1%} to {high:.1%})",)


def _figures(recipe: Recipe, stats: ModelFileStats) -> CompressedModel:
    return CompressedModel(
        path="",
        recipe=recipe.name,
        digest=recipe.digest,
        size_bytes=stats.size_bytes,
        gzip_bytes=stats.gzip_bytes,
        top1=None,
        split=None,
        sparsity=stats.sparsity,
        distinct_weights_max=stats.distinct_weights_max,
        distinct_weights_per_channel_max=stats.distinct_weights_per_channel_max,
        tensors=stats.tensors,
    )


def _intervals(correct: BoolArray | None, before: BoolArray | None) -> dict[str, Any]:
    """Return the figures of accuracy beside top-1: of the file, of the float network, and of their difference."""
    found: dict[str, Any] = {}
    if correct is not None:
        found |= {"images": len(correct), "top1_interval": wilson_interval(int(correct.sum()), len(correct))}
    if before is not None:
        found["float_top1_interval"] = wilson_interval(int(before.sum()), len(before))
    if correct is not None and before is not None:
        lost, gained = discordant(before, correct)
        found["difference"] = paired_difference(before, correct)
        found["difference_interval"] = difference_interval(lost, gained, len(correct))
        found |= {"p_value": mcnemar_p(lost, gained), "lost": lost, "gained": gained}
    return found


def _metrics(split: str | None, top1: float | None, context: RecipeContext, selected: bool) -> dict[str, Any]:
    if split is None:
        return {}
    return {split: {"top1": top1, "float_top1": context.float_top1, "selected_on": selected}}


def _package(
    exported: ExportedFile,
    recipe: Recipe,
    context: RecipeContext,
    calibration: CalibrationSet | None,
    metrics: dict[str, Any],
    fit: Fit,
) -> bytes:
    data = context.data
    origin: dict[str, Any] = {"class_source": context.class_source}
    if data is not None:
        origin |= {"name": data.name, "fingerprint": data.fingerprint, "split_seed": data.split_seed}
        origin["calibration"] = calibration and {"seed": calibration.seed, "gaps": calibration.gaps}
    described = {
        "name": recipe.name,
        "digest": recipe.digest,
        "io": getattr(recipe.export, "io", None),
        "seed": context.seed,
        "network_input": context.network_input.to_dict(),
        **recipe.to_dict(),
    }
    if exported.applied is not None:
        described["applied"] = dict(exported.applied)
    return package(
        exported,
        name=context.name,
        classes=context.original.classes,
        recipe=described,
        data=origin,
        metrics=metrics,
        fit=context.original.input.fit,
        fitted=fit,
    )


def _fit_notes(fit: Fit) -> tuple[str, ...]:
    notes = () if fit.fitted is None else fit.fitted.notes
    return (*notes, fit.note) if fit.note else notes
