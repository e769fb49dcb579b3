"""A source that does what a script says, and a classifier that is as fast as it is told: the loop without hardware."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np

from edgeclf.image.shape import InputShape
from edgeclf.inference.prediction import UnknownRule
from edgeclf.streaming.camera.frame import Shot
from edgeclf.streaming.camera.source import EndOfSourceError, SourceError, as_bgr

PLAIN = np.full((24, 32, 3), 90, np.uint8)
END = object()


class ScriptedSource:
    """Reads steps off a script that all its instances share, as they would share a camera.

    A step is a picture, or one of: `frame`, `open fails` (this opening does), `read fails`, `stall` (until closed),
    `dead` (inside the driver: not even closing ends it), `garbage`, `resize`, `end`. After the script it ends, or gives
    pictures for ever.
    """

    def __init__(self, script: Iterator[object], *, endless: bool = True, rate: float = 200.0) -> None:
        self.name, self.endless = "scripted", endless
        self._script, self._rate = script, rate
        self._closed = threading.Event()
        self._next: object | None = None

    def open(self) -> None:
        self._next = next(self._script, END)
        if isinstance(self._next, str) and self._next == "open fails":
            self._next = None
            raise SourceError("no such device")

    def read(self) -> Shot:
        step = self._next if self._next is not None else next(self._script, END)
        self._next = None
        if self._closed.wait(1 / self._rate):
            raise SourceError("closed")
        if isinstance(step, np.ndarray):
            return Shot(step, time.monotonic())
        if step == "end" or (step is END and not self.endless):
            raise EndOfSourceError
        if step in ("read fails", "open fails"):
            raise SourceError("the device was unplugged")
        if step == "stall":
            self._closed.wait()
            raise SourceError("closed")
        if step == "dead":
            threading.Event().wait(60)
        if step == "garbage":
            as_bgr(np.zeros((0, 3), np.float32))
        if step == "resize":
            return Shot(np.full((48, 80, 3), 90, np.uint8), time.monotonic())
        return Shot(PLAIN, time.monotonic())

    def close(self) -> None:
        self._closed.set()


class ColorNames:
    """Tells red, green and blue apart by the largest mean; takes `seconds` for it."""

    labels = ("red", "green", "blue")
    input_shape = InputShape(8, 8)
    rule = UnknownRule()

    def novelty(self) -> None:
        return None

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds
        self._never = threading.Event()

    def scores(self, image: np.ndarray) -> np.ndarray:
        if self._seconds:
            self._never.wait(self._seconds)
        means = image.reshape(-1, 3).mean(0) + 1
        return (means / means.sum()).astype(np.float32)


class Kept:
    """An output that keeps what it gets."""

    def __init__(self) -> None:
        self.results: list = []
        self.closed = False
        self.arrived = threading.Condition()

    def take(self, result: object, picture: object) -> None:
        with self.arrived:
            self.results.append(result)
            self.arrived.notify_all()

    def close(self) -> None:
        self.closed = True

    def wait_for(self, count: int, seconds: float = 20.0) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.results) >= count, seconds), f"{len(self.results)} of {count}"


def card(blue: int, green: int, red: int, height: int = 24, width: int = 32) -> np.ndarray:
    """A BGR picture of one colour."""
    return np.full((height, width, 3), (blue, green, red), np.uint8)
