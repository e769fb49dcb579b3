"""What all recipes of one compression need: data, input range, calibration images and their lint, the float top-1."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from edgeclf.compression.export.calibration import CalibrationSet, compare_halves, describe_draw, draw_indices
from edgeclf.compression.export.int8_format import observe
from edgeclf.compression.export.observation import FloatObservation
from edgeclf.compression.pipeline.job import Job
from edgeclf.compression.pipeline.scoring import float_top1
from edgeclf.compression.pipeline.training_data import choose_input_range, find_data
from edgeclf.compression.recipe import Recipe
from edgeclf.dataset import Dataset
from edgeclf.graph.prepared_network import prepare_network
from edgeclf.graph.quantizable import make_quantizable
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
    source = source.with_input_range(span.low, span.high)
    network = prepare_network(source.network)
    if any(recipe.qat for recipe in recipes):
        make_quantizable(network)  # a layer that cannot be quantized is named before anything is trained
    if found is not None and not (source.run is not None and source.run.labels):
        network = dataclasses.replace(network, classes=found.class_names)
    job = Job(source, found, network, span, None, None, None, io, seed, None, progress)
    if found is not None and any(recipe.calibrates for recipe in recipes):
        job = _calibrated(job, found, calibration)
    return dataclasses.replace(job, float_top1=float_top1(source, network, found, progress))


def _calibrated(job: Job, data: Dataset, count: int) -> Job:
    split = data.splits["train"]
    indices = draw_indices(split.labels, count, job.seed)
    job = dataclasses.replace(job, images=np.asarray(split.images[indices]))
    drawn = describe_draw(job.images, split.labels, indices, data.class_names, job.seed)
    observed = observe(job.network, job.images, job.progress)
    drawn = _linted(drawn, observed)
    for finding in drawn.findings:
        job.progress.warn(finding)
    return dataclasses.replace(job, calibration=drawn, observed=observed)


def _linted(drawn: CalibrationSet, observed: FloatObservation) -> CalibrationSet:
    ranges = observed.ranges
    worst, where, findings = compare_halves([name.split(";")[0] for name in ranges.names], ranges.lows, ranges.highs)
    return dataclasses.replace(drawn, halves_worst=worst, halves_tensor=where, findings=drawn.findings + findings)
