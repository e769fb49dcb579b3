"""Opens files that are called like images, after a look at what they are.

Opening a pipe waits for a writer, and opening or reading a device may do anything; so only regular files are opened.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from edgeclf.errors import ImageError

MAX_FILE_BYTES = 1 << 30
"""1 GiB; the largest pictures that are decoded (268 million pixels) have less in any usual format."""

_KINDS = (
    (stat.S_ISDIR, "it is a folder"),
    (stat.S_ISFIFO, "not a regular file: a pipe"),
    (stat.S_ISSOCK, "not a regular file: a socket"),
    (stat.S_ISCHR, "not a regular file: a device"),
    (stat.S_ISBLK, "not a regular file: a device"),
)


def read_content(path: str | Path) -> bytes:
    """Return the bytes of a regular file of at most `MAX_FILE_BYTES`.

    Raises:
        ImageError: it cannot be read, or is none; the message is the reason alone.
    """
    with open_image_file(path) as stream:
        return stream.readall()


@contextlib.contextmanager
def open_image_file(path: str | Path) -> Iterator[io.FileIO]:
    """Open a regular file for reading; see `read_content` for what it raises, also while it is read."""
    try:
        _check(os.stat(path))
        # It may be another file by now: without waiting for a writer, and with a second look.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
        with io.FileIO(descriptor, "rb") as stream:
            _check(os.fstat(descriptor))
            yield stream
    except OSError as error:
        raise ImageError((error.strerror or str(error)).lower()) from error
    except ValueError as error:  # a zero byte in the path
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"cannot be read ({error})") from error


def _check(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(next((words for is_kind, words in _KINDS if is_kind(status.st_mode)), "not a regular file"))
    if status.st_size > MAX_FILE_BYTES:
        size = f"{status.st_size >> 20} MB, more than any photo ({MAX_FILE_BYTES >> 20} MB)"
        raise ImageError(f"the file has {size}")
