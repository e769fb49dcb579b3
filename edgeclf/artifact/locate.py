"""Finds the model file that a user names: a path, a run folder, a name from the zoo."""

from __future__ import annotations

import itertools
import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from edgeclf.artifact.ensemble_folder import refuse_ensemble
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.errors import InputError, ModelError, UnknownNameError

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
"""One path, or several."""


def list_paths(given: Paths, what: str) -> tuple[str, ...]:
    """List the paths that a caller gave, in their order; a single one is one path, whatever else it might look like.

    Args:
        given: one or several.
        what: each of them stands for, such as `an image`, for the message.

    Raises:
        InputError: there is something else among them.
    """
    several = (given,) if isinstance(given, (str, bytes, os.PathLike)) or not isinstance(given, Iterable) else given
    found = []
    for one in several:
        if not isinstance(one, (str, os.PathLike)):
            raise InputError(f"expected the path of {what}, or several, got {type(one).__name__}")
        path = os.fsdecode(one)
        if not path:  # as of a variable of a shell that is not set; it would stand for this folder
            raise InputError(f"expected the path of {what}, got an empty text")
        found.append(path)
    return tuple(found)


def locate_model(name_or_path: str | Path) -> Path:
    """Find the model file that is meant.

    Of several in a folder the plain int8 one is taken, then any int8 one, then the first by name.

    Raises:
        ModelError: there is no such file, no model in the folder, or it is an ensemble.
        UnknownNameError: it looks like a name and is none in the zoo.
    """
    if not str(name_or_path):
        raise ModelError("expected the name or path of a model, got nothing")
    try:
        return _locate(name_or_path)
    except OSError as error:  # such as a folder that may not be entered
        raise ModelError(f"{name_or_path}: cannot be read ({(error.strerror or str(error)).lower()})") from error


def _locate(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if path.is_file():
        return path
    refuse_ensemble(name_or_path)
    if RunFolder.is_one(path):
        RunFolder(path).check_classes()
    name = str(name_or_path)
    models = folder_models(path) if path.is_dir() else []
    if models:
        return choose_model(models)
    zoo = _zoo_folders()
    if name in zoo:
        return choose_model(_files(zoo[name]))
    if path.is_dir():
        step = f"; run: edgeclf compress {shlex.quote(str(path))}" if RunFolder.is_one(path) else ""
        raise ModelError(f"{path}: no .tflite file in this folder{step}")
    if path.suffix or len(path.parts) > 1:
        raise ModelError(f"{path}: no such file")
    raise UnknownNameError("model", name, zoo)


def folder_models(folder: Path) -> list[Path]:
    """List the models of a run folder, or those that lie directly in a folder, sorted by name."""
    if RunFolder.is_one(folder):
        return RunFolder(folder).models()
    return _files(folder)


def choose_model(models: list[Path]) -> Path:
    """Choose one of several models when none is named."""
    words = {path: path.stem.split("-") for path in models}
    # what they all begin with is the name of the run, which may hold any word
    shared = len([*itertools.takewhile(lambda column: len(set(column)) == 1, zip(*words.values(), strict=False))])
    named = min(shared, *(len(found) - 1 for found in words.values())) if len(models) > 1 else 0

    def rank(path: Path) -> tuple[int, int, str]:
        parts = words[path][named:]
        return (0 if "int8" in parts else 1, len(parts), path.name)

    return min(models, key=rank)


def list_zoo() -> list[str]:
    """List the names of the models that come with edgeclf, sorted."""
    return sorted(_zoo_folders())


def _zoo_folders() -> dict[str, Path]:
    package = Path(__file__).resolve().parents[1]
    # the wheel carries the checkout's models/ as edgeclf/zoo/
    for root in (package / "zoo", package.parent / "models"):
        if root.is_dir():
            folders = {folder.name: folder for folder in root.iterdir() if folder.is_dir() and _files(folder)}
            if folders:
                return folders
    return {}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.tflite") if path.is_file())
