"""Keep collected images on the disk: files and one index of what is known about them, within a quota, crash-safe."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

from edgeclf.atomic import atomic_file, write_text
from edgeclf.dataset.collected import HEADER, INDEX, UNSORTED
from edgeclf.errors import InputError, OutputError, RunFailedError
from edgeclf.streaming.collection.index import Entry, adopt, is_name, read_index
from edgeclf.streaming.collection.room import require_room

REMEMBERED = 500
"""How many images a new one is compared with, also of those that are sorted or deleted by now."""

_LOCK = ".lock"
_DEAD_LINES = 2000


class UnsortedImages:
    """The folder `DIR/unsorted`, written by one process at a time.

    An image's line is in the index before its file is there, so a crash leaves at most a line without a file, which
    counts for nothing. Only images of this folder itself count towards the quota and are ever deleted by it: what was
    sorted or deleted on the page, and can be brought back, is bounded elsewhere (see `decisions`).

    Args:
        folder: DIR.
        quota_bytes: that the images in `unsorted` may take together.

    Raises:
        InputError: another process collects into it.
        OutputError: it cannot be made or written.
    """

    def __init__(self, folder: Path, quota_bytes: int) -> None:
        self.folder = folder / UNSORTED
        self._quota, self._counted_at = quota_bytes, 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise OutputError(f"--collect {folder}: cannot be written ({_reason(error)}); choose another") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise InputError(f"--collect {folder}: another edgeclf collects into it; choose another folder") from error
        except OSError:
            pass  # a file system without locks
        try:
            self._open()
        except (OSError, OutputError) as error:
            self.close()
            raise OutputError(f"--collect {folder}: cannot be written ({_reason(error)}); choose another") from error
        except RunFailedError:
            self.close()
            raise

    def _open(self) -> None:
        index = self.folder / INDEX
        for left in self.folder.glob(".*.partial"):  # of a process that was killed
            left.unlink(missing_ok=True)
        self._entries = read_index(self.folder)
        known = {entry.name for entry in self._entries}
        files = sorted(path for path in self.folder.glob("*.jpg") if is_name(path.stem))
        unknown = [adopt(path) for path in files if path.stem not in known]
        present = {path.stem for path in files}
        alive = {entry.name for entry in self._entries[-REMEMBERED:]} | present
        kept = [*unknown, *(entry for entry in self._entries if entry.name in alive)]
        if kept != self._entries or not index.exists():
            self._rewrite(kept)
        else:
            self._lines = len(kept)
        self._waiting = dict.fromkeys(present, 0)
        self._recount()

    def newest(self) -> list[Entry]:
        """Return up to 500 entries, also of images that are sorted or deleted by now, oldest first."""
        return self._entries[-REMEMBERED:]

    def free_name(self, seconds: float) -> str:
        """Return a name for an image captured at `seconds` (`time.time()`), not yet taken."""
        moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
        stem = f"{moment:%Y%m%d-%H%M%S}-{moment.microsecond // 1000:03}"
        taken = {entry.name for entry in self._entries}
        number, name = 1, stem
        while name in taken:
            number += 1
            name = f"{stem}-{number}"
        return name

    def require_room(self) -> None:
        """Raise RunFailedError where the disk is nearly full."""
        require_room(self.folder, "nothing is collected until there is room")

    def add(self, entry: Entry, content: bytes) -> None:
        """Save an image; the oldest unsorted ones are deleted where the quota asks for it.

        Raises:
            RunFailedError: the disk is full, cannot be written, or the quota is smaller than this image.
        """
        if len(content) > self._quota:
            raise RunFailedError(f"an image has {len(content)} bytes, more than the quota of {self._quota} bytes")
        self.require_room()
        if self._changed_at() != self._counted_at:
            self._recount()
        if self._bytes + len(content) > self._quota:
            self._make_place(len(content))
        try:
            self._append(entry)
            with atomic_file(self._path(entry.name)) as stream:
                stream.write(content)
        except (OSError, OutputError) as error:
            raise RunFailedError(f"{self.folder}: cannot be written ({_reason(error)})") from error
        self._entries.append(entry)
        self._waiting[entry.name] = len(content)
        self._bytes += len(content)
        self._counted_at = self._changed_at()
        if self._lines > len(self._waiting) + _DEAD_LINES:
            self._recount()
            alive = {e.name for e in self._entries[-REMEMBERED:]} | self._waiting.keys()
            self._rewrite([e for e in self._entries if e.name in alive])

    def close(self) -> None:
        """Release the folder for other processes."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.jpg"

    def _recount(self) -> None:
        """Count again what is there, since others sort and delete images, and undo that, meanwhile."""
        sizes: dict[str, int] = {}
        with os.scandir(self.folder) as found:
            for file in found:
                name = file.name.removesuffix(".jpg")
                if is_name(name) and name != file.name:
                    with contextlib.suppress(FileNotFoundError):
                        sizes[name] = file.stat().st_size
        order = [entry.name for entry in self._entries]
        oldest_first = [*sorted(sizes.keys() - set(order)), *(name for name in order if name in sizes)]
        self._waiting = {name: sizes[name] for name in oldest_first}
        self._bytes = sum(sizes.values())
        self._counted_at = self._changed_at()

    def _changed_at(self) -> int:
        return os.stat(self.folder).st_mtime_ns

    def _make_place(self, needed: int) -> None:
        for name in list(self._waiting):
            if self._bytes + needed <= self._quota:
                return
            self._path(name).unlink(missing_ok=True)
            self._bytes -= self._waiting.pop(name)

    def _append(self, entry: Entry) -> None:
        with open(self.folder / INDEX, "a+b") as stream:
            if stream.seek(0, os.SEEK_END):
                stream.seek(-1, os.SEEK_END)
                if stream.read(1) != b"\n":  # torn by a power cut
                    stream.write(b"\n")
            stream.write(entry.to_json().encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        self._lines += 1

    def _rewrite(self, entries: Iterable[Entry]) -> None:
        self._entries = list(entries)
        lines = [HEADER, *(entry.to_json() for entry in self._entries)]
        write_text(self.folder / INDEX, "\n".join(lines) + "\n")
        self._lines = len(self._entries)


def _reason(error: BaseException) -> str:
    cause = error.__cause__ if isinstance(error, OutputError) and error.__cause__ else error
    return (getattr(cause, "strerror", None) or str(cause)).lower()
