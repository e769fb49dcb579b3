"""One opening of a source, and how long is waited for it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from edgeclf.streaming.camera.source import Source


@dataclass(frozen=True)
class Patience:
    """Seconds.

    Args:
        stalled: without a frame until a running source is called stalled.
        reopen: until it is closed and opened anew.
        opening: until an opening that does not come back is given up.
        first: how long the very first frame is tried for, before the source counts as one that does not work.
        delays: pauses before the next attempts; the last one stays.
    """

    stalled: float = 1.5
    reopen: float = 5.0
    opening: float = 15.0
    first: float = 4.0
    delays: tuple[float, ...] = (0.2, 0.5, 1.0, 2.0, 5.0)


class Attempt:
    """One opening of the source, with the thread that reads from it.

    Args:
        source: opened, read and closed by the thread.
        read: what the thread does.

    Attributes:
        last: `time.monotonic()` of the newest frame.
        frames: so far.
        failure: why it ended.
        over: whether it did.
    """

    def __init__(self, source: Source, read: Callable[[Attempt], None]) -> None:
        self.source = source
        self.began = time.monotonic()
        self.last = self.began
        self.frames = 0
        self.failure: BaseException | None = None
        self.over = False
        self.thread = threading.Thread(target=read, args=(self,), name=f"edgeclf capture {source.name}", daemon=True)

    def part_with(self, seconds: float = 0.5) -> None:
        """Close the source from outside. Some wait on something that this ends; a driver's read does not end by it."""
        closer = threading.Thread(target=self._close, name="edgeclf closing", daemon=True)
        closer.start()
        closer.join(seconds)

    def _close(self) -> None:
        with contextlib.suppress(Exception):
            self.source.close()
