"""Show results where there is a display: one window, drawn by the main thread, at most thirty times a second.

Whether there is one is found out before OpenCV opens a window, which ends the process where it finds none.
"""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
import threading
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
_TRY = "import cv2; cv2.namedWindow('edgeclf'); cv2.pollKey(); cv2.destroyAllWindows()"
_TRY_SECONDS = 10.0


def window_possible(stop: threading.Event | None = None) -> bool:
    """Return whether a window can be opened: OpenCV has a window system, a display is named, and it responds.

    The last is tried in a process of its own: a display that is named but gone (an SSH session, a stopped desktop)
    makes Qt and GTK abort. Setting `stop` ends the wait for it.
    """
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    if re.search(r"^\s*GUI:\s*(NONE)?\s*$", cv2.getBuildInformation(), re.MULTILINE):
        return False  # the headless wheel
    try:
        return _try_window(stop or threading.Event())
    except OSError:
        return False


def _try_window(stop: threading.Event) -> bool:
    silent = subprocess.DEVNULL
    with subprocess.Popen([sys.executable, "-c", _TRY], stdin=silent, stdout=silent, stderr=silent) as tried:
        give_up = time.monotonic() + _TRY_SECONDS
        while tried.poll() is None:
            if time.monotonic() >= give_up or stop.wait(0.02):
                tried.kill()
                return False
        return tried.returncode == 0


class Window:
    """Shows the newest picture with its label; closed by its button, Escape or q.

    All of it belongs to one thread, the main one: window systems expect that.

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
        """Draw what is new; return whether the window is still open."""
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
        """Close the window."""
        cv2.destroyAllWindows()
        cv2.pollKey()


def draw_snapshot(snapshot: Snapshot, source: SourceState) -> Pixels:
    """Draw the newest picture as uint8[H, W, 3] BGR; darkened, with the reason on it, where the source gives none."""
    if source.status not in ("stalled", "lost"):
        return annotate(snapshot.picture, snapshot.result)
    frame = snapshot.picture.frame
    dark = dataclasses.replace(frame, pixels=np.asarray(frame.pixels // 3, np.uint8))
    reason = dataclasses.replace(snapshot.result, label=f"{source.name}: {source.detail}", probability=0.0, top=())
    return annotate(Picture(dark, snapshot.picture.geometry, snapshot.picture.shape), reason)
