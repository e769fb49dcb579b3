"""Which images a run has used in training, and before it those that it began from, and its teachers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from edgeclf.artifact.ensemble_folder import find_ensemble
from edgeclf.artifact.run_folder import MODEL, RunFolder
from edgeclf.artifact.zoo import zoo_folders
from edgeclf.dataset.known_images import KnownImages, read_images
from edgeclf.dataset.types import Dataset
from edgeclf.errors import InputError

USED = ("train", "validation")
"""What a run is trained on, and what chooses its epoch."""


@dataclass(frozen=True)
class History:
    """Which images a run has used, with those of the runs that it began from, and of its teachers.

    Attributes:
        own: those of the run itself; None: it recorded none.
        known: of all of them together; None: the run itself recorded none.
        missing: runs that it began or learned from, and that are not there any more or recorded no images.
    """

    own: KnownImages | None = None
    known: KnownImages | None = None
    missing: tuple[str, ...] = ()

    def describe_missing(self, name: str) -> str:
        """Return a remark on accuracy where images that were used are not known; empty: all are.

        Args:
            name: of the run.
        """
        if not self.missing:
            return ""
        return (
            f"{', '.join(self.missing)}: {name} began from it or learned from it, and which images it used is not "
            "known any more; accuracy is optimistic where they are among these"
        )


def read_history(run: RunFolder) -> History:
    """Read which images a run has used, and those that it began and learned from, as they lie where it recorded them.

    Raises:
        InputError: a record of images cannot be read.
    """
    own = read_images(run)
    found, missing = [own] if own is not None else [], list[str]()
    seen, pending = {run.path.resolve()}, list(_find_starts(run))
    while pending:
        start = pending.pop()
        if isinstance(start, str):
            missing.append(start)
        elif (place := start.path.resolve()) not in seen:
            seen.add(place)
            known = read_images(start)
            if known is None:
                missing.append(str(start.path))
            else:
                found.append(known)
            pending.extend(_find_starts(start))
    return History(own, None if own is None else _unite(found), tuple(missing))


def add_used(dataset: Dataset, runs: Iterable[RunFolder | None]) -> Dataset:
    """Return a data set with what runs were trained on, and with notes on what of it is not known."""
    used, notes = read_used(runs)
    return replace(dataset, used=used, notes=(*dataset.notes, *notes))


def run_of_weights(weights: str) -> RunFolder | None:
    """Return the run that `--weights` names, by its folder or a file in it; None: no run, or no weights of a file."""
    return None if weights in ("auto", "none") else RunFolder.locate(weights)


def runs_of_teacher(teacher: str | None) -> tuple[RunFolder, ...]:
    """Return the runs that `--teacher` names, those of the members of an ensemble; without a teacher, none.

    Raises:
        ModelError: a record cannot be read, or the ensemble is none.
    """
    found = () if teacher is None else _find_members(teacher)
    return tuple(run for _, run in found if run is not None)


def read_used(runs: Iterable[RunFolder | None]) -> tuple[dict[str, frozenset[str]], tuple[str, ...]]:
    """Read what runs were trained on, and what chose their epochs, as `Dataset.used` has it.

    Runs of earlier versions did not record it: the split of the same photos decides.

    Returns:
        contents by split, and a note on each record that cannot be read, or run that is gone.
    """
    used, notes = dict[str, frozenset[str]](), list[str]()
    for run in dict.fromkeys(filter(None, runs)):
        try:
            history = read_history(run)
        except InputError as error:
            notes.append(f"which images {run.path.name} was trained on is not known: {error}")
            continue
        known = history.known
        if remark := history.describe_missing(run.path.name):
            notes.append(remark)
        if known is not None:
            used |= {split: used.get(split, frozenset()) | known.of_split(split) for split in USED}
    return used, tuple(notes)


def _find_starts(run: RunFolder) -> Iterator[RunFolder | str]:
    """Find what a run began from, and its teachers: run folders, and the names of those that are gone."""
    config = run.run_json.get("config") or {}
    began = run.run_json.get("start")
    located = began.get("path") if isinstance(began, dict) else None
    for name in ("from_run", "weights"):
        start = config.get(name)
        if not isinstance(start, str) or start in ("auto", "none"):
            continue
        if isinstance(located, str) and Path(located).exists():
            start = located  # as typed it may lead to another one from here
        if found := RunFolder.locate(start):
            yield found
        elif name == "from_run" or _may_be_run(Path(start)):
            yield start
    if isinstance(config.get("teacher"), str):
        for member, found in _find_members(config["teacher"]):
            if found is not None:
                yield found
            elif _may_be_run(Path(member)) and member not in zoo_folders():
                yield member


def _find_members(teacher: str) -> list[tuple[str, RunFolder | None]]:
    """Find the runs of the members of a teacher, or of the only one, by name; models of the zoo and files are of none.

    Raises:
        ModelError: a record cannot be read, or the ensemble is none.
    """
    source = find_ensemble(teacher)
    names = [teacher] if source is None else [str(member) for member in source.members]
    return [(name, RunFolder.locate(name)) for name in names]


def _may_be_run(start: Path) -> bool:
    """Return whether a path that leads nowhere may have been a run, or its network, and no file of weights."""
    return not start.exists() and (not start.suffix or start.name == MODEL)


def _unite(several: list[KnownImages]) -> KnownImages:
    contents: dict[str, dict[str, frozenset[str]]] = {}
    for known in several:
        for split, classes in known.contents.items():
            here = contents.setdefault(split, {})
            for name, images in classes.items():
                here[name] = here.get(name, frozenset()) | images
    return KnownImages(contents)
