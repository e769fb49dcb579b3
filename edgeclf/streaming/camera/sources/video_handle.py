"""Hold a `cv2.VideoCapture` that any thread may close, also while another is inside it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

import cv2

import edgeclf.image.decoding  # noqa: F401 - keeps OpenCV's own log lines off stderr
from edgeclf.image.iso_boxes import read_film_orientation
from edgeclf.image.orientation import orientation_of_degrees, turn_upright
from edgeclf.streaming.camera.device_guard import DeviceGuard
from edgeclf.streaming.camera.frame import Pixels
from edgeclf.streaming.camera.source import SourceError, as_bgr

_ENVIRONMENT = {
    "OPENCV_FFMPEG_LOGLEVEL": "-8",  # nothing: what FFmpeg would log about a bad file is in the error
    "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "3",  # seconds that a camera may be silent; OpenCV waits for 10
}
for _name, _value in _ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)  # OpenCV reads them once, when it opens or writes its first video


class VideoHandle:
    """One opening of a `cv2.VideoCapture`; see `DeviceGuard`."""

    def __init__(self) -> None:
        self._device = DeviceGuard(self._release)
        self._capture = cv2.VideoCapture()
        self._orientation = 1

    def open(self, place: str | int, backend: int, settings: Sequence[int] = ()) -> bool:
        """Open `place`, and return whether OpenCV could; `settings` are pairs of a `CAP_PROP_` and its value.

        Frames of a film are turned as its display matrix asks for.

        Raises:
            SourceError: closed meanwhile.
        """
        with self._entered():
            opened = bool(self._capture.open(place, backend, list(settings)))
            if opened and backend == cv2.CAP_FFMPEG:
                # OpenCV 4.11 leaves films as they are, others turn them, and all take a mirrored one for one turned.
                self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
                degrees = self._capture.get(cv2.CAP_PROP_ORIENTATION_META)
                stated = read_film_orientation(place) if isinstance(place, str) and os.path.isfile(place) else None
                self._orientation = stated or orientation_of_degrees(degrees)
            return opened

    def set(self, setting: int, value: float) -> bool:
        """Ask for a setting; return whether it was accepted."""
        with self._entered():
            return bool(self._capture.set(setting, value))

    def get(self, setting: int) -> float:
        """Return a property's value; 0 where it is unknown."""
        with self._entered():
            return float(self._capture.get(setting))

    def grab(self) -> bool:
        """Wait for the next frame, without decoding its colours; return False where none comes."""
        with self._entered():
            return bool(self._capture.grab())

    def retrieve(self) -> Pixels:
        """Decode the frame that was grabbed to uint8[H, W, 3] BGR.

        Raises:
            SourceError: it cannot be decoded, or is no picture.
        """
        with self._entered():
            good, pixels = self._capture.retrieve()
        if not good:
            raise SourceError("gave a frame that cannot be decoded")
        return turn_upright(as_bgr(pixels), self._orientation)

    def wait_until(self, moment: float) -> None:
        """Sleep until `time.monotonic()` is `moment`.

        Raises:
            SourceError: closed meanwhile.
        """
        self._device.wait_until(moment)

    def close(self) -> None:
        """Wake a thread that waits, and release the device, or have it released by the thread that is inside."""
        self._device.close()

    @contextlib.contextmanager
    def _entered(self) -> Iterator[None]:
        with self._device.entered():
            try:
                yield
            except cv2.error as error:
                raise SourceError(" ".join(str(error.err or error).split())) from error

    def _release(self) -> None:
        self._capture.release()
