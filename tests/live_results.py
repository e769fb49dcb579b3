"""Results and pictures made in the test, and a way to wait for something without sleeping blindly."""

from __future__ import annotations

import contextlib
import datetime
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
from presence import refuse

from edgeclf.inference.classifier import LabelScore
from edgeclf.streaming.camera.frame import Frame
from edgeclf.streaming.loop.geometry import Geometry, Picture
from edgeclf.streaming.loop.result import Result


def picture(pixels: np.ndarray, *, number: int = 0, captured: float = 0.0, geometry: Geometry | None = None) -> Picture:
    """A captured frame of uint8[H, W, 3] BGR pixels."""
    return Picture(Frame(number, pixels, captured, 1_700_000_000 + captured), geometry or Geometry())


def result(
    label: str = "cat",
    probability: float = 0.9,
    *,
    number: int = 0,
    captured: float = 0.0,
    raw_label: str | None = None,
    raw_probability: float | None = None,
    others: dict[str, float] | None = None,
) -> Result:
    """A result in a two-class world of `cat` and `dog`, unless `others` tells the other classes."""
    when = datetime.datetime.fromtimestamp(1_700_000_000 + captured, datetime.timezone.utc)
    scores = {label: probability, **(others if others is not None else {"other": round(1 - probability, 4)})}
    ordered = sorted(scores.items(), key=lambda pair: -pair[1])
    top = tuple(LabelScore(name, index, score) for index, (name, score) in enumerate(ordered))
    raw, raw_score = raw_label or label, probability if raw_probability is None else raw_probability
    return Result(number, when.isoformat(), label, probability, raw, raw_score, 41.5, 3.2, 20.0, top)


@contextlib.contextmanager
def many_descriptors() -> Iterator[None]:
    """With 1100 sockets open, so that the next descriptors lie above 1023, as with a thousand viewers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 1300:
        refuse("no more than 1300 descriptors are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    held = [socket.socket() for _ in range(1100)]
    try:
        yield
    finally:
        for one in held:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Until `condition` holds; fails after `seconds`."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "waited in vain"
        threading.Event().wait(0.005)
