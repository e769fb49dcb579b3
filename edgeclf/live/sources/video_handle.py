"""A `cv2.VideoCapture` that any thread may close, also while another is inside it."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Sequence

import cv2

import edgeclf.runtime.image  # noqa: F401 - keeps OpenCV's own log lines off stderr
from edgeclf.live.frame import Pixels
from edgeclf.live.source import SourceError
from edgeclf.live.sources.bgr import as_bgr

_ENVIRONMENT = {
    "OPENCV_FFMPEG_LOGLEVEL": "-8",  # nothing: what FFmpeg would say about a bad file is in the error
    "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "3",  # seconds that a camera may be silent; OpenCV waits for 10
}


class VideoHandle:
    """One opening of a `cv2.VideoCapture`.

    Releasing a capture under a call that runs crashes the process. So `close` asks, and whoever is inside releases the
    device when the call comes back, be it a minute later.
    """

    def __init__(self) -> None:
        self._inside = threading.Lock()
        self._closing = threading.Event()
        self._capture: cv2.VideoCapture | None = None

    def open(self, place: str | int, backend: int, settings: Sequence[int] = ()) -> bool:
        """Whether OpenCV could open `place`; `settings` are pairs of a `CAP_PROP_` and its value.

        Raises:
            SourceError: closed meanwhile.
        """
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        with self._entered():
            self._capture = cv2.VideoCapture(place, backend, list(settings))
            return bool(self._capture.isOpened())

    def set(self, setting: int, value: float) -> bool:
        """Ask for something; whether it was accepted."""
        with self._entered() as capture:
            return bool(capture.set(setting, value))

    def get(self, setting: int) -> float:
        """A property's value; 0 where it is unknown."""
        with self._entered() as capture:
            return float(capture.get(setting))

    def grab(self) -> bool:
        """Wait for the next frame, without decoding it; False where none comes."""
        with self._entered() as capture:
            return bool(capture.grab())

    def retrieve(self) -> Pixels:
        """uint8[H, W, 3] BGR of the frame that was grabbed.

        Raises:
            SourceError: it cannot be decoded, or is no picture.
        """
        with self._entered() as capture:
            good, pixels = capture.retrieve()
        if not good:
            raise SourceError("gave a frame that cannot be decoded")
        return as_bgr(pixels)

    def wait_until(self, moment: float) -> None:
        """Sleep until `time.monotonic()` is `moment`.

        Raises:
            SourceError: closed meanwhile.
        """
        if self._closing.wait(max(0.0, moment - time.monotonic())):
            raise SourceError("was closed")

    def close(self) -> None:
        """Wake a thread that waits, and release the device, or have it released by the call that is inside."""
        self._closing.set()
        self._release()

    @contextlib.contextmanager
    def _entered(self) -> Iterator[cv2.VideoCapture]:
        with self._inside:
            if self._closing.is_set():
                raise SourceError("was closed")
            capture = self._capture
            try:
                # None only while it is being opened, where nobody looks at what is handed out here.
                yield capture  # type: ignore[misc]
            except cv2.error as error:
                raise SourceError(" ".join(str(error.err or error).split())) from error
        if self._closing.is_set():
            self._release()
            raise SourceError("was closed")

    def _release(self) -> None:
        if not self._inside.acquire(blocking=False):
            return  # whoever is inside sees on leaving that it is to be closed
        try:
            capture, self._capture = self._capture, None
        finally:
            self._inside.release()
        if capture is not None:
            capture.release()
