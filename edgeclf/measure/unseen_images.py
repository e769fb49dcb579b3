"""Photos as one split, `all`, without those that a run has used: for photos that are there to judge a model alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgeclf.artifact.run_folder import RunFolder
from edgeclf.dataset import ALL, Dataset, Listing, load_dataset
from edgeclf.dataset.contents import shorten
from edgeclf.dataset.used_images import USED, read_history
from edgeclf.errors import DataError, InputError
from edgeclf.image.shape import InputShape
from edgeclf.measure.formatting import counted
from edgeclf.progress import Progress


def find_runs(folders: Sequence[Path], models: Sequence[Path]) -> dict[Path, RunFolder | None]:
    """Find the runs that are measured, by the path that was given; None: a file lies in none.

    Args:
        folders: run folders.
        models: other files; one that lies in a run folder is of that run.
    """
    found = {path: RunFolder.locate(path) for path in (*folders, *models)}
    same: dict[Path, RunFolder] = {}
    return {path: run and same.setdefault(run.path.resolve(), run) for path, run in found.items()}


class UnseenImages:
    """Loads all images of a source that no run has used.

    Args:
        listing: of the source.
        folders: run folders that are measured.
        models: the other files that are measured; one that lies in a run folder is of that run.

    Raises:
        InputError: a run does not record which images it used, or its record cannot be read.
    """

    def __init__(self, listing: Listing, folders: Sequence[Path], models: Sequence[Path]) -> None:
        found = find_runs(folders, models)
        runs = list(dict.fromkeys(filter(None, found.values())))
        self._listing, self._runs = listing, [run.path.name for run in runs]
        self._used, self._missing = set[str](), list[str]()
        for run in runs:
            history = read_history(run)
            if history.known is None:
                raise InputError(
                    f"{run.path}: does not record which images it was trained on, as runs of earlier versions; measure "
                    "on the test split of its photos, without --split all"
                )
            self._used.update(*map(history.known.of_split, USED))
            self._missing += filter(None, [history.describe_missing(run.path.name)])
        self._unknown = sorted({path.name for path, run in found.items() if run is None})

    def load(self, shape: InputShape, progress: Progress) -> Dataset:
        """Load them, as the split `all`, with notes on those that were left out.

        Raises:
            DataError: every image has been used.
        """
        data = load_dataset(self._listing, image_size=shape.size, fit=shape.fit, whole=True, progress=progress)
        split = data.splits[ALL]
        kept = [row for row, content in enumerate(split.hashes) if shorten(content) not in self._used]
        runs, notes = ", ".join(self._runs), []
        if not kept:
            raise DataError(
                f"{data.source}: every one of its images was used in training {runs}; measure on its test split, or "
                "on other photos"
            )
        if left_out := len(split) - len(kept):
            was = "was" if left_out == 1 else "were"
            notes.append(f"{counted(left_out, 'image')} of {len(split):,} {was} used in training {runs}: left out")
        if self._unknown:
            notes.append(
                f"{', '.join(self._unknown)}: not known which images it was trained on; its accuracy is optimistic "
                "where they are among these"
            )
        notes += self._missing
        chosen = split.subset(np.array(kept, np.int64)) if left_out else split
        return replace(data, splits={ALL: chosen}, notes=(*data.notes, *notes))
