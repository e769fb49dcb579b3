"""The cache folder: decoded images and content hashes, each file whole or not there.

Everything in it can be deleted at any time; it is made again when needed. Decoded images that nobody has opened for
`KEPT_DAYS` days are removed when new ones are stored.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from edgeclf.atomic import atomic_file, write_text
from edgeclf.errors import OutputError, RunFailedError

KEPT_DAYS = 30
_DEAD_AFTER_SECONDS = 60.0


def cache_folder() -> Path:
    """`$EDGECLF_CACHE`, else the platform's own place for caches."""
    if chosen := os.environ.get("EDGECLF_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "edgeclf"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "edgeclf" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgeclf"


def read_facts(path: Path) -> dict[str, Any]:
    """The JSON object stored at `path`; empty where there is none that can be used."""
    try:
        facts = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def write_facts(path: Path, facts: dict[str, Any]) -> None:
    """Store a JSON object, whole or not at all."""
    with _remedied(path):
        write_text(path, json.dumps(facts))


class ArrayWriter:
    """Rows are appended in order; facts about them are stored beside the array before it becomes visible."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream = stream
        self._path = path

    def append(self, rows: npt.NDArray[np.uint8]) -> None:
        """Write the next rows of the array."""
        self._stream.write(np.ascontiguousarray(rows).data)

    def facts(self, facts: dict[str, Any]) -> None:
        """Write what `open_array` gives back with the array."""
        write_text(self._path.with_suffix(".json"), json.dumps(facts))


@contextlib.contextmanager
def array_writer(path: Path, shape: tuple[int, ...]) -> Iterator[ArrayWriter]:
    """Make the `.npy` file `path` of `uint8[shape]`; it appears when the block ends, whole and synced.

    Ordinary writes and no memory map: a full disk must be an error and not a signal that ends the process.

    Raises:
        RunFailedError: the disk is full.
        OutputError: the cache cannot be written.
    """
    remove_leftovers(path.parent)
    with _remedied(path, int(np.prod(shape, dtype=np.int64))), atomic_file(path) as stream:
        _hold(stream)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        yield ArrayWriter(stream, path)


def open_array(path: Path, shape: tuple[int, ...] | None = None) -> tuple[npt.NDArray[np.uint8], dict[str, Any]] | None:
    """The memory-mapped array and its facts, or None where they are missing, cut or of another shape."""
    facts_path = path.with_suffix(".json")
    facts = read_facts(facts_path)
    if not facts:
        return None
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    with contextlib.suppress(OSError):  # a cache that can only be read is good enough here
        os.utime(facts_path)
    if array.dtype != np.uint8 or (shape is not None and array.shape != shape):
        return None
    return array, facts


def remove_leftovers(folder: Path) -> None:
    """Delete what killed processes left half-written, and what nobody has opened for `KEPT_DAYS` days."""
    now = time.time()
    for partial in folder.glob(".*.partial"):
        with contextlib.suppress(OSError):
            if now - partial.stat().st_mtime > _DEAD_AFTER_SECONDS and _is_abandoned(partial, now):
                partial.unlink()
    for facts in folder.glob("*.json"):
        with contextlib.suppress(OSError):
            if now - facts.stat().st_mtime > KEPT_DAYS * 86400:
                facts.with_suffix(".npy").unlink(missing_ok=True)
                facts.unlink()


def _hold(stream: IO[bytes]) -> None:
    if sys.platform != "win32":
        import fcntl

        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_abandoned(partial: Path, now: float) -> bool:
    if sys.platform == "win32":
        return now - partial.stat().st_mtime > 86400
    import fcntl

    with open(partial, "rb") as stream:
        fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while its maker lives
    return True


@contextlib.contextmanager
def _remedied(path: Path, size: int | None = None) -> Iterator[None]:
    """Name the remedy that fits a cache: another folder, by `EDGECLF_CACHE`."""
    remedy = "set EDGECLF_CACHE to a folder that"
    try:
        yield
    except RunFailedError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        need = "" if size is None else f" (the decoded images take {size / 1e6:,.0f} MB)"
        message = f"{path.parent}: the disk is full{need}; free some space or {remedy} has room"
        raise RunFailedError(message) from error
    except OutputError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        reason = (error.__cause__.strerror or str(error.__cause__)).lower()
        raise OutputError(f"{path.parent}: the cache cannot be written ({reason}); {remedy} can be") from error
