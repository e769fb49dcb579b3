"""Show collected images on the page, sort them into classes, delete them, and undo both."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgeclf.atomic import sync_folder
from edgeclf.dataset.collected import UNSORTED, class_folder_name, class_name_of, keep_long_name
from edgeclf.errors import InputError, RunFailedError
from edgeclf.paths import expand_home
from edgeclf.streaming.collection.decisions import TRASH, Decision, Journal, Move, empty_trash, new_decision
from edgeclf.streaming.collection.images import CollectedImage, Undone, UnknownDecisionError, UnknownImageError
from edgeclf.streaming.collection.index import IndexReader, adopt, is_name


class Collected:
    """What waits in `DIR/unsorted`. Safe to use from any thread, beside other processes that collect and sort.

    A name is valid only where `unsorted` has an image of that name, so that none can point outside the folder.

    Args:
        folder: DIR, as given to `Collector`.
        labels: class names of the model.
    """

    def __init__(self, folder: Path | str, labels: Sequence[str]) -> None:
        self._folder = expand_home(folder)
        self._unsorted = self._folder / UNSORTED
        self._labels = tuple(labels)
        self._index = IndexReader(self._unsorted)
        self._lock = threading.Lock()
        self._journal = Journal(self._folder)

    def labels(self) -> list[str]:
        """Return class names to choose from: the model's, then those of other class folders, sorted."""
        return [*self._labels, *sorted(self._class_folders().keys() - set(self._labels))]

    def pending(self, limit: int) -> list[CollectedImage]:
        """Return at most `limit` images without a label, the newest first."""
        there = self._names()
        with self._lock:
            try:
                index = self._index.entries()
            except OSError:
                index = {}
            strange = sorted(there - index.keys())
            names = [*strange, *(name for name in index if name in there)][::-1][: max(0, limit)]
            known = {name: index[name] for name in names if name in index}
        found = []
        for name in names:
            with contextlib.suppress(OSError):
                entry = known.get(name) or adopt(self._unsorted / f"{name}.jpg")
                found.append(CollectedImage(entry.name, entry.time, entry.reason, entry.scores))
        return found

    def count(self) -> int:
        """Count the images without a label."""
        return len(self._names())

    def class_counts(self) -> dict[str, int]:
        """Count the images of each class folder, by class."""
        counts = {}
        for label, name in sorted(self._class_folders().items()):
            with contextlib.suppress(OSError):
                counts[label] = sum(1 for file in os.listdir(self._folder / name) if not file.startswith("."))
        return counts

    def jpeg(self, name: str) -> bytes:
        """Return the picture as it was saved.

        Raises:
            UnknownNameError: it does not wait for a label.
        """
        path = self._path(name)
        with _explained(name, "read", name):
            return path.read_bytes()

    def label(self, names: str | Sequence[str], label: str) -> Decision:
        """Move pictures into the folder of a class, which is made where there is none yet.

        Returns:
            what was moved; pictures that somebody else has sorted meanwhile are not part of it.

        Raises:
            UnknownNameError: none of them waits for a label.
            InputError: no folder can have that class name.
            RunFailedError: they cannot be moved; those that were before the failure can be brought back.
        """
        wanted = class_folder_name(label)
        folder = self._folder / self._class_folders().get(label, wanted)
        with _explained(folder, "written"), self._journal.alone():
            waiting = self._waiting(names)
            made = _make_folder(folder)
            try:
                keep_long_name(folder, label)
                return self._move(waiting, folder, label, made)
            except BaseException:
                if made:  # an empty folder would be a class without photos
                    with contextlib.suppress(OSError):  # some are in it
                        folder.rmdir()
                raise

    def discard(self, names: str | Sequence[str]) -> Decision:
        """Move pictures into the trash; nothing that shows the same is collected again.

        Raises:
            UnknownNameError: none of them waits for a label.
            RunFailedError: they cannot be moved.
        """
        trash = self._unsorted / TRASH
        with _explained(trash, "written"), self._journal.alone():
            waiting = self._waiting(names)
            trash.mkdir(exist_ok=True)
            decision = self._move(waiting, trash, None, False)
            empty_trash(self._folder)
            return decision

    def decisions(self, limit: int) -> list[Decision]:
        """Return at most `limit` decisions that can be undone, the newest first."""
        return self._journal.standing()[::-1][: max(0, limit)]

    def undo(self, identity: str) -> Undone:
        """Put the pictures of a decision back to those without a label; an empty class folder that it made goes.

        Raises:
            UnknownNameError: there is no such decision, or it is undone by now.
            RunFailedError: they cannot be moved.
        """
        with _explained(self._unsorted, "written"), self._journal.alone():
            decision = next((one for one in self._journal.standing() if one.id == identity), None)
            if decision is None:
                raise UnknownDecisionError
            restored = gone = 0
            for image in decision.images:
                place = self._folder / image.place
                if _is_file(place):
                    os.rename(place, find_free_path(self._unsorted, image.name))
                    restored += 1
                elif not _is_file(self._unsorted / f"{image.name}.jpg"):
                    gone += 1
            sync_folder(self._unsorted)
            made = self._journal.made_folders()
            self._journal.drop(identity)
            for name in {image.place.partition("/")[0] for image in decision.images} & made:
                with contextlib.suppress(OSError):  # others are in it
                    os.rmdir(self._folder / name)
        return Undone(restored, gone)

    def _move(self, names: Sequence[str], folder: Path, label: str | None, made: bool) -> Decision:
        """Write down a decision, and carry it out; where that fails, what is written down becomes what did move."""
        moves, moved, taken = [], [], set[Path]()
        for name in names:
            place = find_free_path(folder, name, taken)
            taken.add(place)
            moves.append(Move(name, place.relative_to(self._folder).as_posix()))
        decision = new_decision(label, moves, made)
        self._journal.add(decision)
        try:
            for move in moves:
                with contextlib.suppress(FileNotFoundError):  # the quota took it at this moment
                    os.rename(self._unsorted / f"{move.name}.jpg", self._folder / move.place)
                    moved.append(move)
        except OSError:
            self._journal.correct(decision, moved)
            raise
        finally:
            sync_folder(folder)
            sync_folder(self._unsorted)
        return decision

    def _waiting(self, names: str | Sequence[str]) -> list[str]:
        """Return those of `names` that wait for a label, each once."""
        asked = dict.fromkeys([names] if isinstance(names, str) else names)
        waiting = [name for name in asked if is_name(name) and _is_file(self._unsorted / f"{name}.jpg")]
        if not waiting:
            raise UnknownImageError(next(iter(asked), ""))
        return waiting

    def _class_folders(self) -> dict[str, str]:
        """Return the folder of each class, by its class name."""
        folders: dict[str, str] = {}
        with contextlib.suppress(OSError), os.scandir(self._folder) as found:
            for entry in found:
                label = class_name_of(entry.path)
                if entry.name != UNSORTED and is_name(entry.name) and label.isprintable() and entry.is_dir():
                    folders[label] = entry.name
        return folders

    def _names(self) -> set[str]:
        names: set[str] = set()
        with contextlib.suppress(OSError):
            names = {file.removesuffix(".jpg") for file in os.listdir(self._unsorted) if file.endswith(".jpg")}
        return {name for name in names if is_name(name)}

    def _path(self, name: str) -> Path:
        path = self._unsorted / f"{name}.jpg"
        if not is_name(name) or not _is_file(path):
            raise UnknownImageError(name)
        return path


def _make_folder(folder: Path) -> bool:
    """Make the folder of a class; return whether there was none.

    Raises:
        InputError: the file system takes it for one with other capitals.
    """
    try:
        folder.mkdir()
    except FileExistsError:
        label = class_name_of(folder)
        same = [name for name in os.listdir(folder.parent) if name.casefold() == folder.name.casefold()]
        if same and folder.name not in same:
            raise InputError(
                f"class name {label!r}: this disk takes its folder for that of {class_name_of(same[0])!r}; "
                "choose another name"
            ) from None
        return False
    return True


def _is_file(path: Path) -> bool:
    """Return whether there is a file of its own, and no link to one elsewhere."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def find_free_path(folder: Path, name: str, taken: set[Path] | frozenset[Path] = frozenset()) -> Path:
    """Find `NAME.jpg` in `folder`, numbered where there is one, or `taken` has it."""
    place, number = folder / f"{name}.jpg", 1
    while place in taken or os.path.lexists(place):
        number += 1
        place = folder / f"{name}-{number}.jpg"
    return place


@contextlib.contextmanager
def _explained(place: Path | str, doing: str, name: str | None = None) -> Iterator[None]:
    """Replace errors of the operating system by ones of one line; a file that is gone is an unknown image."""
    try:
        yield
    except FileNotFoundError as error:
        if name is not None:
            raise UnknownImageError(name) from error
        raise RunFailedError(f"{place}: cannot be {doing} (the folder is gone)") from error
    except OSError as error:
        raise RunFailedError(f"{place}: cannot be {doing} ({(error.strerror or str(error)).lower()})") from error
