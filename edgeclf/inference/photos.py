"""Labels files and folders in the order they were named; what cannot be read is listed with the reason."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeclf.errors import ImageError
from edgeclf.image.decoding import IMAGE_SUFFIXES, load_image
from edgeclf.inference.classifier import Classifier, LabelScore
from edgeclf.progress import SILENT, Progress
from edgeclf.records import Record

RANGE_PHOTOS = 32


@dataclass(frozen=True)
class PhotoLabels(Record):
    """The best labels of one file, the most probable first."""

    path: str
    labels: tuple[LabelScore, ...]


@dataclass(frozen=True)
class UnreadablePhoto(Record):
    """A file that was named, or lay in a named folder, and could not be read."""

    path: str
    reason: str


@dataclass(frozen=True)
class PredictReport(Record):
    """Predictions of a model for some files.

    Attributes:
        model: the model file.
        runtime: what ran it; results differ between runtimes.
        runtime_version: of its package.
        predictions: one a file that could be read.
        unreadable: the others, and folders without images.
        notes: warnings about how the model is read, a line each.
    """

    model: str
    runtime: str
    runtime_version: str
    predictions: tuple[PhotoLabels, ...]
    unreadable: tuple[UnreadablePhoto, ...]
    notes: tuple[str, ...]


def predict_photos(
    classifier: Classifier, paths: Path | str | Sequence[Path | str], *, top: int = 5, progress: Progress = SILENT
) -> PredictReport:
    """Label every file in `paths`; of a folder its image files (not those of its subfolders) in sorted order.

    Args:
        classifier: the model.
        paths: files and folders, or a single one; their order is kept.
        top: number of labels a file.
        progress: where a bar is shown.
    """
    predictions: list[PhotoLabels] = []
    unreadable: list[UnreadablePhoto] = []
    photos: list[Path] = []
    for path in [Path(paths)] if isinstance(paths, (str, Path)) else map(Path, paths):
        found = _image_files(path) if path.is_dir() else [path]
        photos.extend(found)
        if not found:
            unreadable.append(UnreadablePhoto(str(path), "a folder without image files (subfolders are not searched)"))
    _measure_input_range(classifier, photos)
    with progress.task("predicting", len(photos)) as task:
        for photo in photos:
            try:
                predictions.append(PhotoLabels(str(photo), classifier.predict(photo, top=top).labels))
            except ImageError as error:
                unreadable.append(UnreadablePhoto(str(photo), str(error)))
            task.advance()
    return PredictReport(
        str(classifier.path),
        classifier.runtime,
        classifier.runtime_version,
        tuple(predictions),
        tuple(unreadable),
        classifier.notes,
    )


def _measure_input_range(classifier: Classifier, photos: Sequence[Path]) -> None:
    """Measure the input range, unless it is known, on many photos at once: one alone decides nothing."""
    if classifier.input_range is not None:
        return
    readable = []
    for photo in photos[:: max(1, len(photos) // RANGE_PHOTOS)][:RANGE_PHOTOS]:
        with contextlib.suppress(ImageError):
            readable.append(load_image(photo, classifier.height, classifier.width))
    if readable:
        classifier.choose_input_range(readable)


def _image_files(folder: Path) -> list[Path]:
    # macOS leaves «._IMG.jpg» files beside photos on foreign disks, and editors leave hidden ones: none is a photo.
    entries = (p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
    return sorted(p for p in entries if p.is_file())
