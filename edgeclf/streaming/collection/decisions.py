"""Remember how collected images were sorted, so that it can be undone, also after a restart and by another process.

Each decision is a line of `unsorted/decisions.jsonl`, written before anything moves: after a power cut some images may
still be where they were, and undoing the decision finds all of them. Where a move fails, a further line of the same
identity replaces it by what did move, or takes it back. Deleted images wait in `unsorted/.trash`, which is
bounded: the ones deleted first are gone for good.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import json
import os
import secrets
import shutil
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeclf.atomic import write_text
from edgeclf.dataset.collected import UNSORTED
from edgeclf.errors import InputError
from edgeclf.records import Record
from edgeclf.streaming.collection.index import is_name
from edgeclf.streaming.collection.room import SPARE_BYTES

JOURNAL, TRASH = "decisions.jsonl", ".trash"
TRASH_BYTES = 50_000_000
"""Deleted images that can be brought back take at most this; none are kept where the disk is nearly full."""

MOST_DECISIONS = 200
_MOST_BYTES = 1 << 20
_LOCK = ".sorting.lock"


@dataclass(frozen=True)
class Move(Record):
    """An image, and where it went: the path below the folder."""

    name: str
    place: str


@dataclass(frozen=True)
class Decision(Record):
    """Images that were sorted into one class, or deleted, at once.

    Attributes:
        id: names it when it is undone.
        time: ISO 8601.
        label: the class; None: deleted.
        images: what moved, and where to.
        made_folder: the class had no folder before.
    """

    id: str
    time: str
    label: str | None
    images: tuple[Move, ...]
    made_folder: bool = False


def new_decision(label: str | None, images: Sequence[Move], made_folder: bool = False) -> Decision:
    """Make a decision of this moment."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
    return Decision(secrets.token_hex(8), now, label, tuple(images), made_folder)


class Journal:
    """The decisions on the images of one folder. Safe to use from any thread, beside other processes.

    Args:
        folder: DIR, as given to `Collector`.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / UNSORTED / JOURNAL
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._known: tuple[dict[str, Decision], frozenset[str]] = ({}, frozenset())

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other threads and processes from sorting the same images meanwhile."""
        with self._lock, open(self._path.with_name(_LOCK), "a", encoding="utf-8") as lock:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def standing(self) -> list[Decision]:
        """Return the newest decisions that were not undone, oldest first."""
        return list(self._read()[0].values())[-MOST_DECISIONS:]

    def made_folders(self) -> frozenset[str]:
        """Return the folders of classes that decisions have made, also undone ones."""
        return self._read()[1]

    def add(self, decision: Decision) -> None:
        """Write down a decision, before it is carried out."""
        self._append(decision.to_json())

    def correct(self, decision: Decision, moved: Sequence[Move]) -> None:
        """Write down that only `moved` was carried out of a decision, before something failed."""
        with contextlib.suppress(OSError):  # a full disk: the first failure counts, and undoing finds what moved
            if moved:
                self.add(dataclasses.replace(decision, images=tuple(moved)))
            else:
                self.drop(decision.id)

    def drop(self, identity: str) -> None:
        """Write down that a decision was undone, or came to nothing."""
        self._append(json.dumps({"undone": identity}))

    def _append(self, line: str) -> None:
        with open(self._path, "a+b") as stream:
            if stream.seek(0, os.SEEK_END):
                stream.seek(-1, os.SEEK_END)
                if stream.read(1) != b"\n":  # torn by a power cut
                    stream.write(b"\n")
            stream.write(line.encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
            size = stream.tell()
        if size > _MOST_BYTES:
            kept, size = [], 0
            for decision in reversed(self.standing()):
                kept.append(decision.to_json())
                size += len(kept[-1])
                if size > _MOST_BYTES // 2:
                    break
            write_text(self._path, "".join(f"{line}\n" for line in reversed(kept)))

    def _read(self) -> tuple[dict[str, Decision], frozenset[str]]:
        try:
            status = os.stat(self._path)
        except OSError:
            return {}, frozenset()
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        if stamp != self._stamp:
            self._known, self._stamp = _read_journal(self._path), stamp
        return self._known


def _read_journal(path: Path) -> tuple[dict[str, Decision], frozenset[str]]:
    """Read all lines that are decisions; what a power cut tore, or somebody else wrote, is left out."""
    decisions: dict[str, Decision] = {}
    made: set[str] = set()
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as stream:
        for line in stream.read(4 * _MOST_BYTES).splitlines():
            with contextlib.suppress(ValueError, TypeError, RecursionError, InputError):
                document = json.loads(line)
                if isinstance(document, dict) and set(document) == {"undone"}:
                    decisions.pop(str(document["undone"]), None)
                    continue
                decision = Decision.from_dict(document)
                if all(is_name(one.name) and is_place(one.place) for one in decision.images):
                    decisions[decision.id] = decision
                    if decision.made_folder and decision.images:
                        made.add(decision.images[0].place.partition("/")[0])
    return decisions, frozenset(made)


def is_place(place: str) -> bool:
    """Return whether `place` is an image of a class folder, or of the trash, and leads nowhere else."""
    *folders, file = place.split("/")
    if not (is_name(file) and file.endswith(".jpg")):
        return False
    if folders == [UNSORTED, TRASH]:
        return True
    return len(folders) == 1 and is_name(folders[0]) and folders[0] != UNSORTED


def empty_trash(folder: Path) -> None:
    """Delete the images of `DIR/unsorted/.trash` that were deleted first, until the rest may be kept."""
    trash = folder / UNSORTED / TRASH
    roomy = shutil.disk_usage(trash).free > 2 * SPARE_BYTES
    files = []
    with os.scandir(trash) as found:
        for file in found:
            with contextlib.suppress(FileNotFoundError):
                status = file.stat(follow_symlinks=False)
                files.append((status.st_ctime_ns, file.path, status.st_size))
    taken = sum(size for _, _, size in files)
    for _, path, size in sorted(files):
        if taken <= (TRASH_BYTES if roomy else 0):
            return
        with contextlib.suppress(OSError):
            os.unlink(path)
        taken -= size
