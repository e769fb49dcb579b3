"""Hold the frames between the thread that reads a source and the thread that classifies."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from edgeclf.streaming.camera.frame import Frame

AHEAD = 8
"""Frames that may wait where every frame is kept; the source waits then, so that no frame gets late."""


class FrameBuffer:
    """Keeps the newest frame, or a few where none may be lost.

    A deque's own operations are atomic: frames change hands without a lock, which is taken only to wait and to wake.

    Args:
        keep_all: never replace a frame by a newer one.

    Attributes:
        change: notified when a frame comes or goes while a thread waits for that.
        captured: frames that the source has shown, including those passed over.
        taken: frames that were handed out.
        full: whether the source waits for room.
    """

    def __init__(self, keep_all: bool) -> None:
        self._frames: deque[Frame] = deque(maxlen=None if keep_all else 1)
        self._keep_all = keep_all
        self._starving = False
        self.change = threading.Condition()
        self.captured = 0
        self.taken = 0
        self.full = False

    def __len__(self) -> int:
        """Count the frames that wait."""
        return len(self._frames)

    @property
    def dropped(self) -> int:
        """Count the captured frames that were not taken and never will be."""
        return max(0, self.captured - self.taken - len(self._frames))

    def take(self) -> Frame | None:
        """Return the oldest frame that waits; None where there is none."""
        try:
            frame = self._frames.popleft()
        except IndexError:
            return None
        self.taken += 1
        if self.full and len(self._frames) <= AHEAD // 2:
            self.wake()
        return frame

    def wait(self, seconds: float, ended: Callable[[], bool]) -> Frame | None:
        """Wait up to `seconds` for a frame, unless `ended()`, and take it."""
        with self.change:
            self._starving = True  # before the look, so that a frame that comes in between wakes this thread
            if not self._frames and not ended():
                self.change.wait(seconds)
            self._starving = False
        return self.take()

    def put(self, frame: Frame) -> None:
        """Add a frame; without `keep_all` it replaces the one that waits."""
        self._frames.append(frame)
        self.captured = frame.number + 1
        if self._starving:
            self.wake()

    def wait_for_room(self, abandoned: Callable[[], bool]) -> None:
        """Where all frames are kept, wait until half of them are taken, or until `abandoned()`."""
        if self._keep_all and len(self._frames) >= AHEAD:
            with self.change:
                self.full = True
                self.change.wait_for(lambda: len(self._frames) <= AHEAD // 2 or abandoned())
                self.full = False

    def wake(self) -> None:
        """Wake the threads that wait."""
        with self.change:
            self.change.notify_all()

    def clear(self) -> None:
        """Drop the frames that wait; where all are kept they were only read ahead, and count as never captured."""
        self._frames.clear()
        if self._keep_all:
            self.captured = self.taken
