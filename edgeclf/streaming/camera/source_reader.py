"""One opening of a source, with the thread that reads from it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from edgeclf.streaming.camera.source import Source


class SourceReader:
    """Opens the source, reads from it and closes it, in a thread of its own.

    Args:
        source: the source.
        read: the thread's work.

    Attributes:
        last: `time.monotonic()` of the newest frame.
        frames: count of frames so far.
        failure: why the reading ended.
        over: whether it has ended.
    """

    def __init__(self, source: Source, read: Callable[[SourceReader], None]) -> None:
        self.source = source
        self.began = time.monotonic()
        self.last = self.began
        self.frames = 0
        self.failure: BaseException | None = None
        self.over = False
        self.thread = threading.Thread(target=read, args=(self,), name=f"edgeclf capture {source.name}", daemon=True)

    def finish(self) -> None:
        """Close the source from the thread that reads it, and mark the reading as ended."""
        self._close()
        self.over = True

    def close_in_background(self, seconds: float = 0.5) -> None:
        """Close the source from outside, waiting for that up to `seconds`.

        It ends a read that waits for an event; a read that hangs in a driver goes on.
        """
        closer = threading.Thread(target=self._close, name="edgeclf closing", daemon=True)
        closer.start()
        closer.join(seconds)

    def _close(self) -> None:
        with contextlib.suppress(Exception):
            self.source.close()
