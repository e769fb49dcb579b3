"""Compresses a float network to model files that need no companion, one recipe after another."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from edgeclf.compression.compress_report import CompressedModel, CompressReport
from edgeclf.compression.export.packaging import PACKAGES
from edgeclf.compression.pipeline.context import RecipeContext
from edgeclf.compression.pipeline.model_folder import ModelFolder
from edgeclf.compression.pipeline.plan import CompressPlan
from edgeclf.compression.pipeline.preparation import prepare
from edgeclf.compression.pipeline.request import check_kind
from edgeclf.compression.pipeline.run_recipe import SELECTED, run_recipe
from edgeclf.compression.pipeline.stage_cache import StageCache
from edgeclf.compression.recipe import Recipe
from edgeclf.dataset import Dataset
from edgeclf.graph.private_apis import safe_mode
from edgeclf.keras_files.loading import FloatSource, load_source
from edgeclf.progress import SILENT, Progress
from edgeclf.versions import package_version


def compress(plan: CompressPlan, progress: Progress = SILENT) -> CompressReport:
    """Make one model a recipe: `NAME-<recipe>.tflite` and `NAME-<recipe>.json`.

    Args:
        plan: what is made, and of what.
        progress: where bars are shown.

    Raises:
        InputError: the source, the data, the recipes or the output cannot be used.
        RunFailedError: training diverged, or the disk is full.
    """
    source = load_source(plan.source, trust_model=plan.trust_model)
    check_kind(source.kind, source.path.name, plan.recipes)
    origin = _origin(source)
    folder = ModelFolder(
        _folder(source, plan), source.name, _request(origin, plan), _files(plan), overwrite=plan.overwrite
    )
    models: list[CompressedModel] = []
    try:
        # layers with code of their own are copied with the network
        with safe_mode(not plan.trust_model):
            context = prepare(source, plan, progress)
            cache = StageCache(_identity(origin, plan, context), folder.unfinished)
            for recipe in plan.recipes:
                models.append(_make(recipe, context, cache, folder))
    except Exception:
        folder.give_up()
        raise
    folder.close()
    return CompressReport(tuple(models), (SELECTED,) if any(model.selected_on for model in models) else ())


def _make(recipe: Recipe, context: RecipeContext, cache: StageCache, folder: ModelFolder) -> CompressedModel:
    file, key = _file(recipe), cache.candidate_key(recipe)
    finished = folder.finished(file, key)
    if finished is not None:
        cache.gzip_bytes[recipe.name] = finished.gzip_bytes
        return finished
    candidate = run_recipe(context.original, recipe, context, cache)
    path = str(folder.model_path(file))
    folder.write(file, candidate.file.content, candidate.record(path), key)
    return dataclasses.replace(candidate.model, path=path)


def _file(recipe: Recipe) -> str:
    return recipe.file_name + recipe.export.suffix


def _files(plan: CompressPlan) -> list[str]:
    return [_file(recipe) for recipe in plan.recipes]


def _folder(source: FloatSource, plan: CompressPlan) -> Path:
    if plan.out is not None:
        return Path(plan.out)
    return source.run.path / "compressed" if source.run is not None else source.path.parent / "compressed"


def _origin(source: FloatSource) -> dict[str, Any]:
    """Plain values that say which network it is, and how it was trained."""
    run = {} if source.run is None else source.run.run_json
    return {
        "name": source.name,
        "sha256": _digest_of_files(source.path),
        "classes": list(source.network.classes),
        "training": run.get("config"),
        "data": [run.get("data", {}).get(key) for key in ("source", "fingerprint", "split_seed")],
    }


def _digest_of_files(path: Path) -> str:
    """SHA-256 of a file, or of all files of a folder with their names."""
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        if file != path:
            digest.update(str(file.relative_to(path)).encode() + b"\0")
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _settings(plan: CompressPlan) -> dict[str, Any]:
    span = None if plan.input_range is None else list(plan.input_range)
    versions = {name: package_version(name) for name in PACKAGES}
    return {"calibration": plan.calibration, "input_range": span, "seed": plan.seed, "versions": versions}


def _request(origin: dict[str, Any], plan: CompressPlan) -> dict[str, Any]:
    """Plain values that say whether two calls ask for the same."""
    data = plan.data.fingerprint if isinstance(plan.data, Dataset) else None if plan.data is None else str(plan.data)
    recipes = [recipe.to_dict() for recipe in plan.recipes]
    return {"source": origin, "recipes": recipes, "data": data, "settings": _settings(plan)}


def _identity(origin: dict[str, Any], plan: CompressPlan, context: RecipeContext) -> dict[str, Any]:
    """Plain values that say, beside the recipe, what a model is made of."""
    data = context.data
    return {
        "source": origin,
        "settings": _settings(plan),
        "data": None if data is None else [data.fingerprint, data.split_seed, list(data.class_names)],
        "network_input": [context.network_input.low, context.network_input.high],
        "balance": context.balance,
        "flip": context.flip,
    }
