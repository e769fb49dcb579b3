"""A camera that fails as it is told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edgeclf.streaming.camera.frame import Shot
from edgeclf.streaming.camera.source import EndOfSourceError, SourceError, as_bgr
from edgeclf.streaming.camera.sources.replay import Frames, ReplaySource

GARBAGE = {
    "nothing": None,
    "floats": np.zeros((8, 8, 3), np.float32),
    "two channels": np.zeros((8, 8, 2), np.uint8),
    "empty": np.zeros((0, 8, 3), np.uint8),
}
HARMLESS = {"gray": np.full((8, 8), 7, np.uint8), "alpha": np.full((8, 8, 4), 7, np.uint8)}
KINDS = ("open fails", "read fails", "stall", "deaf stall", "size change", "end", *GARBAGE, *HARMLESS)


class Fault(NamedTuple):
    """What happens after `frames` good ones of an opening. `deaf stall`: not even `close` ends it, only `release`."""

    kind: str
    frames: int = 3


class FaultScript:
    """Makes sources, of which each has the next fault; those after the last one work for ever.

    Args:
        frames: uint8[H, W, 3] BGR each.
        faults: one for each opening.
        rate: frames a second.
        endless: they are cameras.

    Attributes:
        openings: how often a source was opened.
        open_now: sources that are open.
        release: set it to end all deaf stalls.
    """

    def __init__(self, frames: Frames, faults: Sequence[Fault], *, rate: float = 200.0, endless: bool = True) -> None:
        self._frames, self._faults, self._rate, self._endless = frames, list(faults), rate, endless
        self.openings = self.open_now = 0
        self.release = threading.Event()
        self._lock = threading.Lock()

    def __call__(self) -> FaultySource:
        source = ReplaySource(self._frames, rate=self._rate, loop_count=1 << 40, endless=self._endless, name="faulty")
        return FaultySource(self, source)

    def opened(self) -> Fault | None:
        with self._lock:
            self.openings += 1
            self.open_now += 1
            return self._faults[self.openings - 1] if self.openings <= len(self._faults) else None

    def closed(self) -> None:
        with self._lock:
            self.open_now -= 1


class FaultySource:
    """See `FaultScript`."""

    def __init__(self, script: FaultScript, source: ReplaySource) -> None:
        self.name, self.endless = source.name, source.endless
        self._script, self._source = script, source
        self._closed = threading.Event()
        self._open = False

    def open(self) -> None:
        self._fault, self._left = self._script.opened(), 0
        self._open = True
        self._closed.clear()
        if self._fault is None:
            self._left = -1
        elif self._fault.kind == "open fails":
            self.close()
            raise SourceError("cannot be opened")
        else:
            self._left = self._fault.frames
        self._source.open()

    def read(self) -> Shot:
        if self._left != 0 or self._fault is None:
            self._left -= 1
            return self._source.read()
        kind = self._fault.kind
        if kind == "read fails":
            raise SourceError("the device failed")
        if kind == "end":
            raise EndOfSourceError
        if kind == "stall":
            self._closed.wait()
            raise SourceError("was closed")
        if kind == "deaf stall":
            self._script.release.wait()
            raise SourceError("the driver came back")
        if kind == "size change":
            shot = self._source.read()
            return shot._replace(pixels=np.ascontiguousarray(shot.pixels[: len(shot.pixels) // 2]))
        return Shot(as_bgr({**GARBAGE, **HARMLESS}[kind]), time.monotonic())

    def close(self) -> None:
        if self._open:
            self._open = False
            self._script.closed()
        self._closed.set()
        self._source.close()
