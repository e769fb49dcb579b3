"""What all recipes of one compression need: data, input range, calibration images and their lint, the float top-1."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from edgeclf.compression.export.calibration import CalibrationSet, compare_halves, describe_draw, draw_indices
from edgeclf.compression.export.convert import Conversion, FloatObservation, observe
from edgeclf.compression.pipeline.job import Job
from edgeclf.compression.pipeline.scoring import float_top1
from edgeclf.compression.pipeline.training_data import choose_input_range, find_data
from edgeclf.compression.recipe import Recipe
from edgeclf.dataset import Dataset
from edgeclf.graph.prepared_network import Core, prepare_core
from edgeclf.graph.quantizable import quantizable
from edgeclf.keras_files.loading import FloatSource
from edgeclf.progress import Progress


def prepare(
    source: FloatSource,
    recipes: tuple[Recipe, ...],
    data: str | Path | Dataset | None,
    *,
    calibration: int,
    io: str,
    given_range: tuple[float, float] | None,
    seed: int,
    progress: Progress,
) -> Job:
    """Everything that can go wrong before a training goes wrong here.

    Args:
        source: the float network.
        recipes: what is to be made of it.
        data: images; None: those of the run.
        calibration: number of images that set ranges.
        io: input and output type.
        given_range: what pixel values 0 and 255 must become, where the caller says so.
        seed: of the draw.
        progress: where bars and findings go.

    Raises:
        InputError: the data or the network do not fit the recipes.
    """
    found = find_data(source, data, recipes, progress)
    span = choose_input_range(source, given_range, found, progress)
    network_range = None if (span.low, span.high) == (0.0, 255.0) else (span.low, span.high)
    core = prepare_core(source.network, network_range) if source.network is not None else None
    if core is not None and any(recipe.qat for recipe in recipes):
        quantizable(core)  # a layer that cannot be quantized is named before anything is trained
    labels = source.run.labels if source.run is not None else ()
    labels = labels or (found.class_names if found is not None else tuple(str(i) for i in range(source.classes)))
    job = Job(source, found, core, span, None, None, None, labels, io, seed, None, progress)
    if found is not None and any(recipe.calibrates for recipe in recipes):
        job = _calibrated(job, found, calibration)
    return dataclasses.replace(job, float_top1=float_top1(source, core, network_range, found, progress))


def _calibrated(job: Job, data: Dataset, count: int) -> Job:
    split = data.splits["train"]
    indices = draw_indices(split.labels, count, job.seed)
    job = dataclasses.replace(job, images=np.asarray(split.images[indices]))
    drawn = describe_draw(job.images, split.labels, indices, data.class_names, job.seed)
    observed = observe(conversion(Recipe(), job.core, job))
    drawn = _linted(drawn, observed)
    for finding in drawn.findings:
        job.progress.warn(finding)
    return dataclasses.replace(job, calibration=drawn, observed=observed)


def _linted(drawn: CalibrationSet, observed: FloatObservation) -> CalibrationSet:
    ranges = observed.ranges
    worst, where, findings = compare_halves([name.split(";")[0] for name in ranges.names], ranges.lows, ranges.highs)
    return dataclasses.replace(drawn, halves_worst=worst, halves_tensor=where, findings=drawn.findings + findings)


def conversion(recipe: Recipe, core: Core | None, job: Job) -> Conversion:
    """What the converter is handed.

    Args:
        recipe: what is to be made.
        core: the network after the recipe's training; None: the source is no tf-keras network.
        job: the rest.
    """
    source = job.source
    common = {
        "height": source.height,
        "width": source.width,
        "images": job.images,
        "io": job.io,
        "trained_ranges": recipe.qat,
        "bias_correction": recipe.bias_correction,
        "observed": None if recipe.trains else job.observed,
        "progress": job.progress,
    }
    if core is not None:
        model = core.model
        return Conversion(lambda x: model(x, training=False), model, high=core.high, **common)
    # Written out as a SavedModel on its way, a Keras 3 network would lose its variables' values.
    holder = None if source.kind == "Keras 3" else source.holder
    low, high = job.input_choice.low, job.input_choice.high
    if low == 0:
        return Conversion(source.function, holder, high=high, **common)
    span = np.float32(high - low)
    return Conversion(lambda x: source.function(x * span + np.float32(low)), holder, high=1.0, **common)
