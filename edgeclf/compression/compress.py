"""From a float network to model files that need no companion: the whole way, one recipe after another."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeclf.compression.calibration import compare_halves, describe_draw, draw_indices
from edgeclf.compression.compress_report import CompressedModel, CompressReport
from edgeclf.compression.convert import Conversion, convert
from edgeclf.compression.emitted import read_facts
from edgeclf.compression.graph import Core, prepare_core
from edgeclf.compression.job import Job
from edgeclf.compression.journal import Journal
from edgeclf.compression.packaging import PACKAGES, package
from edgeclf.compression.quantizable import quantizable
from edgeclf.compression.recipe import DEFAULT_FORMATS, IO_TYPES, Recipe, parse_recipe
from edgeclf.compression.remarks import remarks
from edgeclf.compression.scoring import emitted_top1, float_top1
from edgeclf.compression.training_data import decide_input_range, find_data
from edgeclf.dataset import Dataset
from edgeclf.errors import InputError, ModelError, UnknownNameError
from edgeclf.foreign.source import FloatSource, load_source
from edgeclf.progress import SILENT, Progress
from edgeclf.training.defaults import CHARACTER_SETS
from edgeclf.versions import package_version


def compress(
    source: str | Path,
    options: Recipe | str | Sequence[Recipe | str] | None = None,
    *,
    data: str | Path | Dataset | None = None,
    calibration: int = 500,
    io: str = "uint8",
    input_range: tuple[float, float] | None = None,
    out: str | Path | None = None,
    trust_model: bool = False,
    overwrite: bool = False,
    seed: int = 0,
    progress: Progress = SILENT,
) -> CompressReport:
    """Make one TFLite model a recipe: `NAME-<recipe>.tflite` and `NAME-<recipe>.json`.

    Args:
        source: a run folder, a `.keras` or `.h5` file, a SavedModel.
        options: recipes or their short names; None: `DEFAULT_FORMATS`.
        data: images for calibration, training and top-1; None: those of the run.
        calibration: number of training images that set quantization ranges.
        io: input and output type: `uint8`, `int8` (int8 models only) or `float32`.
        input_range: what pixel values 0 and 255 must become for a network from elsewhere; None: found out.
        out: folder; None: the run's `compressed/`, else the folder of `source`.
        trust_model: load a file even if that runs code from it.
        overwrite: replace existing models.
        seed: of the calibration draw and of training.
        progress: where bars go.

    Raises:
        InputError: the source, the data, the recipes or the output cannot be used.
        RunFailedError: training diverged, or the disk is full.
    """
    recipes = _recipes(options, io)
    if calibration < 1:
        raise InputError(f"calibration must be at least 1 image, got {calibration}")
    loaded = load_source(source, trust=trust_model)
    _check_kind(loaded, recipes)
    folder = Path(out) if out is not None else _default_folder(loaded)
    request = _request(loaded, recipes, data, calibration, io, input_range, seed)
    journal = Journal(folder, loaded.name, request, [r.name for r in recipes], overwrite=overwrite)
    trained: dict[str, tuple[Core, tuple[str, ...]]] = {}
    models = []
    try:
        job = _prepare(loaded, recipes, data, calibration, io, input_range, seed, progress)
        for recipe in recipes:
            made = journal.finished(recipe.name, job.fingerprint)
            models.append(made or _make(recipe, job, journal, trained))
    except Exception:
        journal.give_up()
        raise
    journal.close()
    return CompressReport(tuple(models))


def _recipes(options: Recipe | str | Sequence[Recipe | str] | None, io: str) -> tuple[Recipe, ...]:
    if io not in IO_TYPES:
        raise UnknownNameError("io", io, IO_TYPES)
    given = DEFAULT_FORMATS if options is None else [options] if isinstance(options, (Recipe, str)) else list(options)
    recipes = tuple(recipe if isinstance(recipe, Recipe) else parse_recipe(recipe) for recipe in given)
    names = [recipe.name for recipe in recipes]
    twice = next((name for name in names if names.count(name) > 1), None)
    if not names or twice:
        raise InputError("no recipe is given" if not names else f"the recipe {twice} is given twice")
    for recipe in recipes:
        if io == "int8" and recipe.format != "int8":
            raise InputError(f"--io int8 goes with int8 models, got {recipe.format}; use uint8 or float32")
    return recipes


def _check_kind(source: FloatSource, recipes: tuple[Recipe, ...]) -> None:
    training = next((recipe.name for recipe in recipes if recipe.trains), None)
    if training is not None and source.network is None:
        raise ModelError(
            f"{source.path.name} is a {source.kind} network; {training} needs a tf-keras .keras or .h5 file. "
            "Post-training recipes work: int8, float16, dynamic, int16x8"
        )


def _default_folder(source: FloatSource) -> Path:
    return source.run.path / "compressed" if source.run is not None else source.path.parent / "compressed"


def _request(
    source: FloatSource, recipes: tuple[Recipe, ...], data: Any, calibration: int, io: str, span: Any, seed: int
) -> dict[str, Any]:
    file = source.path if source.path.is_file() else source.path / "saved_model.pb"
    state = file.stat()
    run = {} if source.run is None else source.run.run_json
    own = [run.get("data", {}).get(key) for key in ("source", "fingerprint", "split_seed")]
    return {
        "source": [str(source.path.resolve()), state.st_size, state.st_mtime_ns],
        "recipes": [recipe.to_dict() for recipe in recipes],
        "data": data.fingerprint if isinstance(data, Dataset) else own if data is None else str(data),
        "training": run.get("config"),
        "settings": [calibration, io, span, seed, *(package_version(name) for name in PACKAGES)],
    }


def _prepare(
    source: FloatSource,
    recipes: tuple[Recipe, ...],
    data: str | Path | Dataset | None,
    calibration: int,
    io: str,
    given_range: tuple[float, float] | None,
    seed: int,
    progress: Progress,
) -> Job:
    found = find_data(source, data, recipes, progress)
    span = decide_input_range(source, given_range, found, progress)
    core = prepare_core(source.network, span) if source.network is not None else None
    if core is not None and any(recipe.qat for recipe in recipes):
        quantizable(core)  # a layer that cannot be quantized is named before anything is trained
    drawn, images = None, None
    if found is not None and any(recipe.calibrates for recipe in recipes):
        split = found.splits["train"]
        indices = draw_indices(split.labels, calibration, seed)
        images = np.asarray(split.images[indices])
        drawn = describe_draw(images, split.labels, indices, found.class_names, seed)
        for finding in drawn.findings:
            progress.warn(finding)
    run_labels = source.run.labels if source.run is not None else ()
    labels = run_labels or (found.class_names if found is not None else tuple(str(i) for i in range(source.classes)))
    top1 = float_top1(core, found, progress)
    return Job(source, found, core, span, drawn, images, labels, io, seed, top1, progress)


def _make(
    recipe: Recipe, job: Job, journal: Journal, trained: dict[str, tuple[Core, tuple[str, ...]]]
) -> CompressedModel:
    start = time.monotonic()
    core, notes = job.core, ()
    if core is not None:
        core, notes = _trained(recipe, core, job, trained)
    converted = convert(recipe.format, _conversion(recipe, core, job))
    calibration = job.calibration if recipe.calibrates else None
    if calibration is not None and converted.ranges is not None:
        ranges = converted.ranges
        worst, where, findings = compare_halves(ranges.names, ranges.lows, ranges.highs)
        calibration = dataclasses.replace(
            calibration, halves_worst=worst, halves_tensor=where, findings=calibration.findings + findings
        )
    top1, split = emitted_top1(converted, job)
    content = package(recipe, converted, calibration, top1, split, job)
    facts = read_facts(content)
    model = CompressedModel(
        path=str(journal.model_path(recipe.name)),
        recipe=recipe.name,
        size_bytes=facts.size_bytes,
        gzip_bytes=facts.gzip_bytes,
        top1=top1,
        split=split,
        sparsity=facts.sparsity,
        distinct_weights_max=facts.distinct_weights_max,
        distinct_weights_per_channel_max=facts.distinct_weights_per_channel_max,
        float_top1=job.float_top1,
        tensors=facts.tensors,
        notes=(*notes, *(calibration.findings if calibration else ()), *remarks(recipe, facts)),
        seconds=round(time.monotonic() - start, 1),
    )
    record = {
        "model": model.to_dict(),
        "recipe": recipe.to_dict(),
        "calibration": None if calibration is None else calibration.to_dict(),
    }
    journal.keep(recipe.name, content, record, job.fingerprint)
    return model


def _trained(
    recipe: Recipe, core: Core, job: Job, done: dict[str, tuple[Core, tuple[str, ...]]]
) -> tuple[Core, tuple[str, ...]]:
    """The network after the recipe's training; formats that share a training share its result."""
    if not recipe.trains:
        return core, ()
    from edgeclf.compression.training_stages import train_stages

    key = dataclasses.replace(recipe, format="int8").to_json()
    if key not in done:
        assert job.data is not None
        config = {} if job.source.run is None else job.source.run.run_json.get("config", {})
        flip = config.get("flip")
        done[key] = train_stages(
            recipe,
            core,
            job.data,
            job.images,
            balance=str(config.get("balance") or "none"),
            flip=job.data.name not in CHARACTER_SETS if flip is None else bool(flip),
            seed=job.seed,
            progress=job.progress,
        )
    return done[key]


def _conversion(recipe: Recipe, core: Core | None, job: Job) -> Conversion:
    source = job.source
    common = {
        "height": source.height,
        "width": source.width,
        "images": job.images,
        "io": job.io,
        "trained_ranges": recipe.qat,
        "bias_correction": recipe.bias_correction,
        "progress": job.progress,
    }
    if core is not None:
        model = core.model
        return Conversion(lambda x: model(x, training=False), model, high=core.high, **common)
    low, high = job.input_range or (0.0, 255.0)
    if low == 0:
        return Conversion(source.function, source.holder, high=high, **common)
    span = np.float32(high - low)
    return Conversion(lambda x: source.function(x * span + np.float32(low)), source.holder, high=1.0, **common)
