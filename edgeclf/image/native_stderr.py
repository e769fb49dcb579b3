"""Keeps the log lines of native libraries off stderr, and lets everything else through."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator
from typing import IO

from edgeclf.repeating import repeating

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_STDERR = 2
MOST_BYTES, LOOK_SECONDS = 1_000_000, 5.0
"""Of a bounded file, and how often it is looked at."""
RUNTIME_CHATTER = (b"XNNPACK delegate", b"INFO: Initialized TensorFlow Lite runtime", b"INFO: Applying ")
"""What the TFLite runtimes log when all is well."""

# Blocks nest: the converter's lines are dropped around an interpreter's.
_ONE_AT_A_TIME = threading.RLock()


def scratch_file() -> IO[bytes]:
    """Open a file that is gone when it is closed; where none can be made, one that drops what is written.

    A full or read-only disk must not stop what only reads.
    """
    try:
        return tempfile.TemporaryFile()
    except OSError:
        return open(os.devnull, "w+b")


@contextlib.contextmanager
def bounded_scratch_file() -> Iterator[IO[bytes]]:
    """Open a file as `scratch_file` does, and empty it whenever it has grown too large: a camera runs for months.

    libjpeg alone says a line about each frame of some webcams.
    """
    with scratch_file() as file:
        descriptor = file.fileno()
        if fcntl is None:
            yield file
            return
        # what is written after the file was emptied begins at its start
        fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_APPEND)

        def empty() -> None:
            with contextlib.suppress(OSError):
                if os.fstat(descriptor).st_size > MOST_BYTES:
                    os.ftruncate(descriptor, 0)

        with repeating(empty, LOOK_SECONDS, name="chatter"):
            yield file


@contextlib.contextmanager
def without_chatter(*known: bytes) -> Iterator[None]:
    """Drop the lines that C code writes to stderr inside the block and that contain one of `known`.

    The runtimes announce their delegates on the process' own stderr, where `edgeclf` shows progress; they have no
    setting for it. Other lines, also those of other threads, come out when the block ends.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_ONE_AT_A_TIME)
        try:
            saved = os.dup(_STDERR)
        except OSError:  # started without a stderr: nothing to keep clean
            yield
            return
        stack.callback(os.close, saved)
        caught = stack.enter_context(scratch_file())
        os.dup2(caught.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(saved, _STDERR)
            caught.seek(0)
            for line in caught.readlines():
                if not any(part in line for part in known):
                    with contextlib.suppress(OSError):  # its reader has left, or its disk is full
                        os.write(saved, line)
