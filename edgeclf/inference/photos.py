"""Labels files, folders and addresses in the order they were named; what cannot be read is listed with the reason."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgeclf.artifact.locate import Paths, list_paths
from edgeclf.errors import ImageError, InputError
from edgeclf.image.decoding import IMAGE_SUFFIXES
from edgeclf.image.download import is_address
from edgeclf.image.drawing import Pixels
from edgeclf.image.folder_names import is_data_folder
from edgeclf.image.point_files import OBJECT_SUFFIXES
from edgeclf.image.shape import InputShape
from edgeclf.inference.annotated import AnnotatedFolder
from edgeclf.inference.images import load_pixels
from edgeclf.inference.input_range import InputRange
from edgeclf.inference.photo_reader import PhotoReader
from edgeclf.inference.prediction import LabelScore, Prediction, UnknownRule
from edgeclf.progress import SILENT, Progress
from edgeclf.records import Record

RANGE_PHOTOS = 32


class PhotoClassifier(Protocol):
    """What labels photos: a `Classifier`, or an ensemble of them."""

    @property
    def path(self) -> Path | str:
        """The model file, or the name of the ensemble."""
        ...

    @property
    def runtime(self) -> str:
        """Name of the engine."""
        ...

    @property
    def runtime_version(self) -> str:
        """Of the engine's package."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings, a line each."""
        ...

    @property
    def label_source(self) -> str:
        """Where the class names are from."""
        ...

    @property
    def input_shape(self) -> InputShape:
        """Size of the input, and how pictures come to it."""
        ...

    @property
    def input_range(self) -> InputRange | None:
        """How pixels enter the network; None: it is to be measured."""
        ...

    @property
    def rule(self) -> UnknownRule:
        """When an image is unknown."""
        ...

    def choose_input_range(self, images: Sequence[Pixels]) -> InputRange:
        """Measure how pixels enter the network."""
        ...

    def predict(self, image: Pixels, top: int = 5) -> Prediction:
        """Label uint8[H, W, 3] RGB pixels of any size."""
        ...


@dataclass(frozen=True)
class PhotoLabels(Record):
    """The prediction for one file.

    Attributes:
        path: of the file.
        labels: the most probable classes, the best first, also where the image is unknown.
        saved: its annotated copy, if one was asked for.
        label: of the best class, or `unknown`.
        novelty: how far its features lie from known ones, 1 at the limit; None: the model has no such check.
    """

    path: str
    labels: tuple[LabelScore, ...]
    saved: str | None = None
    label: str = ""
    novelty: float | None = None


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
        label_source: where the class names are from: `given`, `metadata`, `provenance`, `beside` (a file), or `numbers`
            where nobody named them.
        fit: how pictures came to the input: `stretch`, `crop` or `pad`.
        threshold: probability below which images are `unknown`; None: a class is always named.
    """

    model: str
    runtime: str
    runtime_version: str
    predictions: tuple[PhotoLabels, ...]
    unreadable: tuple[UnreadablePhoto, ...]
    notes: tuple[str, ...]
    label_source: str | None = None
    fit: str | None = None
    threshold: float | None = None


def predict_photos(
    classifier: PhotoClassifier,
    paths: Paths,
    *,
    top: int = 5,
    recursive: bool = False,
    save: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> PredictReport:
    """Label every file in `paths`; of a folder its image files in sorted order.

    Args:
        classifier: the model.
        paths: files, folders and http addresses, or a single one; their order is kept.
        top: number of labels a file.
        recursive: take the images of subfolders too.
        save: folder for annotated copies; None: none are made.
        overwrite: write into a `save` that is not empty.
        progress: where a bar is shown.

    Raises:
        InputError: something in `paths` is no path, `save` cannot be used, or `overwrite` is given without it.
    """
    if overwrite and save is None:
        raise InputError("--overwrite is for annotated copies: give --save FOLDER as well")
    names = list_paths(paths, "an image")
    saving = None if save is None else AnnotatedFolder(save, overwrite=overwrite)
    predictions: list[PhotoLabels] = []
    saved_to = None if saving is None else saving.folder
    suffixes = OBJECT_SUFFIXES if classifier.input_shape.views else IMAGE_SUFFIXES
    photos, unreadable = find_photos(names, recursive, saved_to, suffixes)
    if saving is not None:
        saving.spare(photos)
    reader = PhotoReader(progress, classifier.input_shape)
    ensure_input_range(classifier, photos, reader.read_ahead)
    with progress.task("predicting", len(photos)) as task:
        for photo in photos:
            try:
                pixels = reader.read(photo)
                prediction = classifier.predict(pixels, top=top)
            except ImageError as error:
                unreadable.append(UnreadablePhoto(str(photo), str(error)))
            else:
                saved = None if saving is None else str(saving.save(str(photo), pixels, prediction))
                found = (prediction.labels, saved, prediction.label, prediction.novelty)
                predictions.append(PhotoLabels(str(photo), *found))
            task.advance()
    return PredictReport(
        str(classifier.path),
        classifier.runtime,
        classifier.runtime_version,
        tuple(predictions),
        tuple(unreadable),
        classifier.notes,
        classifier.label_source,
        classifier.input_shape.fit,
        classifier.rule.threshold,
    )


def find_photos(
    names: Sequence[str], recursive: bool, saved: Path | None, suffixes: Collection[str] = IMAGE_SUFFIXES
) -> tuple[list[str | Path], list[UnreadablePhoto]]:
    """List addresses, files, and the image files of folders, that of saved copies apart; and folders without any."""
    photos: list[str | Path] = []
    empty = []
    for name in names:
        if is_address(name):
            photos.append(name)
            continue
        path = Path(name)
        found, passed = _image_files(path, recursive, saved, suffixes) if os.path.isdir(path) else ([path], [])
        photos.extend(found)
        empty.extend(passed)
        if not found and not passed:
            remedy = "its subfolders neither" if recursive else "--recursive searches its subfolders too"
            empty.append(UnreadablePhoto(str(path), f"a folder without image files ({remedy})"))
    return photos, empty


def ensure_input_range(
    classifier: PhotoClassifier, photos: Sequence[str | Path], read: Callable[[str | Path], Pixels]
) -> None:
    """Measure the input range, unless it is known, on photos spread over all: one alone decides nothing."""
    if classifier.input_range is not None:
        return
    readable = []
    for number in range(most := min(len(photos), RANGE_PHOTOS)):
        with contextlib.suppress(ImageError):
            readable.append(load_pixels(read(photos[number * len(photos) // most]), classifier.input_shape))
    if readable:
        classifier.choose_input_range(readable)


def _image_files(
    folder: Path, recursive: bool, saved: Path | None, suffixes: Collection[str]
) -> tuple[list[Path], list[UnreadablePhoto]]:
    """List the image files of a folder, sorted, and its folders that are not looked into: links and unreadable ones."""
    found: list[Path] = []
    passed: list[UnreadablePhoto] = []

    def note(error: OSError) -> None:
        passed.append(
            UnreadablePhoto(os.fsdecode(error.filename), f"cannot be read ({(error.strerror or '').lower()})")
        )

    for place, folders, files in os.walk(folder, onerror=note):
        folders[:] = sorted(name for name in folders if recursive and is_data_folder(name))
        if saved is not None:
            folders[:] = [name for name in folders if not saved.samefile(os.path.join(place, name))]
        links = [path for name in folders if os.path.islink(path := os.path.join(place, name))]
        passed.extend(
            UnreadablePhoto(path, "a link to a folder, which is not followed; name it itself") for path in links
        )
        # macOS leaves «._IMG.jpg» on foreign disks, editors hidden files: no photos. A pipe is listed with a reason
        paths = (Path(place, name) for name in sorted(files) if not name.startswith("."))
        found.extend(path for path in paths if path.suffix.lower() in suffixes)
    return found, passed
