"""Recorded predictions of a teacher, by the content of the images: a file that is a teacher itself."""

from __future__ import annotations

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

RECORDED = ".npz"
_PARTS = ("classes", "contents", "probabilities")
_MOST_BYTES = 2 * 1024**3
"""Of a recorded file, unpacked: 50 million images of ten classes."""
_DAMAGE = (
    OSError, ValueError, EOFError, LookupError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What reading a file raises that is cut, encrypted, compressed in another way, or larger than it has bytes for."""
_SUM_TOLERANCE = 0.01


@dataclass(frozen=True)
class RecordedPredictions:
    """Probabilities of a teacher, by the content of the images.

    Attributes:
        classes: C names, in the order of the columns.
        contents: N content hashes.
        probabilities: float32[N, C].
    """

    classes: tuple[str, ...]
    contents: tuple[str, ...]
    probabilities: npt.NDArray[np.float32]

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
        with atomic_file(path) as stream:
            np.savez_compressed(stream, **parts)

    def for_training(self, dataset: Dataset, origin: str) -> npt.NDArray[np.float32]:
        """Return the probabilities of the training images, in the order of the classes of `dataset`: float32[N, C].

        Args:
            dataset: with the split `train`.
            origin: the teacher, for messages.

        Raises:
            InputError: they are of other classes, or lack a training image.
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
        return self.probabilities[[rows[content] for content in split.hashes]][:, columns]


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


def read_predictions(path: Path) -> RecordedPredictions:
    """Read recorded predictions.

    Raises:
        InputError: the file is not there, is no such record, or its numbers are no probabilities.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {member.filename: member.file_size for member in archive.infolist()}
        if sorted(sizes) != sorted(f"{name}.npy" for name in _PARTS):
            raise InputError(
                f"{path}: expected recorded predictions with the arrays {', '.join(_PARTS)}, got "
                f"{show_names(tuple(sizes))}"
            )
        if sum(sizes.values()) > _MOST_BYTES:
            raise InputError(f"{path}: unpacks to {sum(sizes.values()):,} bytes, at most {_MOST_BYTES:,} are read")
        with np.load(path, allow_pickle=False) as stored:
            classes, contents, probabilities = (stored[name] for name in _PARTS)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; name a teacher with --teacher") from error
    except _DAMAGE as error:
        raise InputError(f"{path}: cannot be read as recorded predictions ({error})") from error
    _check_arrays(path, classes, contents, probabilities)
    return RecordedPredictions(
        tuple(map(str, classes)), tuple(map(str, contents)), np.asarray(probabilities, np.float32)
    )


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
    if len(set(classes.tolist())) < len(classes):
        raise InputError(f"{path}: a class is named twice")
    values = np.asarray(probabilities, np.float64)
    if not (np.isfinite(values).all() and (values >= 0).all() and (abs(values.sum(1) - 1) < _SUM_TOLERANCE).all()):
        raise InputError(f"{path}: expected probabilities, rows of numbers from 0 on that add up to 1")


def show_names(names: tuple[str, ...]) -> str:
    """Write the first five names, each of at most 40 characters, for a message."""
    return ", ".join(f"{name:.40}" for name in names[:5]) + (", ..." if len(names) > 5 else "")
