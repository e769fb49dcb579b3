"""A made-up scene that is published into `LiveState` like a loop does it, from a thread of its own."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable

import cv2
import httpx
import numpy as np

from edgeclf.inference.classifier import LabelScore
from edgeclf.streaming.camera.frame import Frame, Pixels
from edgeclf.streaming.loop.geometry import Geometry, Picture
from edgeclf.streaming.loop.result import Result
from edgeclf.streaming.loop.state import LiveState
from edgeclf.streaming.page.server import WebView
from edgeclf.streaming.supervision.problems import Problems

COLORS = {"red": (40, 40, 200), "blue": (200, 60, 40), "green": (60, 160, 60)}
LABELS = (*COLORS, "gray")


def picture_of(label: str, number: int, height: int = 240, width: int = 320) -> Pixels:
    """uint8[height, width, 3] BGR: the color that `label` names, and a bright bar that moves with `number`."""
    pixels = np.full((height, width, 3), COLORS.get(label, (128, 128, 128)), np.uint8)
    start = number * 4 % (width - 20)
    pixels[height - 30 : height - 10, start : start + 20] = 255
    cv2.circle(pixels, (width // 2, height // 2), height // 4, (230, 230, 230), 3)
    return pixels


def new_state(labels: tuple[str, ...] = LABELS) -> LiveState:
    state = LiveState("scene-int8", labels, "/dev/video0", Problems())
    return state


def publish(
    state: LiveState,
    label: str,
    number: int,
    pixels: Pixels | None = None,
    geometry: Geometry | None = None,
    probability: float = 0.9,
) -> None:
    """One result for a frame that shows `label`."""
    now = time.time()
    frame = Frame(number, picture_of(label, number) if pixels is None else pixels, time.monotonic(), now)
    others = [name for name in state.labels if name != label][:2]
    top = [LabelScore(label, state.labels.index(label) if label in state.labels else 0, probability)]
    top += [LabelScore(name, state.labels.index(name), (1 - probability) / 2) for name in others]
    result = Result(
        frame=number,
        time=datetime.datetime.fromtimestamp(now).astimezone().isoformat(timespec="milliseconds"),
        label=label,
        probability=probability,
        raw_label=label,
        raw_probability=probability,
        frame_age_ms=12.5,
        inference_ms=4.2,
        fps=25.0,
        top=tuple(top),
    )
    state.publish(result, Picture(frame, geometry or Geometry()), number + 1, 0)


class Scene:
    """Publishes the color named by `label`, `rate` times a second, until it is left.

    Args:
        state: published into.
        rate: results a second.
        geometry: of the pictures.
        paint: makes a picture of a label and a number.
    """

    def __init__(
        self,
        state: LiveState,
        rate: float = 25.0,
        geometry: Geometry | None = None,
        paint: Callable[[str, int], Pixels] = picture_of,
    ) -> None:
        self.state, self.label, self.probability = state, "red", 0.9
        self.paused = False
        self._rate, self._geometry, self._paint = rate, geometry, paint
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scene", daemon=True)

    def __enter__(self) -> Scene:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._end.wait(1 / self._rate):
            if not self.paused:
                pixels = self._paint(self.label, number)
                publish(self.state, self.label, number, pixels, self._geometry, self.probability)
                number += 1


def eventually(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until `condition` holds; a test fails where it does not within `seconds`."""
    pause, deadline = threading.Event(), time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        pause.wait(0.01)


def ask(view: WebView, path: str, method: str = "GET", **options: object) -> httpx.Response:
    """One request without cookies, and without the certificates that loading takes longest."""
    address = f"http://127.0.0.1:{view.port}{path}"
    return httpx.request(method, address, verify=False, trust_env=False, timeout=30, **options)  # type: ignore[arg-type]
