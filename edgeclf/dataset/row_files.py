"""Files of equally large images, one after the other: `uint8[N, H, W, 3]` without a header.

Rows are only ever appended, and a file is only replaced or removed under an exclusive lock, which is refused while any
process has it mapped. So a mapped row never changes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from edgeclf.dataset.cache import lock_file
from edgeclf.dataset.row_checksums import row_checksums
from edgeclf.image.shape import STRETCH, InputShape

_PIECE_BYTES = 8 << 20

Stamp = tuple[int, int]
"""Size in bytes and time of the last write (nanoseconds) of a row file."""


def map_rows(path: Path, shape: tuple[int, int, int, int]) -> tuple[npt.NDArray[np.uint8], Stamp]:
    """Map a row file for reading, and return what identifies its state.

    The file stays locked against removal until the array and all that is derived from it are gone: the map keeps the
    descriptor, and so the lock.

    Raises:
        OSError: the file is not there.
        ValueError: it is shorter than `shape`.
    """
    with open(path, "rb") as stream:
        lock_file(stream, exclusive=False, wait=True)  # it is being cut or copied where another one has the lock
        status = os.fstat(stream.fileno())
        if not shape[0]:
            return np.empty(shape, np.uint8), (status.st_size, status.st_mtime_ns)
        if status.st_size < np.prod(shape, dtype=np.int64):
            raise ValueError(f"{path}: expected {shape[0]} rows, got {status.st_size} bytes")
        return np.memmap(stream, np.uint8, "r", shape=shape), (status.st_size, status.st_mtime_ns)


def row_identity(decoder: str, shape: InputShape) -> str:
    """Return what decides, beside size and content, about the pixels of a row; facts have the decoder's alone."""
    return decoder if shape.fit == STRETCH else f"{decoder} {shape.fit}"


def append_rows(path: Path, start: int, rows: npt.NDArray[np.uint8]) -> Stamp:
    """Write `rows` from byte `start` on, over what an interrupted writer left there, and sync them.

    Raises:
        OSError: they could not be written; the file is as long as before.
    """
    with open(path, "r+b") as stream:
        try:
            stream.truncate(start)
            stream.seek(start)
            stream.write(np.ascontiguousarray(rows).data)
            stream.flush()
            os.fsync(stream.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(stream.fileno(), start)
            raise
        status = os.fstat(stream.fileno())
        return status.st_size, status.st_mtime_ns


def truncate_rows(path: Path, size: int) -> Stamp:
    """Cut a row file that nobody has mapped to `size` bytes."""
    os.truncate(path, size)
    return file_state(path)


def file_state(path: Path) -> Stamp:
    """Return size and time of the last write of a row file."""
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def copy_rows(source: Path, target: Path, rows: Iterable[int], row_bytes: int) -> Stamp:
    """Copy the given rows, in ascending order, into a new file, and sync it.

    Raises:
        OSError: they could not be copied; there is no new file.
    """
    try:
        with open(source, "rb") as old, open(target, "wb") as new:
            for first, count in _runs(rows, max(1, _PIECE_BYTES // row_bytes)):
                old.seek(first * row_bytes)
                new.write(old.read(count * row_bytes))
            new.flush()
            os.fsync(new.fileno())
            status = os.fstat(new.fileno())
            return status.st_size, status.st_mtime_ns
    except OSError:
        target.unlink(missing_ok=True)
        raise


def find_damaged(path: Path, checksums: dict[int, int], row_bytes: int) -> tuple[list[int], Stamp | None]:
    """Read the rows and compare them with their checksums.

    Args:
        path: of the row file.
        checksums: by row number.
        row_bytes: bytes of one row.

    Returns:
        The damaged or missing rows, and the state of the file; None where there is no file.
    """
    try:
        with open(path, "rb") as stream:
            damaged = []
            for row in sorted(checksums):
                stream.seek(row * row_bytes)
                content = np.frombuffer(stream.read(row_bytes), np.uint8)
                if len(content) < row_bytes or row_checksums(content[None]) != [checksums[row]]:
                    damaged.append(row)
            status = os.fstat(stream.fileno())
            return damaged, (status.st_size, status.st_mtime_ns)
    except OSError:
        return list(checksums), None


@contextlib.contextmanager
def lock_unused(path: Path) -> Iterator[bool]:
    """Hold a row file that nobody has mapped; gives False where somebody has, or where there are no locks."""
    with contextlib.ExitStack() as stack:
        try:
            stream: IO[bytes] = stack.enter_context(open(path, "rb"))
        except FileNotFoundError:
            yield True
            return
        yield lock_file(stream, exclusive=True)


def _runs(rows: Iterable[int], longest: int) -> Iterator[tuple[int, int]]:
    """Give (first, count) of each run of consecutive numbers."""
    first = count = 0
    for row in rows:
        if count and row == first + count and count < longest:
            count += 1
            continue
        if count:
            yield first, count
        first, count = row, 1
    if count:
        yield first, count
