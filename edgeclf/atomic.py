"""Writes files atomically: under a temporary name, synced, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from edgeclf.errors import EdgeclfError, OutputError, RunFailedError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_WORDS = (*(os.strerror(number).lower() for number in _FULL), "disk is full")
_LONGEST_CHAIN = 10
_STATUS = Path("/proc/self/status")
_TOGGLING = threading.Lock()


@contextlib.contextmanager
def atomic_file(path: Path | str, mode: str = "wb") -> Iterator[IO[Any]]:
    """Write `path` atomically: a temporary file beside it replaces it when the block ends, or is removed on an error.

    Raises:
        OutputError: the folder cannot be made or written.
        RunFailedError: the disk is full.
    """
    path = Path(path)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    try:
        with explained(path):
            encoding = None if "b" in mode else "utf-8"
            newline = None if "b" in mode else ""
            with os.fdopen(descriptor, mode, encoding=encoding, newline=newline) as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
            sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with atomic_file(path) as stream:
        stream.write(content)


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8 to `path` atomically."""
    write_bytes(path, text.encode())


def sync_folder(folder: Path) -> None:
    """Sync `folder`, so that a rename inside it survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_writable(folder: Path, option: str = "--out") -> None:
    """Raise OutputError before hours of work, not after, where `folder` cannot be made or written.

    Args:
        folder: to write to.
        option: that chooses it, for the message.
    """
    with explained(folder, option):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


@contextlib.contextmanager
def explained(path: Path, option: str = "--out") -> Iterator[None]:
    """Replace the operating system's errors about writing `path`, which `option` chooses, by ones of one line each."""
    try:
        yield
    except OSError as error:
        if is_full_disk(error):
            raise RunFailedError(f"{path}: the disk is full; free some space and run the command again") from error
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"{path}: cannot be written ({reason}); choose another place with {option}") from error


def is_full_disk(error: BaseException) -> bool:
    """Return whether an error, or one that it came from, says that the disk is full or a quota is used up.

    HDF5, TensorFlow and SQLite raise errors of their own kinds, with the system's words or their own.
    """
    seen: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if seen is None:
            return False
        if isinstance(seen, OSError) and seen.errno in _FULL:
            return True
        if not isinstance(seen, EdgeclfError) and any(words in str(seen).lower() for words in _FULL_WORDS):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _umask() -> int:
    """Read the umask, without changing it where the system allows that: it is one for all threads."""
    with contextlib.suppress(OSError, ValueError), _STATUS.open("rb") as status:
        for line in status:
            if line.startswith(b"Umask:"):
                return int(line.removeprefix(b"Umask:"), 8)
    with _TOGGLING:
        current = os.umask(0o077)  # a file that another thread makes meanwhile is too private, not too public
        os.umask(current)
    return current
