"""The view where there is a display: one window, drawn by the main thread, at most thirty times a second."""

from __future__ import annotations

import dataclasses
import time

import cv2
import numpy as np

from edgeclf.streaming.camera.frame import Pixels
from edgeclf.streaming.camera.source import SourceState
from edgeclf.streaming.loop.geometry import Picture
from edgeclf.streaming.loop.state import LiveState, Snapshot
from edgeclf.streaming.outputs.annotate import annotate

REFRESH_SECONDS = 1 / 30
_ESCAPE, _CLOSE = 27, ord("q")
_FIRST_SIZE = (800, 600)


class Window:
    """Shows the newest picture with its label; closed by its button, Escape or q.

    All of it belongs to one thread, the main one: window systems want it so.

    Args:
        state: what is shown.
        title: of the window.
    """

    def __init__(self, state: LiveState, title: str) -> None:
        self._state, self._title = state, title
        self._drawn: tuple[int, SourceState] | None = None
        self._drawn_at = 0.0
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        cv2.resizeWindow(title, *_FIRST_SIZE)

    def refresh(self) -> bool:
        """Draw what is new; whether the window is still open."""
        now = time.monotonic()
        shown, source = self._state.latest(), self._state.source()
        if shown is not None and now - self._drawn_at >= REFRESH_SECONDS and self._drawn != (shown.sequence, source):
            self._drawn, self._drawn_at = (shown.sequence, source), now
            cv2.imshow(self._title, draw_snapshot(shown, source))
        if cv2.pollKey() & 0xFF in (_ESCAPE, _CLOSE):
            return False
        # Before the first picture some window systems call a window invisible.
        return self._drawn is None or cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        """Take the window away."""
        cv2.destroyAllWindows()
        cv2.pollKey()


def draw_snapshot(shown: Snapshot, source: SourceState) -> Pixels:
    """uint8[H, W, 3] BGR: the newest picture; darkened, with the reason on it, where the source gives none."""
    if source.status not in ("stalled", "lost"):
        return annotate(shown.picture, shown.result)
    frame = shown.picture.frame
    dark = dataclasses.replace(frame, pixels=np.asarray(frame.pixels // 3, np.uint8))
    reason = dataclasses.replace(shown.result, label=f"{source.name}: {source.detail}", probability=0.0, top=())
    return annotate(Picture(dark, shown.picture.geometry), reason)
