"""Keep the process's standard streams usable, however the shell started it: closed, full, or with a reader who left.

Where a descriptor is closed (`>&-`), the next file that is opened gets its number, and what is printed goes into that
file: so it is opened on the null device first. What goes to stderr is for people who may have left, and never ends a
command; a result that cannot be written to stdout does, with exit code 1.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable
from typing import IO, Any

STDIN, STDOUT, STDERR = 0, 1, 2
_closed: set[int] = set()


class _LossyFile(io.FileIO):
    """A file that drops what it cannot write."""

    def write(self, content: Any, /) -> int:
        """Write, or drop; return the bytes that are done with."""
        try:
            written = super().write(content)
        except OSError:
            written = None  # the reader has left, or the disk is full
        return memoryview(content).nbytes if written is None else written


def open_lossy(descriptor: int, *, closes: bool = True) -> IO[str]:
    """Open a text stream, line by line, that drops what cannot be written."""
    raw = io.BufferedWriter(_LossyFile(descriptor, "w", closefd=closes))
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)


def was_closed(descriptor: int) -> bool:
    """Return whether the process was started without this descriptor."""
    return descriptor in _closed


def run_with_streams(work: Callable[[], int]) -> int:
    """Run the command line on streams that can be written to; return its exit code.

    Where `work` is done and its result cannot be written, the code is 1.
    """
    _open_closed()
    try:
        code = work()
        sys.stdout.flush()
    except BrokenPipeError:
        code = 1  # the reader of stdout left: nobody would see a message
    except OSError as error:
        code = 1
        print(f"edgeclf: stdout cannot be written ({(error.strerror or str(error)).lower()})", file=sys.stderr)
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1 if leaving.code else 0
    try:
        sys.stdout.flush()
    except OSError:
        _point_to_null(STDOUT)  # or the interpreter's own flush at its end would change the exit code, to 120
    return code


def _open_closed() -> None:
    for descriptor in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            _closed.add(descriptor)
            _point_to_null(descriptor)
    if sys.stdin is None:
        sys.stdin = os.fdopen(STDIN, encoding="utf-8", closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(STDOUT, "w", encoding="utf-8", errors="replace", closefd=False)
    elif isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # where it is not UTF-8, a report is escaped, and no failure
    sys.stderr = open_lossy(STDERR, closes=False)


def _point_to_null(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null == descriptor:
        with contextlib.suppress(OSError):
            os.set_inheritable(null, True)
        return
    os.dup2(null, descriptor)
    os.close(null)
