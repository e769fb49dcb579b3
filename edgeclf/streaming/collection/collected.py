"""Show collected images on the page, sort them into classes, or delete them."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgeclf.atomic import sync_folder
from edgeclf.dataset.collected import INDEX, UNSORTED, class_folder_name
from edgeclf.errors import InputError, RunFailedError, UnknownNameError
from edgeclf.records import Record
from edgeclf.streaming.collection.unsorted import Entry, read_index


@dataclass(frozen=True)
class CollectedImage(Record):
    """A collected frame without a label.

    Attributes:
        name: of the file, without a folder and without its ending.
        time: of the capture, ISO 8601.
        reason: why it was kept.
        scores: probability of each class that the model found likely.
    """

    name: str
    time: str
    reason: str
    scores: dict[str, float]


class CollectedImages(Protocol):
    """Collected frames. Called from worker threads; every method may raise InputError, UnknownNameError for a name."""

    def labels(self) -> list[str]:
        """Return names of classes, to choose from."""

    def pending(self, limit: int) -> list[CollectedImage]:
        """Return at most `limit` frames without a label, the newest first."""

    def jpeg(self, name: str) -> bytes:
        """Return the picture."""

    def label(self, name: str, label: str) -> None:
        """Sort the picture into the class `label`, which may be a new one."""

    def discard(self, name: str) -> None:
        """Delete the picture."""


class UnknownImageError(UnknownNameError):
    """There is no such image, or it is sorted by now."""

    def __init__(self, name: str) -> None:
        InputError.__init__(self, f"no collected image {name!r} waits for a label; it may be sorted or deleted by now")
        self.nearest = None


class Collected:
    """What waits in `DIR/unsorted`. Safe to use from any thread, beside the process that collects.

    A name is valid only where the index has it, so that none can point outside the folder.

    Args:
        folder: DIR, as given to `Collector`.
        labels: class names of the model.
    """

    def __init__(self, folder: Path | str, labels: Sequence[str]) -> None:
        self._folder = Path(folder).expanduser()
        self._unsorted = self._folder / UNSORTED
        self._labels = tuple(labels)
        self._stamp: tuple[int, int, int] | None = None
        self._entries: dict[str, Entry] = {}
        self._lock = threading.Lock()

    def labels(self) -> list[str]:
        """Return class names to choose from: the model's, then those of other class folders, sorted."""
        own = {folder for label in self._labels if (folder := _folder_or_none(label))}
        others = []
        with contextlib.suppress(OSError), os.scandir(self._folder) as found:
            others = [e.name for e in found if e.is_dir() and e.name not in own and _folder_or_none(e.name) == e.name]
        return [*self._labels, *sorted(others)]

    def pending(self, limit: int) -> list[CollectedImage]:
        """Return at most `limit` images without a label, the newest first."""
        there = set()
        with contextlib.suppress(OSError):
            there = set(os.listdir(self._unsorted))
        with self._lock:
            entries = self._index()
            newest = [entry for entry in reversed(entries.values()) if f"{entry.name}.jpg" in there]
        return [CollectedImage(e.name, e.time, e.reason, e.scores) for e in newest[: max(0, limit)]]

    def jpeg(self, name: str) -> bytes:
        """Return the picture as it was saved.

        Raises:
            UnknownNameError: it does not wait for a label.
        """
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError as error:
            raise UnknownImageError(name) from error
        except OSError as error:
            raise RunFailedError(f"{name}: cannot be read ({(error.strerror or str(error)).lower()})") from error

    def label(self, name: str, label: str) -> None:
        """Move the picture into the folder of a class, which is made where there is none yet.

        Raises:
            UnknownNameError: it does not wait for a label.
            InputError: no folder can have that class name.
            RunFailedError: it cannot be moved.
        """
        image, folder = self._path(name), self._folder / class_folder_name(label)
        try:
            with self._lock:
                if not image.exists():
                    raise UnknownImageError(name)
                folder.mkdir(exist_ok=True)
                os.replace(image, _find_free_path(folder, name))
            sync_folder(folder)
            sync_folder(self._unsorted)
        except FileNotFoundError as error:
            raise UnknownImageError(name) from error
        except OSError as error:
            raise RunFailedError(f"{folder}: cannot be written ({(error.strerror or str(error)).lower()})") from error

    def discard(self, name: str) -> None:
        """Delete the picture; nothing that shows the same is collected again.

        Raises:
            UnknownNameError: it does not wait for a label.
            RunFailedError: it cannot be deleted.
        """
        path = self._path(name)
        try:
            path.unlink()
        except FileNotFoundError as error:
            raise UnknownImageError(name) from error
        except OSError as error:
            raise RunFailedError(f"{name}: cannot be deleted ({(error.strerror or str(error)).lower()})") from error

    def _path(self, name: str) -> Path:
        with self._lock:
            if name not in self._index():
                raise UnknownImageError(name)
        return self._unsorted / f"{name}.jpg"

    def _index(self) -> dict[str, Entry]:
        """Return the index, read again where it has changed."""
        try:
            status = os.stat(self._unsorted / INDEX)
        except OSError:
            return {}
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        if stamp != self._stamp:
            self._entries = {entry.name: entry for entry in read_index(self._unsorted)}
            self._stamp = stamp
        return self._entries


def _folder_or_none(label: str) -> str | None:
    try:
        return class_folder_name(label)
    except InputError:
        return None


def _find_free_path(folder: Path, name: str) -> Path:
    place, number = folder / f"{name}.jpg", 1
    while place.exists():
        number += 1
        place = folder / f"{name}-{number}.jpg"
    return place
