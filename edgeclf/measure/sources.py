"""Finds the model files that a user names: files, run folders and zoo names."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from edgeclf.artifact.locate import Paths, folder_models, list_paths, locate_model
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.errors import ModelError


@dataclass(frozen=True)
class BenchSources:
    """The models to measure, and the float networks that lie beside them.

    Attributes:
        models: `.tflite` files, each once, in the order named.
        keras_models: the `model.keras` of each run folder named, in order: the first is the natural baseline.
        run_folders: the run folders named, in order; the first one records the data it was trained on.
    """

    models: tuple[Path, ...]
    keras_models: tuple[Path, ...]
    run_folders: tuple[Path, ...]


def find_sources(sources: Paths) -> BenchSources:
    """Find models and the float networks beside them.

    A folder stands for all models in it, a run folder also for its float network; else a source is a file or the name
    of a zoo model.

    Raises:
        ModelError: a folder holds no model, or a file is not there.
        UnknownNameError: neither a file nor a known name.
    """
    models: list[Path] = []
    keras_models: list[Path] = []
    folders: list[Path] = []
    for source in list_paths(sources, "a model"):
        path = Path(source)
        if not RunFolder.is_one(path):
            models.extend((folder_models(path) if path.is_dir() else []) or [locate_model(source)])
            continue
        folder = RunFolder(path)
        folder.check_classes()
        found = folder.models()
        if not found:
            raise ModelError(f"{path}: no compressed model in it; run: edgeclf compress {shlex.quote(str(path))}")
        models.extend(found)
        folders.append(path)
        if folder.keras_path.is_file():
            keras_models.append(folder.keras_path)
    unique = {path.resolve(): path for path in models}
    return BenchSources(tuple(unique.values()), tuple(keras_models), tuple(folders))


def find_other_run(model: Path, network: Path) -> RunFolder | None:
    """Return the run that a model is of, where its network is not `network`; None: it is of none, or of that."""
    run = RunFolder.find(model)
    return run if run is not None and os.path.realpath(run.keras_path) != os.path.realpath(network) else None
