"""The view where there is a display: one window, drawn by the thread that may, at most thirty times a second."""

from __future__ import annotations

import time

import cv2
import numpy as np

from edgeclf.live.annotate import annotate
from edgeclf.live.frame import Pixels
from edgeclf.live.state import LiveState

REFRESH_SECONDS = 1 / 30
_QUIT = (27, ord("q"))  # Escape


class Window:
    """Shows the newest picture with its label; closed by its button, Escape or q.

    All of it belongs to one thread, the main one: window systems want it so.

    Args:
        state: what is shown.
        title: of the window.
    """

    def __init__(self, state: LiveState, title: str) -> None:
        self._state, self._title = state, title
        self._seen = 0
        self._drawn_at = 0.0
        self._shown: Pixels | None = None
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)

    def refresh(self) -> bool:
        """Draw what is new; whether the window is still open. Returns within a refresh."""
        now = time.monotonic()
        shown, source = self._state.latest(), self._state.source()
        quiet = source.status in ("stalled", "lost")
        if now - self._drawn_at >= REFRESH_SECONDS and (quiet or (shown is not None and shown.sequence != self._seen)):
            self._drawn_at = now
            if shown is not None:
                self._seen = shown.sequence
                if quiet:
                    note = f"{source.name}: {source.detail}"
                    picture = annotate(_dimmed(shown.picture.pixels()), note, None)
                else:
                    picture = annotate(shown.picture.pixels(), caption(shown.result), shown.picture.box())
                cv2.imshow(self._title, picture)
                self._shown = picture
        key = cv2.waitKey(5)
        if key & 0xFF in _QUIT and key >= 0:
            return False
        return self._shown is None or cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        """Take the window away."""
        cv2.destroyAllWindows()
        cv2.pollKey()


def _dimmed(pixels: Pixels) -> Pixels:
    return np.asarray(pixels // 3, np.uint8)
