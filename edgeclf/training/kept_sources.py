"""Keeps what a training starts or learns from out of what it replaces."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from edgeclf.artifact.ensemble_folder import find_ensemble
from edgeclf.errors import InputError
from edgeclf.training.config import TrainConfig


def check_kept(config: TrainConfig, folder: Path, names: Collection[str], what: str) -> None:
    """Refuse to replace something that holds the weights or the teacher that the training needs.

    Args:
        config: of the training.
        folder: where something is replaced.
        names: of the files and folders in it that are removed first.
        what: is replaced, such as `run`.

    Raises:
        InputError: one of them is the folder, or lies among what is removed.
    """
    own = folder.resolve()
    for option, path in _find_sources(config):
        given = path.resolve()
        if given == own or any((own / name).resolve() in (given, *given.parents) for name in names):
            raise InputError(
                f"{option} {path} belongs to the {what} that would be replaced, {folder}; choose another --out"
            )


def _find_sources(config: TrainConfig) -> Iterator[tuple[str, Path]]:
    if config.weights not in ("auto", "none"):
        yield "--weights", Path(config.weights)
    if config.teacher is None:
        return
    ensemble = find_ensemble(config.teacher)
    for member in (config.teacher,) if ensemble is None else ensemble.members:
        if Path(member).exists():  # what is not there is a name in the zoo, or refused later
            yield "--teacher", Path(member)
