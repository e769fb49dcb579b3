"""The cache folder, and arrays of named data sets in it.

Everything in it can be deleted at any time; it is made again when needed. The store of decoded images lies in `images/`
(`edgeclf.dataset.image_store`), the arrays of named data sets in `named/`.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import platformdirs

from edgeclf.atomic import atomic_file, explained, write_text
from edgeclf.errors import InputError, OutputError, RunFailedError
from edgeclf.paths import expand_home

KEPT_DAYS = 30
"""Days after which an entry that was not used leaves the cache."""

DEFAULT_LIMIT_GB = 20.0
"""Gigabytes (1e9 bytes) of decoded images that are kept, unless `$EDGECLF_CACHE_GB` sets another limit."""

_ABANDONED_AFTER_SECONDS = 60.0


def cache_folder() -> Path:
    """Return `$EDGECLF_CACHE`, else the platform's folder for caches."""
    if chosen := os.environ.get("EDGECLF_CACHE"):
        return expand_home(chosen)
    if sys.platform == "win32":
        return Path(platformdirs.user_cache_dir("edgeclf", appauthor=False))
    return platformdirs.user_cache_path("edgeclf")


def cache_limit() -> int:
    """Return the size in bytes from which on the least recently used images leave: `$EDGECLF_CACHE_GB`, else 20 GB.

    Raises:
        InputError: the variable is not a number above zero.
    """
    text = os.environ.get("EDGECLF_CACHE_GB")
    if not text:
        return int(DEFAULT_LIMIT_GB * 1e9)
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = math.nan
    if not 0 < gigabytes < math.inf:
        raise InputError(f"EDGECLF_CACHE_GB must be a number of gigabytes above 0, got {text!r}")
    return int(gigabytes * 1e9)


class ArrayWriter:
    """Appends rows to an array file in order; facts are stored beside the array before it becomes visible."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream = stream
        self._path = path

    def append(self, rows: npt.NDArray[np.uint8]) -> None:
        """Write the next rows of the array."""
        self._stream.write(np.ascontiguousarray(rows).data)

    def write_facts(self, facts: dict[str, Any]) -> None:
        """Write the JSON object that `open_array` returns with the array."""
        write_text(self._path.with_suffix(".json"), json.dumps(facts))


@contextlib.contextmanager
def array_writer(path: Path, shape: tuple[int, ...]) -> Iterator[ArrayWriter]:
    """Create the `.npy` file `path` of `uint8[shape]`; it appears when the block ends, complete and synced.

    Ordinary writes and no memory map: a full disk must be an error and not a signal that ends the process.

    Raises:
        RunFailedError: the disk is full.
        OutputError: the cache cannot be written.
    """
    remove_leftovers(path.parent)
    with suggest_other_cache(path.parent, int(np.prod(shape, dtype=np.int64))), atomic_file(path) as stream:
        lock_file(stream, exclusive=True)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        yield ArrayWriter(stream, path)


def open_array(path: Path, shape: tuple[int, ...] | None = None) -> tuple[npt.NDArray[np.uint8], dict[str, Any]] | None:
    """Return the memory-mapped array and its facts, or None where they are missing, cut or of another shape."""
    facts_path = path.with_suffix(".json")
    try:
        facts = json.loads(facts_path.read_text("utf-8"))
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    with contextlib.suppress(OSError):  # a cache that can only be read suffices here
        os.utime(facts_path)
    if not isinstance(facts, dict) or not facts or array.dtype != np.uint8 or (shape and array.shape != shape):
        return None
    return array, facts


def remove_leftovers(folder: Path) -> None:
    """Delete unfinished files of killed processes, and arrays that were not opened for `KEPT_DAYS` days."""
    now = time.time()
    for partial in folder.glob(".*.partial"):
        with contextlib.suppress(OSError):
            if now - partial.stat().st_mtime > _ABANDONED_AFTER_SECONDS and _is_abandoned(partial, now):
                partial.unlink()
    for facts in folder.glob("*.json"):
        with contextlib.suppress(OSError):
            if now - facts.stat().st_mtime > KEPT_DAYS * 86400:
                facts.with_suffix(".npy").unlink(missing_ok=True)
                facts.unlink()


def lock_file(stream: IO[bytes], *, exclusive: bool, wait: bool = False) -> bool:
    """Lock an open file: several readers or one writer. Closing all its descriptors unlocks it.

    Args:
        stream: the file.
        exclusive: for a writer.
        wait: until those who hold it release it.

    Returns:
        Whether it is locked now: False where another process holds it, or where the file system has no locks.
    """
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        fcntl.flock(stream.fileno(), kind if wait else kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_abandoned(partial: Path, now: float) -> bool:
    if sys.platform == "win32":
        return now - partial.stat().st_mtime > 86400
    with open(partial, "rb") as stream:
        return lock_file(stream, exclusive=True)  # refused while its writer lives


@contextlib.contextmanager
def suggest_other_cache(folder: Path, size: int | None = None) -> Iterator[None]:
    """Replace errors about writing below `folder` by ones that name the remedy of a cache, `EDGECLF_CACHE`.

    Args:
        folder: that is written.
        size: bytes that the images need, for the message.
    """
    remedy = "set EDGECLF_CACHE to a folder that"
    try:
        with explained(folder):
            yield
    except RunFailedError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        need = "" if size is None else f" (the decoded images take {size / 1e6:,.0f} MB)"
        message = f"{folder}: the disk is full{need}; free some space or {remedy} has room"
        raise RunFailedError(message) from error.__cause__
    except OutputError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        reason = (error.__cause__.strerror or str(error.__cause__)).lower()
        raise OutputError(f"{folder}: the cache cannot be written ({reason}); {remedy} can be") from error.__cause__
