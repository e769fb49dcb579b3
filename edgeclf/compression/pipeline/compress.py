"""Compresses a float network to model files that need no companion, one recipe after another."""

from __future__ import annotations

import dataclasses

from edgeclf.artifact.model_file import ModelFile
from edgeclf.compression.compress_report import CompressedModel, CompressReport
from edgeclf.compression.exporter import Exporter
from edgeclf.compression.layer_sensitivity import SENSITIVITY_FILES
from edgeclf.compression.pipeline.context import RecipeContext
from edgeclf.compression.pipeline.identity import describe_inputs, describe_network, describe_request
from edgeclf.compression.pipeline.model_folder import ModelFolder
from edgeclf.compression.pipeline.plan import CompressPlan
from edgeclf.compression.pipeline.preparation import prepare
from edgeclf.compression.pipeline.request import check_kind, find_folder, list_files
from edgeclf.compression.pipeline.run_recipe import SELECTED, run_recipe
from edgeclf.compression.pipeline.sensitivity import measure_source, write_sensitivity
from edgeclf.compression.pipeline.speed_gain import SpeedMeter
from edgeclf.compression.pipeline.stage_cache import StageCache
from edgeclf.compression.pipeline.training_data import Images
from edgeclf.compression.recipe import Recipe
from edgeclf.dataset import Dataset
from edgeclf.graph.private_apis import safe_mode
from edgeclf.keras_files.loading import load_network
from edgeclf.progress import SILENT, Progress
from edgeclf.training.run_record import count_in_training


def compress(plan: CompressPlan, progress: Progress = SILENT, images: Images = None) -> CompressReport:
    """Make one model a recipe: `NAME-<recipe>.tflite` and `NAME-<recipe>.json`.

    Args:
        plan: what is made, and of what.
        progress: where bars are shown.
        images: what `check_request` listed; None: the plan names them.

    Raises:
        InputError: the source, the data, the recipes or the output cannot be used.
        RunFailedError: training diverged, or the disk is full.
    """
    loaded = load_network(plan.source, trust_model=plan.trust_model)
    check_kind(loaded.kind, loaded.path.name, plan.recipes)
    origin = describe_network(loaded)
    folder = ModelFolder(
        find_folder(plan, loaded.path, loaded.run),
        loaded.name,
        describe_request(origin, plan),
        list_files(plan),
        overwrite=plan.overwrite,
    )
    made: dict[str, CompressedModel] = {}
    notes: tuple[str, ...] = ()
    data: Dataset | None = None
    try:
        # layers with code of their own are copied with the network
        with safe_mode(not plan.trust_model):
            context = prepare(loaded, plan, progress, images)
            data = context.data
            notes = (*(data.list_notes() if data else ()), *context.notes)
            cache = StageCache(describe_inputs(origin, plan, context), folder.stages, folder.unfinished)
            meter = SpeedMeter(context, plan.recipes) if plan.speed else None
            for recipe in sorted(plan.recipes, key=lambda one: bool(one.steps)):  # plain ones, which others come beside
                made[recipe.digest] = _make(recipe, context, cache, folder, meter)
            sensitivity = measure_source(context) if plan.sensitivity else None
    except BaseException as error:  # Ctrl-C, too
        folder.give_up(interrupted=not isinstance(error, Exception))
        raise
    if sensitivity is not None:
        for file in SENSITIVITY_FILES:
            folder.claim(file)
        sensitivity = write_sensitivity(sensitivity, folder.folder, loaded.name)
    folder.close()
    models = tuple(made[recipe.digest] for recipe in plan.recipes)
    if any(model.selected_on for model in models):
        notes += (SELECTED,)
    return CompressReport(models, notes, count_in_training(data) if data else {}, sensitivity)


def _make(
    recipe: Recipe, context: RecipeContext, cache: StageCache, folder: ModelFolder, meter: SpeedMeter | None
) -> CompressedModel:
    file, key = _file(recipe), cache.candidate_key(recipe)
    finished = folder.finished(file, key)
    if finished is not None:
        cache.gzip_bytes[recipe.digest] = finished.gzip_bytes
        if meter is None or finished.speed is not None:
            return finished
        # the interrupted call did not time it; what an encoding was made of is not kept, and is made again
        if type(recipe.export).encode is Exporter.encode:
            finished = _time(finished, ModelFile.read(finished.path), recipe, context, cache, meter)
            folder.amend(file, finished)
            return finished
    candidate = run_recipe(context.original, recipe, context, cache)
    content = recipe.export.encode(candidate.file.content)
    figures = dataclasses.replace(candidate.model, written_bytes=len(content))
    if meter is not None:
        meter.keep(candidate)
        figures = _time(figures, candidate.file, recipe, context, cache, meter)
    candidate = dataclasses.replace(candidate, model=figures)
    path = str(folder.model_path(file))
    folder.write(file, content, candidate.record(path), key)
    return dataclasses.replace(candidate.model, path=path)


def _time(
    made: CompressedModel,
    file: ModelFile,
    recipe: Recipe,
    context: RecipeContext,
    cache: StageCache,
    meter: SpeedMeter,
) -> CompressedModel:
    """Return the figures of a model with its time, and with what its layers in float cost."""
    speed = meter.measure(file)
    cost = meter.describe_float_layers(recipe, file, lambda: cache.apply(context.original, recipe.steps, context))
    return dataclasses.replace(made, speed=speed, notes=(*made.notes, *cost))


def _file(recipe: Recipe) -> str:
    return recipe.file_name + recipe.export.suffix
