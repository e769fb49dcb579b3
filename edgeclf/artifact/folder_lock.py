"""A lock on a folder that a command writes to, so that no other one works in it at the same time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from edgeclf.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder`, which is made where it is not there, and removed again if it stays empty.

    The system releases the lock when the process ends, however it ends. Where the folder cannot be locked (it cannot be
    written, or its file system has no locks), nothing is held: whoever writes there reports the reason.

    Raises:
        OutputError: another process holds it.
    """
    made = _make_folders(folder)
    try:
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                _lock(folder, stack)
            yield
    finally:
        for path in made:
            with contextlib.suppress(OSError):  # something is in it
                path.rmdir()


@contextlib.contextmanager
def lock_folders(folders: Iterable[str | Path]) -> Iterator[None]:
    """Hold the locks of several folders, each once.

    Raises:
        OutputError: another process holds one of them.
    """
    with contextlib.ExitStack() as stack:
        for folder in {os.path.realpath(one): Path(one) for one in folders}.values():
            stack.enter_context(lock_folder(folder))
        yield


def _make_folders(folder: Path) -> list[Path]:
    """Make `folder` and the folders above it; returns those that were made, the innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return missing


def _lock(folder: Path, stack: contextlib.ExitStack) -> None:
    if fcntl is None or not folder.is_dir():
        return
    path = folder / LOCK
    while True:
        stream = stack.enter_context(path.open("a+", encoding="utf-8"))
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"{folder}: another edgeclf{_owner(stream)} works in this folder; wait until it ends, or choose "
                "another --out"
            ) from None
        # Whoever held it before may have removed the file in the meantime; then another process locks a new one.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(stream.fileno()), path.stat()):
                break
    stack.callback(path.unlink, missing_ok=True)
    with contextlib.suppress(OSError):
        stream.truncate(0)
        stream.write(f"{os.getpid()}\n")
        stream.flush()


def _owner(stream: IO[str]) -> str:
    stream.seek(0)
    number = stream.read(20).strip()
    return f" (process {number})" if number.isdecimal() else ""
