"""Finds the model file that a user names: a path, a run folder, a name from the zoo."""

from __future__ import annotations

import itertools
import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from edgeclf.artifact.ensemble_folder import refuse_ensemble
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.artifact.zoo import list_models, zoo_folders
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
        found.append(check_path(one, what))
    return tuple(found)


def check_path(given: str | os.PathLike[str], what: str) -> str:
    """Return a path as text; an empty one, as of a shell's variable that is not set, would stand for this folder.

    Args:
        given: by the user.
        what: it stands for, such as `an image`, for the message.

    Raises:
        InputError: it is empty.
    """
    path = os.fsdecode(given)
    if not path:
        raise InputError(f"expected the path of {what}, got an empty text")
    return path


def locate_model(name_or_path: str | Path) -> Path:
    """Find the model file that is meant.

    Of several in a folder the plain int8 one is taken, then any int8 one, then the first by name.

    Raises:
        ModelError: there is no such file, no model in the folder, or it is an ensemble.
        UnknownNameError: it looks like a name and is none in the zoo.
    """
    check_named(name_or_path)
    try:
        return _locate(name_or_path)
    except OSError as error:  # such as a folder that may not be entered
        raise ModelError(f"{name_or_path}: cannot be read ({(error.strerror or str(error)).lower()})") from error


def check_named(name_or_path: str | Path) -> Path:
    """Return the name or path of a model as a path; an empty text would stand for what lies in this folder.

    Raises:
        ModelError: it is empty.
    """
    if not str(name_or_path):
        raise ModelError("expected the name or path of a model, got nothing")
    return Path(name_or_path)


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
    zoo = zoo_folders()
    if name in zoo:
        return choose_model(list_models(zoo[name]))
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
    return list_models(folder)


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
    return sorted(zoo_folders())
