"""Explains photos: asks a model file, and a float network that is handed in, where the evidence for a class lies."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from edgeclf.artifact.model_file import ModelFile
from edgeclf.errors import ImageError, InputError, ModelError, UnknownNameError
from edgeclf.image.decoding import fit_image
from edgeclf.image.drawing import Pixels
from edgeclf.image.heatmap import positive_part
from edgeclf.image.shape import InputShape
from edgeclf.inference.activation_maps import MappingClassifier
from edgeclf.inference.explain_report import (
    CLASS_ACTIVATION_MAP,
    MODEL_FILE,
    EvidenceMap,
    ExplainedPhoto,
    ExplainedSource,
    ExplainReport,
)
from edgeclf.inference.explained_folder import ExplainedFolder
from edgeclf.inference.photo_reader import PhotoReader
from edgeclf.inference.photos import UnreadablePhoto, ensure_input_range, find_photos
from edgeclf.progress import SILENT, Progress

Floats = npt.NDArray[np.float32]
ReadPhoto = Callable[[str | Path], Pixels]

SHOWN_PHOTOS, SHOWN_SIDE = 100, 320
"""Photos of the page, and their longer side in pixels."""
_DIGITS = 5


class Explainer(Protocol):
    """What can be asked for maps.

    Attributes:
        source: for the report.
        labels: class names in the order of the outputs.
        input_shape: of the network, with its fit.
        notes: warnings, a line each.
    """

    source: ExplainedSource
    labels: tuple[str, ...]
    input_shape: InputShape

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings about how it is read, a line each."""
        ...

    def prepare(self, photos: Sequence[str | Path], read: ReadPhoto) -> None:
        """Look at the photos, which `read` decodes, before the first is explained."""
        ...

    def explain(self, image: Pixels, index: int | None) -> tuple[Floats, Floats]:
        """Compute outputs float32[C] and the map float32[h, w] of a class (None: the best) of uint8[H, W, 3]."""
        ...


class ModelExplainer:
    """A model file that is asked for class activation maps, on the device; an `Explainer`.

    Args:
        file: the model.
        keywords: those of `Classifier`.

    Raises:
        ModelError: its head is not global average pooling and one fully connected layer, or it sees objects.
        InputError: the engine cannot read inside of a graph, or a keyword does not go with the file.
    """

    def __init__(self, file: ModelFile, **keywords: Any) -> None:
        self._classifier = MappingClassifier(file, **keywords)
        self.labels, self.input_shape = self._classifier.labels, self._classifier.input_shape
        check_pictures(self.input_shape, str(self._classifier.path))
        path = str(self._classifier.path)
        self.source = ExplainedSource(MODEL_FILE, path, CLASS_ACTIVATION_MAP, self._classifier.map_size)

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings about how the file is read, a line each."""
        return self._classifier.notes

    @property
    def knows_input_range(self) -> bool:
        """Whether it is given, or stated by the file, how pixels enter the network."""
        return self._classifier.input_range is not None

    def prepare(self, photos: Sequence[str | Path], read: ReadPhoto) -> None:
        """Measure on the photos how pixels enter the network, unless that is known."""
        ensure_input_range(self._classifier, photos, read)

    def explain(self, image: Pixels, index: int | None) -> tuple[Floats, Floats]:
        """Compute probabilities float32[C] and the map float32[h, w] of a class (None: the best)."""
        scores = self._classifier.scores(image)
        return scores, self._classifier.activation_map(int(scores.argmax()) if index is None else index)


def check_pictures(shape: InputShape, name: str) -> None:
    """Refuse a model of objects, of whose several views no single map can be drawn.

    Raises:
        ModelError: it is one.
    """
    if shape.views:
        raise ModelError(f"{name}: sees objects from several directions; maps are drawn for models of pictures alone")


@dataclass(frozen=True)
class ExplainPlan:
    """What to explain.

    Args:
        photos: files, folders and addresses.
        out: folder for the pictures.
        class_name: whose maps are drawn; None: of each photo the class that the first source finds best.
        recursive: take the images of subfolders too.
        overwrite: write into a folder that holds something already.
    """

    photos: tuple[str, ...]
    out: Path
    class_name: str | None = None
    recursive: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class Explanations:
    """What was found: the report, and small copies of its first photos for the page, by path."""

    report: ExplainReport
    pictures: dict[str, Pixels] = field(repr=False)


def explain_photos(
    plan: ExplainPlan,
    folder: ExplainedFolder,
    explainers: Sequence[Explainer],
    notes: Sequence[str] = (),
    progress: Progress = SILENT,
) -> Explanations:
    """Draw the maps of photos into a folder.

    Args:
        plan: what to explain.
        folder: that of the plan, checked.
        explainers: at least one; the first chooses the class where the plan names none.
        notes: for the report.
        progress: where a bar is shown.

    Raises:
        UnknownNameError: there is no such class.
        InputError: no photo can be read.
    """
    for explainer in explainers:
        _find_class(explainer, plan.class_name)
    photos, unreadable = find_photos(plan.photos, plan.recursive, folder.path if folder.path.is_dir() else None)
    reader = PhotoReader(progress, explainers[0].input_shape)
    for explainer in explainers:
        explainer.prepare(photos, reader.read_ahead)
    explained: list[ExplainedPhoto] = []
    pictures: dict[str, Pixels] = {}
    with progress.task("explaining", len(photos)) as task:
        for photo in photos:
            try:
                pixels = _as_rgb(reader.read(photo))
                explained.append(_explain(str(photo), pixels, plan.class_name, folder, explainers))
            except ImageError as error:
                unreadable.append(UnreadablePhoto(str(photo), str(error)))
            else:
                if len(pictures) < SHOWN_PHOTOS:
                    pictures[str(photo)] = _shrink(pixels)
            task.advance()
    if not explained:
        first = f"{unreadable[0].path}: {unreadable[0].reason}" if unreadable else "there is no photo"
        raise InputError(first if len(unreadable) < 2 else f"none of {len(unreadable)} photos can be read: {first}")
    known = [photo.correlation for photo in explained if photo.correlation is not None]
    report = ExplainReport(
        sources=tuple(explainer.source for explainer in explainers),
        photos=tuple(explained),
        unreadable=tuple(unreadable),
        correlation=statistics.median(known) if known else None,
        out=str(folder.path),
        page=None,
        notes=tuple(dict.fromkeys((*notes, *(note for explainer in explainers for note in explainer.notes)))),
    )
    return Explanations(report, pictures)


def correlate(first: Floats, second: Floats) -> float | None:
    """Compute Pearson's correlation of the positive parts of two maps; the smaller is interpolated to the larger.

    None: one of them has no contrast.
    """
    one, two = positive_part(first), positive_part(second)
    if one.shape != two.shape:
        height, width = max(one.shape, two.shape)
        one, two = (np.asarray(cv2.resize(each, (width, height)), np.float32) for each in (one, two))
    if min(float(one.std()), float(two.std())) < 1e-6:
        return None
    return float(np.corrcoef(one.ravel(), two.ravel())[0, 1])


def _explain(
    name: str, pixels: Pixels, class_name: str | None, folder: ExplainedFolder, explainers: Sequence[Explainer]
) -> ExplainedPhoto:
    maps: list[EvidenceMap] = []
    evidence: list[Floats] = []
    for explainer in explainers:
        chosen = _find_class(explainer, class_name)
        outputs, values = explainer.explain(fit_image(pixels, explainer.input_shape), chosen)
        if not (np.isfinite(outputs).all() and np.isfinite(values).all()):
            raise ImageError(f"what the {explainer.source.kind} computes for it is NaN or infinite")
        best = int(outputs.argmax())
        index = best if chosen is None else chosen
        class_name = explainer.labels[index]
        rows = tuple(tuple(round(float(value), _DIGITS) for value in row) for row in values)
        saved = folder.save(name, explainer.source.kind, pixels, values, explainer.input_shape)
        found = EvidenceMap(explainer.source.kind, explainer.labels[best], float(outputs[index]), rows, str(saved))
        maps.append(found)
        evidence.append(values)
    correlation = correlate(evidence[0], evidence[1]) if len(evidence) > 1 else None
    return ExplainedPhoto(name, class_name or "", tuple(maps), correlation)


def _find_class(explainer: Explainer, class_name: str | None) -> int | None:
    if class_name is None:
        return None
    if class_name not in explainer.labels:
        raise UnknownNameError("class", class_name, explainer.labels)
    return explainer.labels.index(class_name)


def _as_rgb(pixels: npt.NDArray[Any]) -> Pixels:
    return fit_image(pixels, InputShape(*pixels.shape[:2]))


def _shrink(pixels: Pixels) -> Pixels:
    scale = min(1.0, SHOWN_SIDE / max(pixels.shape[:2]))
    return fit_image(pixels, InputShape(*(max(1, round(side * scale)) for side in pixels.shape[:2])))
