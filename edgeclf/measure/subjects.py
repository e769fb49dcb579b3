"""The models under test, opened once, with the data at the size that each of them wants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgeclf.dataset import Dataset, Split
from edgeclf.errors import DataError, UnknownNameError
from edgeclf.inference.classifier import Classifier
from edgeclf.measure.accuracy import range_rows

DatasetLoader = Callable[[int, int], Dataset]
"""Gives the same data at another image size: (height, width) -> Dataset."""


@dataclass(frozen=True)
class Subject:
    """A model under test.

    Args:
        path: its file.
        name: short, unique among those under test.
        height: of its input, pixels.
        width: of its input, pixels.
        labels: of its outputs.
        class_count: number of its outputs.
        runtime: that runs it.
        runtime_version: of that package.
        integrity: `verified` or `unverified`.
        input_range: what pixel values 0 and 255 become; None: 8-bit inputs, nothing to decide.
        imposed_range: the same where it was told or measured, and must be told again.
        notes: remarks for the report.
    """

    path: Path
    name: str
    height: int
    width: int
    labels: tuple[str, ...]
    class_count: int
    runtime: str
    runtime_version: str
    integrity: str
    input_range: tuple[float, float] | None
    imposed_range: tuple[float, float] | None
    notes: tuple[str, ...]


def open_subjects(
    paths: list[Path],
    runtime: str,
    input_range: tuple[float, float] | None,
    load: DatasetLoader | None,
    split: str,
) -> list[Subject]:
    """Open each file once, and find out the input range of those that do not say it.

    Raises:
        ModelError: a model cannot be opened.
        UnknownNameError, DataError: the split is missing or empty.
    """
    unique = list({path.resolve(): path for path in paths}.values())
    subjects = []
    for path, name in zip(unique, _short_names(unique), strict=True):
        one = Classifier(path, runtime=runtime, threads=1)
        # Models with 8-bit inputs or edgeclf's own words about themselves stand beside others that need to be told.
        imposed = None
        if input_range is not None and (one.input_range is None or one.input_range.source == "metadata"):
            imposed = input_range
            one = Classifier(path, runtime=runtime, threads=1, input_range=imposed)
        chosen = one.input_range
        if chosen is None and load is not None:
            images = split_of(load(one.height, one.width), split).images
            chosen = one.choose_input_range(images[range_rows(len(images))])
            imposed = (chosen.low, chosen.high)
        subjects.append(
            Subject(
                path=path,
                name=name,
                height=one.height,
                width=one.width,
                labels=one.labels,
                class_count=one.class_count,
                runtime=one.runtime,
                runtime_version=one.runtime_version,
                integrity=one.integrity,
                input_range=(chosen.low, chosen.high) if chosen else None,
                imposed_range=imposed,
                notes=one.notes,
            )
        )
    return subjects


def _short_names(paths: list[Path]) -> list[str]:
    """File names without suffix; those that two files share get their folder in front."""
    stems = [path.stem for path in paths]
    return [
        stem if stems.count(stem) == 1 else f"{path.resolve().parent.name}/{stem}"
        for path, stem in zip(paths, stems, strict=True)
    ]


def at_size(dataset: Dataset | DatasetLoader | None) -> DatasetLoader | None:
    """`dataset` as a loader that loads each size once.

    Raises:
        DataError: (from the loader) a whole data set was given at another size than a model takes.
    """
    if dataset is None:
        return None
    given: dict[tuple[int, int], Dataset] = {}

    def load(height: int, width: int) -> Dataset:
        if (height, width) not in given:
            if not isinstance(dataset, Dataset):
                given[height, width] = dataset(height, width)
            elif (dataset.height, dataset.width) == (height, width):
                given[height, width] = dataset
            else:
                raise DataError(
                    f"a model takes images of {width}x{height} pixels, but the data was loaded at "
                    f"{dataset.width}x{dataset.height}"
                )
        return given[height, width]

    return load


def split_of(data: Dataset, split: str) -> Split:
    """The split of that name.

    Raises:
        UnknownNameError: there is none.
        DataError: it is empty.
    """
    if split not in data.splits:
        raise UnknownNameError("split", split, data.splits)
    found = data.splits[split]
    if not len(found.labels):
        raise DataError(f"{data.source}: the split {split!r} holds no image")
    return found
