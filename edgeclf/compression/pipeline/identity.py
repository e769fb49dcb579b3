"""Describes what decides a model: the identity of stages, of finished models, and of a call that was killed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeclf.compression.export.packaging import PACKAGES
from edgeclf.compression.pipeline.context import RecipeContext
from edgeclf.compression.pipeline.plan import CompressPlan
from edgeclf.dataset import Dataset
from edgeclf.keras_files.loading import LoadedNetwork
from edgeclf.versions import package_version

_CONVERTERS = ("litert-quantizer", "onnx", "tf2onnx")
"""Optional packages that decide what some exporters make."""


def describe_network(loaded: LoadedNetwork) -> dict[str, Any]:
    """Describe in plain values which network it is, by its content, and how it was trained."""
    run = {} if loaded.run is None else loaded.run.run_json
    return {
        "name": loaded.name,
        "sha256": _digest_of_files(loaded.path),
        "classes": list(loaded.network.classes),
        "training": run.get("config"),
        "data": [run.get("data", {}).get(key) for key in ("source", "fingerprint", "split_seed")],
    }


def _digest_of_files(path: Path) -> str:
    """Return the SHA-256 of a file, or of the files of a SavedModel with their names."""
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else _list_saved_model(path):
        if file != path:
            digest.update(os.fsencode(file.relative_to(path)) + b"\0")
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _list_saved_model(path: Path) -> list[Path]:
    """List the files that are the network; what is made of it may lie in the same folder."""
    parts = [path / "saved_model.pb", *(path / "variables").rglob("*"), *(path / "assets").rglob("*")]
    return sorted(part for part in parts if part.is_file())


def _settings(plan: CompressPlan) -> dict[str, Any]:
    given = None if plan.normalization is None else plan.normalization.to_dict()
    versions = {name: package_version(name) for name in (*PACKAGES, *_CONVERTERS)}
    labels = None if plan.labels is None else list(plan.labels)
    settings = {
        "calibration": plan.calibration,
        "normalization": given,
        "seed": plan.seed,
        "labels": labels,
        "fit": plan.fit,
        "unlabelled": plan.unlabelled,
        "probabilities": [plan.fit_probabilities, plan.precision],
    }
    return {**settings, "versions": versions}


def describe_request(source: dict[str, Any], plan: CompressPlan) -> dict[str, Any]:
    """Describe in plain values what a call asks for; an equal call resumes one that was killed.

    Args:
        source: the network, as `describe_network` returns it.
        plan: of the call.
    """
    data = plan.data.fingerprint if isinstance(plan.data, Dataset) else None if plan.data is None else str(plan.data)
    recipes = [recipe.to_dict() for recipe in plan.recipes]
    return {"source": source, "recipes": recipes, "data": data, "settings": _settings(plan)}


def describe_inputs(source: dict[str, Any], plan: CompressPlan, context: RecipeContext) -> dict[str, Any]:
    """Describe in plain values all that decides a model beside its recipe; what a `StageCache` is made with.

    Args:
        source: the network, as `describe_network` returns it.
        plan: of the call.
        context: with the images and the input range that were found.
    """
    data = context.data
    return {
        "source": source,
        "settings": _settings(plan),
        "data": None if data is None else [data.name, data.fingerprint, data.split_seed, list(data.class_names)],
        "classes": [context.class_source, *context.original.classes],
        "network_input": context.network_input.normalization.to_dict(),
        "balance": context.balance,
        "flip": context.flip,
    }


def describe_training(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return of `describe_inputs` what decides a trained stage: not what is done to the file that is made of it."""
    settings = dict(inputs.get("settings", {}))
    settings.pop("probabilities", None)
    versions = settings.get("versions", {})
    settings["versions"] = {name: version for name, version in versions.items() if name not in _CONVERTERS}
    return {**inputs, "settings": settings}
