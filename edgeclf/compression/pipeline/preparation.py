"""Prepares what all recipes of a call share: data, input range, calibration images and their lint, the float top-1."""

from __future__ import annotations

import dataclasses

import numpy as np

from edgeclf.artifact.input_fit import resolve_fit, resolve_network_fit
from edgeclf.artifact.tflite import parse
from edgeclf.compression.export.calibration import CalibrationSet, compare_halves, describe_draw, draw_indices
from edgeclf.compression.export.int8_format import observe
from edgeclf.compression.export.observation import FloatObservation
from edgeclf.compression.export.tflite import TFLite
from edgeclf.compression.pipeline.budget import read_choice
from edgeclf.compression.pipeline.chance import check_better_than_chance
from edgeclf.compression.pipeline.class_names import settle_classes
from edgeclf.compression.pipeline.context import RecipeContext
from edgeclf.compression.pipeline.plan import CompressPlan
from edgeclf.compression.pipeline.scoring import predict_float, score_float, scored_split
from edgeclf.compression.pipeline.training_data import Images, find_data, run_of
from edgeclf.compression.probabilities.fit import UNKNOWN_TRAINING
from edgeclf.compression.recipe import digest_of, steps_to_list
from edgeclf.dataset import Dataset
from edgeclf.dataset.contents import shorten
from edgeclf.graph.prepared_network import prepare_network
from edgeclf.inference.input_range import InputRange
from edgeclf.keras_files.input_range import choose_input_range
from edgeclf.keras_files.loading import LoadedNetwork
from edgeclf.measure.machine import load_average
from edgeclf.progress import Progress
from edgeclf.training.augmentation import LEVELS
from edgeclf.training.defaults import CHARACTER_SETS


def prepare(loaded: LoadedNetwork, plan: CompressPlan, progress: Progress, images: Images = None) -> RecipeContext:
    """Prepare the network and its images; everything that can go wrong before a training goes wrong here.

    Args:
        loaded: the float network as it was found.
        plan: what is made of it.
        progress: where bars and findings are shown.
        images: those that were listed already; None: the plan names them.

    Returns:
        what the recipes share; the network that they begin with is its `original`.

    Raises:
        InputError: the data or the network do not fit the recipes.
    """
    load_before, file = load_average(), loaded.file
    fit = resolve_network_fit(loaded.path, plan.fit) if file is None else resolve_fit(file, plan.fit)
    loaded = loaded.with_fit(fit)
    named = settle_classes(loaded, plan, find_data(loaded, plan, progress, images))
    data = named.data
    for note in named.notes:
        progress.info(note)
    chosen = choose_input_range(loaded, plan.normalization, data, progress, labelled=not plan.unlabelled)
    network = dataclasses.replace(loaded.with_normalization(chosen.normalization).network, classes=named.names)
    network = prepare_network(network)
    # by their settings: a step's fields need not be hashable
    steps = {digest_of(steps_to_list([step])): step for recipe in plan.recipes for step in recipe.steps}
    for step in steps.values():
        step.check(network)
    config = {} if loaded.run is None else loaded.run.run_json.get("config", {})
    # A run's `flip` says what its images allow; its level, whether they were mirrored.
    level = LEVELS.get(str(config.get("augment")))
    flip = config.get("flip") if level is None or level.flip else False
    context = RecipeContext(
        original=network,
        data=data,
        balance=str(config.get("balance") or "none"),
        flip=(data is None or data.name not in CHARACTER_SETS) if flip is None else bool(flip),
        seed=plan.seed,
        progress=progress,
        name=loaded.name,
        network_input=chosen,
        load_before=load_before,
        labelled=not plan.unlabelled,
        selected=_chose_an_epoch(loaded, data),
        class_source=named.source,
        notes=named.notes,
        choice=None if loaded.run is None else read_choice(loaded.run.run_json),
        fit_probabilities=plan.fit_probabilities,
        precision=plan.precision,
        float_batch=1 if loaded.kind == "SavedModel" else RecipeContext.float_batch,
    )
    context = dataclasses.replace(
        context,
        float_correct=score_float(context),
        float_labels=predict_float(context) if plan.unlabelled else None,
    )
    notes = (
        *named.notes,
        *_unfinished(loaded, progress),
        *_assumptions(chosen),
        *check_better_than_chance(loaded, context),
    )
    doubt = _doubt(loaded, data, labelled=not plan.unlabelled)
    context = dataclasses.replace(context, notes=(*notes, *doubt), doubt=doubt)
    if data is not None and (plan.sensitivity or any(recipe.calibrates for recipe in plan.recipes)):
        context = draw_calibration(context, data, plan.calibration)
        _check_layers(plan, context)
    return context


def _check_layers(plan: CompressPlan, context: RecipeContext) -> None:
    """Refuse names of layers that the network does not have before anything is trained.

    Raises:
        InputError: `float_layers` or `float_operators` of a recipe match nothing.
    """
    assert context.observed is not None
    graph = parse(context.observed.content)
    for recipe in plan.recipes:
        if isinstance(recipe.export, TFLite):
            recipe.export.policy.float_nodes(graph)


def _chose_an_epoch(loaded: LoadedNetwork, data: Dataset | None) -> bool:
    """Return whether images that are scored chose the epoch of the run, or may have."""
    scored = scored_split(data)
    if run_of(loaded) is None or scored is None:
        return False
    assert data is not None
    known = data.used.get("validation")
    return not known or not (known | data.used["train"]).isdisjoint(map(shorten, scored[1].hashes))


def _doubt(loaded: LoadedNetwork, data: Dataset | None, *, labelled: bool) -> tuple[str, ...]:
    """Return the note on figures of a network of which nobody knows which images trained it."""
    scored = scored_split(data)
    if data is None or scored is None or not labelled or data.used.get("train"):
        return ()
    run = run_of(loaded)
    own = {} if run is None else run.run_json.get("data", {})
    if own.get("fingerprint") == data.fingerprint:
        return ()
    return (f"{UNKNOWN_TRAINING}: its figures on {scored[0]}, and what is fitted there, hold where none of these did",)


def _unfinished(loaded: LoadedNetwork, progress: Progress) -> tuple[str, ...]:
    """Warn of a run whose training has not come to its end; the note for the models that are made of it."""
    if loaded.run is None or loaded.run.run_json.get("finished") is not False:
        return ()
    note = "the training of this run is not finished; it goes on with edgeclf train --resume"
    progress.warn(f"{loaded.run.path}: {note}")
    return (note,)


def _assumptions(chosen: InputRange) -> tuple[str, ...]:
    return () if chosen.decided else (chosen.sentence,)


def draw_calibration(context: RecipeContext, data: Dataset, count: int) -> RecipeContext:
    """Return the same context with `count` calibration images drawn from `data`, checked and run once."""
    split = data.splits["train"]
    indices = draw_indices(split.labels, count, context.seed)
    images = np.asarray(split.images[indices])
    drawn = describe_draw(images, split.labels, indices, data.class_names, context.seed)
    observed = observe(context.original, images, context.progress)
    drawn = _with_halves(drawn, observed)
    for finding in drawn.findings:
        context.progress.warn(finding)
    return dataclasses.replace(context, calibration=drawn, calibration_images=images, observed=observed)


def _with_halves(drawn: CalibrationSet, observed: FloatObservation) -> CalibrationSet:
    ranges = observed.ranges
    worst, where, findings = compare_halves([name.split(";")[0] for name in ranges.names], ranges.lows, ranges.highs)
    return dataclasses.replace(drawn, halves_worst=worst, halves_tensor=where, findings=drawn.findings + findings)
