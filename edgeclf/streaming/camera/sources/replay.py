"""Show frames that were recorded, or made, with their timing: a camera without hardware."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from typing import Any, Protocol

from edgeclf.errors import InputError
from edgeclf.streaming.camera.frame import NOMINAL_RATE, Shot
from edgeclf.streaming.camera.source import EndOfSourceError, SourceError, as_bgr
from edgeclf.streaming.camera.sources.pace import Pace


class Frames(Protocol):
    """Pictures by number: a list, an array uint8[N, H, W, 3], or a recording that reads each when it is asked for."""

    def __len__(self) -> int:
        """Return how many there are."""

    def __getitem__(self, number: int, /) -> Any:
        """Return uint8[H, W, 3] BGR."""


class ReplaySource:
    """Shows frames like a camera: each when it is due, and one whose successor is due already not at all.

    A shot's `captured` is the moment at which its frame was due, so that a reader's lateness counts in its age.

    Args:
        frames: uint8[H, W, 3] BGR each.
        times: seconds of each, rising; default: `rate` frames a second.
        rate: frames a second where there are no times.
        loop_count: how often all of them are shown.
        flat_out: every frame, as fast as they are taken; then `captured` is the moment of the reading.
        endless: be a camera to the loop, which opens it again at its end.
        name: shown in lines and views.

    Raises:
        InputError: there are no frames, or the times do not fit them.
    """

    depth = None

    def __init__(
        self,
        frames: Frames,
        times: Sequence[float] | None = None,
        *,
        rate: float = NOMINAL_RATE,
        loop_count: int = 1,
        flat_out: bool = False,
        endless: bool = False,
        name: str = "replay",
    ) -> None:
        if not len(frames):
            raise InputError(f"{name}: holds no frames")
        if rate <= 0 or loop_count < 1:
            raise InputError(f"{name}: rate must be above 0 and loop_count at least 1, got {rate:g} and {loop_count}")
        if times is not None and len(times) != len(frames):
            raise InputError(f"{name}: expected a time for each of {len(frames)} frames, got {len(times)}")
        if times is not None and any(after < before for before, after in itertools.pairwise(times)):
            raise InputError(f"{name}: the times of the frames must not fall")
        self.name, self.endless = name, endless
        self._frames, self._flat_out = frames, flat_out
        self._count, self._total = len(frames), len(frames) * loop_count
        self._times = None if times is None else [moment - times[0] for moment in times]
        self._period = 1 / rate
        # After the last frame comes the first again, as long after it as frames are apart.
        last = self._times[-1] if self._times else 0.0
        self._round = last + (last / (self._count - 1) if last else self._period)
        self._closed: threading.Event | None = None
        self.due = 0.0

    def open(self) -> None:
        """Start at the first frame."""
        self._at, self._pace = 0, Pace()
        self._closed = threading.Event()

    def read(self) -> Shot:
        """Return the newest frame that is due, once one is.

        Raises:
            SourceError: closed meanwhile, or the frame is no picture.
            EndOfSourceError: all have been shown.
        """
        closed = self._closed
        if closed is None or closed.is_set():
            raise SourceError("is not open")
        if self._at >= self._total:
            raise EndOfSourceError
        if self._flat_out:
            self._at += 1
            pixels = as_bgr(self._frames[(self._at - 1) % self._count])
            return Shot(pixels, time.monotonic(), position=self._seconds(self._at - 1))
        self.due = due = self._pace.due(self._seconds(self._at))
        if (waiting := due - time.monotonic()) > 0 and closed.wait(waiting):
            raise SourceError("was closed")
        now, skipped = time.monotonic(), 0
        while self._at + 1 < self._total and (following := self._pace.due(self._seconds(self._at + 1))) <= now:
            due, skipped = following, skipped + 1
            self._at += 1
        self._at += 1
        return Shot(as_bgr(self._frames[(self._at - 1) % self._count]), due, skipped)

    def close(self) -> None:
        """Wake a thread that waits for the next frame."""
        if self._closed is not None:
            self._closed.set()

    def _seconds(self, number: int) -> float:
        if self._times is None:
            return number * self._period
        rounds, within = divmod(number, self._count)
        return rounds * self._round + self._times[within]
