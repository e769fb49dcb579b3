"""From a float network to model files that need no companion: the whole way, one recipe after another."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeclf.artifact.model_file import ModelFile
from edgeclf.compression.compress_report import CompressedModel, CompressReport
from edgeclf.compression.export.calibration import CalibrationSet
from edgeclf.compression.export.model_file_stats import model_file_stats
from edgeclf.compression.export.packaging import PACKAGES, package
from edgeclf.compression.export.tflite import TFLite
from edgeclf.compression.pipeline.job import Job
from edgeclf.compression.pipeline.journal import Journal
from edgeclf.compression.pipeline.preparation import prepare
from edgeclf.compression.pipeline.remarks import remarks
from edgeclf.compression.pipeline.request import asked_recipes, check_kind
from edgeclf.compression.pipeline.scoring import exported_top1
from edgeclf.compression.recipe import Recipe
from edgeclf.compression.step import StepContext
from edgeclf.dataset import Dataset
from edgeclf.errors import InputError
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.graph.private_apis import safe_mode
from edgeclf.keras_files.loading import FloatSource, load_source
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
        out: folder; None: the run's `compressed/`, else a folder `compressed` beside `source`.
        trust_model: load a file even if that runs code from it.
        overwrite: replace existing models.
        seed: of the calibration draw and of training.
        progress: where bars go.

    Raises:
        InputError: the source, the data, the recipes or the output cannot be used.
        RunFailedError: training diverged, or the disk is full.
    """
    recipes = asked_recipes(options, io)
    if calibration < 1:
        raise InputError(f"calibration must be at least 1 image, got {calibration}")
    loaded = load_source(source, trust_model=trust_model)
    check_kind(loaded.kind, loaded.path.name, recipes)
    folder = Path(out) if out is not None else _default_folder(loaded)
    request = _request(loaded, recipes, data, calibration, io, input_range, seed)
    journal = Journal(folder, loaded.name, request, [r.name for r in recipes], overwrite=overwrite)
    trained: dict[str, tuple[FloatNetwork, tuple[str, ...]]] = {}
    models: list[CompressedModel] = []
    try:
        # layers with code of their own are copied with the network
        with safe_mode(not trust_model):
            job = prepare(
                *(loaded, recipes, data),
                calibration=calibration,
                io=io,
                given_range=input_range,
                seed=seed,
                progress=progress,
            )
            for recipe in recipes:
                made = journal.finished(recipe.name, job.fingerprint)
                models.append(made or _make(recipe, job, journal, trained, models))
    except Exception:
        journal.give_up()
        raise
    journal.close()
    return CompressReport(tuple(models))


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


def _make(
    recipe: Recipe,
    job: Job,
    journal: Journal,
    trained: dict[str, tuple[FloatNetwork, tuple[str, ...]]],
    others: Sequence[CompressedModel],
) -> CompressedModel:
    start = time.monotonic()
    network, notes = _trained(recipe, job.network, job, trained)
    context = StepContext(
        original=job.network,
        data=job.data,
        calibration_images=job.images,
        seed=job.seed,
        progress=job.progress,
        observed=job.observed,
    )
    exported = TFLite(recipe.format, job.io, recipe.bias_correction).export(network, context)
    calibration = job.calibration if recipe.calibrates else None
    top1, split = exported_top1(exported, job)
    content = package(
        exported,
        name=job.source.name,
        classes=job.network.classes,
        recipe={
            "name": recipe.name,
            "io": job.io,
            "seed": job.seed,
            "network_input": job.input_choice.to_dict(),
            **recipe.to_dict(),
        },
        data=_data_record(job, calibration),
        metrics={} if split is None else {split: {"top1": top1, "float_top1": job.float_top1}},
    )
    facts = model_file_stats(ModelFile(content, recipe.name))
    plain = next((other.gzip_bytes for other in others if other.recipe == recipe.format), None)
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
        notes=(*notes, *(calibration.findings if calibration else ()), *remarks(recipe, facts, plain)),
        seconds=round(time.monotonic() - start, 1),
        network_input=job.input_choice,
    )
    record = {
        "model": model.to_dict(),
        "recipe": recipe.to_dict(),
        "calibration": None if calibration is None else calibration.to_dict(),
    }
    journal.keep(recipe.name, content, record, job.fingerprint)
    return model


def _data_record(job: Job, calibration: CalibrationSet | None) -> dict[str, Any]:
    if job.data is None:
        return {}
    return {
        "name": job.data.name,
        "fingerprint": job.data.fingerprint,
        "split_seed": job.data.split_seed,
        "calibration": calibration and {"seed": calibration.seed, "gaps": calibration.gaps},
    }


def _trained(
    recipe: Recipe, network: FloatNetwork, job: Job, done: dict[str, tuple[FloatNetwork, tuple[str, ...]]]
) -> tuple[FloatNetwork, tuple[str, ...]]:
    """The network after the recipe's training; formats that share a training share its result."""
    if not recipe.trains:
        return network, ()
    from edgeclf.compression.pipeline.training_stages import train_stages

    key = dataclasses.replace(recipe, format="int8").to_json()
    if key not in done:
        assert job.data is not None
        config = {} if job.source.run is None else job.source.run.run_json.get("config", {})
        flip = config.get("flip")
        done[key] = train_stages(
            recipe,
            network,
            job.data,
            job.images,
            balance=str(config.get("balance") or "none"),
            flip=job.data.name not in CHARACTER_SETS if flip is None else bool(flip),
            seed=job.seed,
            progress=job.progress,
        )
    return done[key]
