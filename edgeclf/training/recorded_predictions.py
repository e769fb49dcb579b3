"""Recorded predictions of a teacher, by the content of the images: a file that is a teacher itself."""

from __future__ import annotations

import dataclasses
import sys
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.atomic import atomic_file
from edgeclf.dataset.types import Dataset
from edgeclf.errors import InputError
from edgeclf.inference.ensemble import sum_tolerance
from edgeclf.training.augmentation import Augmentation
from edgeclf.training.soft_targets import FixedViews, SoftTargets

RECORDED = ".npz"
_PARTS = ("classes", "contents", "probabilities")
_VIEWS = ("recipe", "of_views")
"""Parts of a file that has views, too: how they are drawn (JSON), and what is predicted for them."""
_MOST_TEXT = 10_000
_HASH_BYTES = 4 * 64
"""Of a content hash, as NumPy stores its 64 characters."""
_SMALL_PARTS = 1_000_000
"""Bytes for the rest of a file: names of classes, how views are drawn, and the headers of all parts."""
_MOST_BYTES = 2 * 1024**3
"""Of a recorded file, unpacked: 50 million images of ten classes."""
_DAMAGE = (
    OSError, ValueError, EOFError, LookupError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What reading a file raises that is cut, encrypted, compressed in another way, or larger than it has bytes for."""
_ROUNDED = 1e-4
"""Sums that are farther from 1 than this are of probabilities that were rounded to few bits."""


@dataclass(frozen=True)
class RecordedPredictions:
    """Probabilities of a teacher, by the content of the images.

    Attributes:
        classes: C names, in the order of the columns.
        contents: N content hashes.
        probabilities: float32[N, C].
        views: of the images, that the teacher has seen, too; None: none.
        of_views: float32[N, K, C], what it predicts for each of them; None where there are none.
    """

    classes: tuple[str, ...]
    contents: tuple[str, ...]
    probabilities: npt.NDArray[np.float32]
    views: FixedViews | None = None
    of_views: npt.NDArray[np.float32] | None = None

    @classmethod
    def of(cls, classes: tuple[str, ...], targets: SoftTargets) -> RecordedPredictions:
        """Make a record of what a run learns from."""
        return cls(classes, targets.contents, targets.probabilities, targets.views, targets.of_views)

    def write(self, path: Path) -> None:
        """Write them as `.npz`, atomically.

        Raises:
            OutputError: the folder cannot be written.
        """
        parts: dict[str, Any] = {
            "classes": np.array(self.classes),
            "contents": np.array(self.contents),
            "probabilities": self.probabilities,
        }
        if self.views is not None:
            parts |= {"recipe": np.array(self.views.recipe.to_json()), "of_views": self.of_views}
        with atomic_file(path) as stream:
            np.savez_compressed(stream, **parts)

    def for_training(self, dataset: Dataset, origin: str, views: FixedViews | None = None) -> SoftTargets:
        """Return the probabilities of the training images, in the order of the classes of `dataset`.

        Args:
            dataset: with the split `train`.
            origin: the teacher, for messages.
            views: that are wanted, too; of more of them the first are taken. None: none.

        Raises:
            InputError: they are of other classes, or lack a training image or the views.
        """
        check_classes(self.classes, dataset, origin)
        rows = {content: number for number, content in enumerate(self.contents)}
        split = dataset.splits["train"]
        missing = [path for path, content in zip(split.paths, split.hashes, strict=True) if content not in rows]
        if missing:
            raise InputError(
                f"{origin} has no predictions for {len(missing):,} of {len(split):,} training images, "
                f"e.g. {missing[0]}; record them anew with the photos as they are"
            )
        columns = [self.classes.index(name) for name in dataset.class_names]
        chosen = [rows[content] for content in split.hashes]
        targets = SoftTargets(self.probabilities[chosen][:, columns], split.hashes)
        if views is None:
            return targets
        if self.views is None or self.of_views is None or not _has_views(self.views, views):
            raise InputError(
                f"{origin} has {_describe_views(self.views)}, expected {_describe_views(views)}; record it with the "
                "same --augment and flip and as many teacher_views, or leave teacher_views out"
            )
        of_views = self.of_views[chosen][:, : views.count][:, :, columns]
        return dataclasses.replace(targets, views=views, of_views=of_views)


def _has_views(recorded: FixedViews, wanted: FixedViews) -> bool:
    """Return whether views are among those that were recorded: the same recipe, and at least as many."""
    return recorded.recipe == wanted.recipe and recorded.count >= wanted.count


def _describe_views(views: FixedViews | None) -> str:
    if views is None:
        return "predictions of whole images alone"
    changes = ", ".join(f"{name} {value}" for name, value in views.recipe.to_dict().items() if value)
    return f"predictions of {views.count} views an image ({changes or 'unchanged'})"


def check_classes(classes: Sequence[str], dataset: Dataset, origin: str) -> None:
    """Refuse a teacher of other classes.

    Args:
        classes: that it knows, in any order.
        dataset: that the student is trained on.
        origin: the teacher, for the message.

    Raises:
        InputError: they are others.
    """
    if sorted(classes) != sorted(dataset.class_names):
        raise InputError(
            f"{origin} knows the classes {show_names(tuple(classes))}, expected those of {dataset.source}: "
            f"{show_names(dataset.class_names)}; a teacher must have learned the same classes"
        )


def check_size(images: int, classes: int, views: int) -> None:
    """Refuse more predictions than a file of them may hold.

    Raises:
        InputError: there are too many.
    """
    size = images * (4 * classes * (views + 1) + _HASH_BYTES) + _SMALL_PARTS
    if size > _MOST_BYTES:
        raise InputError(
            f"teacher_views {views} of {images:,} images and {classes:,} classes take {size:,} bytes, expected at most "
            f"{_MOST_BYTES:,}; choose fewer"
        )


def normalize_rows(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Divide those probabilities float32[..., C] by their sum that rounding to 8 bits has led away from 1.

    Others stay to the last bit, so that a run that goes on learns from the same numbers.
    """
    sums = probabilities.sum(axis=-1, keepdims=True)
    off = (abs(sums - 1) > _ROUNDED) & (sums > 0)
    return (probabilities / np.where(off, sums, 1)).astype(np.float32)


def read_predictions(path: Path) -> RecordedPredictions:
    """Read recorded predictions.

    Raises:
        InputError: the file is not there, is no such record, or its numbers are no probabilities.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {member.filename: member.file_size for member in archive.infolist()}
        expected = (*_PARTS, *_VIEWS) if any(f"{name}.npy" in sizes for name in _VIEWS) else _PARTS
        if sorted(sizes) != sorted(f"{name}.npy" for name in expected):
            raise InputError(
                f"{path}: expected recorded predictions with the arrays {', '.join(expected)}, got "
                f"{show_names(tuple(sizes))}"
            )
        if sum(sizes.values()) > _MOST_BYTES:
            raise InputError(f"{path}: unpacks to {sum(sizes.values()):,} bytes, at most {_MOST_BYTES:,} are read")
        with np.load(path, allow_pickle=False) as stored:
            classes, contents, probabilities = (stored[name] for name in _PARTS)
            recipe, of_views = (stored[name] if name in expected else None for name in _VIEWS)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; name a teacher with --teacher") from error
    except _DAMAGE as error:
        raise InputError(f"{path}: cannot be read as recorded predictions ({error})") from error
    _check_arrays(path, classes, contents, probabilities)
    found = RecordedPredictions(
        tuple(map(str, classes)), tuple(map(str, contents)), normalize_rows(np.asarray(probabilities, np.float32))
    )
    if of_views is None:
        return found
    views = _read_views(path, recipe, of_views, found.probabilities)
    return dataclasses.replace(found, views=views, of_views=normalize_rows(np.asarray(of_views, np.float32)))


def _read_views(path: Path, recipe: Any, of_views: Any, probabilities: npt.NDArray[np.float32]) -> FixedViews:
    """Check what was recorded of views, and return how they are drawn."""
    images, classes = probabilities.shape
    texts = isinstance(recipe, np.ndarray) and recipe.dtype.kind == "U" and recipe.ndim == 0
    numbers = isinstance(of_views, np.ndarray) and of_views.dtype.kind == "f" and of_views.ndim == 3
    if not texts or not numbers or (of_views.shape[0], of_views.shape[2]) != (images, classes) or not of_views.size:
        raise InputError(f"{path}: expected how views are drawn, and a number a class, view and image")
    if recipe.dtype.itemsize > 4 * _MOST_TEXT or not _is_text(recipe):
        raise InputError(f"{path}: expected at most {_MOST_TEXT:,} characters of text on how views are drawn")
    _check_probabilities(path, of_views)
    try:
        return FixedViews(Augmentation.from_json(str(recipe)), of_views.shape[1])
    except InputError as error:
        raise InputError(f"{path}: {error!s:.200}") from error


def _check_arrays(path: Path, classes: Any, contents: Any, probabilities: Any) -> None:
    if not all(isinstance(part, np.ndarray) for part in (classes, contents, probabilities)):
        raise InputError(f"{path}: expected recorded predictions, got parts that are no arrays of NumPy")
    kinds = (classes.dtype.kind, contents.dtype.kind, probabilities.dtype.kind)
    axes = (classes.ndim, contents.ndim, probabilities.ndim)
    if kinds != ("U", "U", "f") or axes != (1, 1, 2) or probabilities.shape != (len(contents), len(classes)):
        raise InputError(
            f"{path}: expected names of the classes, content hashes and a number a class and image, got arrays of the "
            f"shapes {classes.shape}, {contents.shape} and {probabilities.shape}"
        )
    if not _is_text(classes) or not _is_text(contents):
        raise InputError(f"{path}: names of classes or content hashes are no text")
    if len(set(classes.tolist())) < len(classes):
        raise InputError(f"{path}: a class is named twice")
    _check_probabilities(path, probabilities)


def _check_probabilities(path: Path, probabilities: npt.NDArray[np.floating[Any]]) -> None:
    values = np.asarray(probabilities, np.float64)
    tolerance = sum_tolerance(values.shape[-1])
    if not (np.isfinite(values).all() and (values >= 0).all() and (abs(values.sum(-1) - 1) < tolerance).all()):
        raise InputError(f"{path}: expected probabilities, rows of numbers from 0 on that add up to 1")


def _is_text(array: npt.NDArray[np.str_]) -> bool:
    """Return whether all characters of an array are some; NumPy stores any number of 32 bits."""
    codes = np.ascontiguousarray(array).reshape(-1).astype(array.dtype.newbyteorder("=")).view(np.uint32)
    return bool((codes <= sys.maxunicode).all())


def show_names(names: tuple[str, ...]) -> str:
    """Write the first five names, each of at most 40 characters, for a message."""
    return ", ".join(f"{name:.40}" for name in names[:5]) + (", ..." if len(names) > 5 else "")
