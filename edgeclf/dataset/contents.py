"""The content of image files: read once, identified by its hash."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from edgeclf.errors import ImageError

MAX_FILE_BYTES = 1 << 30
_BATCH = 64

Given = TypeVar("Given")
Made = TypeVar("Made")


def content_hash(content: bytes | memoryview) -> str:
    """Return 32 hexadecimal digits that identify these bytes (BLAKE2b, 128 bits)."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def read_content(path: str) -> bytes:
    """Return the bytes of an image file.

    Raises:
        ImageError: it cannot be read, or is not a file of an image's size; the message is the reason alone.
    """
    with open_image_file(path) as stream:
        return stream.readall()


@contextlib.contextmanager
def open_image_file(path: str) -> Iterator[io.FileIO]:
    """Open an image file for reading; see `read_content` for what it raises, also while it is read."""
    try:
        # Without waiting: opening a pipe would block until a writer comes.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
        with io.FileIO(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not stat.S_ISREG(status.st_mode):
                raise ImageError("not a regular file")
            if status.st_size > MAX_FILE_BYTES:
                megabytes = f"{status.st_size >> 20} MB, more than any photo ({MAX_FILE_BYTES >> 20} MB)"
                raise ImageError(f"the file has {megabytes}")
            yield stream
    except OSError as error:
        raise ImageError((error.strerror or str(error)).lower()) from error


def map_in_threads(work: Callable[[Given], Made], given: Sequence[Given], batch: int = _BATCH) -> Iterator[Made]:
    """Yield `work(one)` for each of `given` in order, on all cores, in batches, only a few batches ahead."""
    workers = _cores()
    starts = range(0, len(given), batch)

    def run(start: int) -> list[Made]:
        return [work(one) for one in given[start : start + batch]]

    with ThreadPoolExecutor(workers) as pool:
        ahead = [pool.submit(run, start) for start in starts[: 2 * workers]]
        try:
            for later in [*starts[2 * workers :], *([None] * len(ahead))]:
                done = ahead.pop(0).result()
                if later is not None:
                    ahead.append(pool.submit(run, later))
                yield from done
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
