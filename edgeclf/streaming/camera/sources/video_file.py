"""Play a video file at its own rate, like a camera."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cv2

from edgeclf.errors import InputError
from edgeclf.image.file_kinds import is_sound
from edgeclf.paths import expand_home, is_utf8
from edgeclf.streaming.camera.frame import NOMINAL_RATE, Pixels, Shot
from edgeclf.streaming.camera.source import EndOfSourceError, SourceError
from edgeclf.streaming.camera.sources.pace import Pace
from edgeclf.streaming.camera.sources.video_handle import VideoHandle

_CATCHING_UP = 0.25
_LONGEST_PAUSE = 10.0


_FASTEST = 240.0


def read_frame_rate(camera: str) -> float | None:
    """Read the frames a second of a video file; None for everything else, and for files without that number."""
    path = expand_home(camera)
    if not path.is_file() or not is_utf8(path.absolute()):
        return None
    capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    try:
        rate = float(capture.get(cv2.CAP_PROP_FPS)) if capture.isOpened() else 0.0
    finally:
        capture.release()
    return rate if 0 < rate <= _FASTEST else None


class VideoFileSource:
    """The frames of a file at the times that it gives them, turned as its orientation says.

    A frame whose successor is due already is passed over and counted in `Shot.skipped`. Where the machine cannot
    decode as fast as the file plays, the file plays slower.

    Args:
        location: a path, or an address that FFmpeg can read.
        name: shown in lines and views; default: `location`.
        every_frame: all frames, as fast as they are taken.
        log: gets a line about a file that ends before its time.
        settings: pairs of a `CAP_PROP_` and its value, for the opening.

    Attributes:
        due: `time.monotonic()` at which the frame that is waited for is to be shown; 0 with `every_frame`.
    """

    endless = False

    def __init__(
        self,
        location: Path | str,
        *,
        name: str | None = None,
        every_frame: bool = False,
        log: Callable[[str], None] = lambda line: None,
        settings: tuple[int, ...] = (),
    ) -> None:
        self.name = name or str(location)
        # FFmpeg takes what stands before a colon for a protocol; an absolute path has none.
        self._location = str(location.absolute()) if isinstance(location, Path) else location
        self._file = location if isinstance(location, Path) else None
        self._every_frame, self._log, self._settings = every_frame, log, settings
        self._handle: VideoHandle | None = None
        self.due = 0.0

    def open(self) -> None:
        """Open the file and decode its first frame.

        Raises:
            InputError: no such file, or not one frame in it can be read.
        """
        self._check_file()
        self._handle = handle = VideoHandle()
        if not handle.open(self._location, cv2.CAP_FFMPEG, self._settings):
            self.close()
            raise InputError(
                f"{self.name}: cannot be read as a video: it holds no picture, is of a kind that FFmpeg does not "
                "know, or is damaged"
            )
        rate = handle.get(cv2.CAP_PROP_FPS)
        self._period = 1 / (rate if 0 < rate <= 1000 else NOMINAL_RATE)
        self._expected = handle.get(cv2.CAP_PROP_FRAME_COUNT)
        self._pace, self._grabbed, self._position = Pace(), 0, 0.0
        self._first: Pixels | None = None
        try:
            if not self._grab(handle):
                raise SourceError("no frame")
            self._first = handle.retrieve()
        except SourceError as error:
            self.close()
            raise InputError(f"{self.name}: holds no frame that can be decoded; is the file complete?") from error

    def read(self) -> Shot:
        """Return the frame that is due, once it is.

        Raises:
            SourceError: a frame cannot be decoded, or the source was closed.
            EndOfSourceError: the file has been shown to its end.
        """
        handle = self._handle
        if handle is None:
            raise SourceError("is not open")
        first, self._first = self._first, None
        if first is None:
            self._next(handle)
        if self._every_frame:
            now = time.monotonic()
            return Shot(handle.retrieve() if first is None else first, now, position=self._position)
        self.due = due = self._pace.due(self._position)
        handle.wait_until(due)
        began, skipped = time.monotonic(), 0
        while (now := time.monotonic()) >= due + self._period and self._grabbed != self._expected:
            if now - began >= _CATCHING_UP:
                self._pace.restart(self._position)
                due = now
                break
            self._next(handle)
            first, skipped = None, skipped + 1
            due = self._pace.due(self._position)
        self.due = due
        handle.wait_until(due)
        return Shot(handle.retrieve() if first is None else first, due, skipped)

    def close(self) -> None:
        """Release the file; from any thread, also while another one reads."""
        handle = self._handle
        if handle is not None:
            handle.close()

    def _check_file(self) -> None:
        if self._file is None:
            return
        if not self._file.is_file():
            raise InputError(f"{self.name}: no such video file")
        try:
            with self._file.open("rb") as stream:
                head = stream.read(64)
        except OSError as error:
            raise InputError(f"{self.name}: cannot be read ({(error.strerror or str(error)).lower()})") from error
        if not head:
            raise InputError(f"{self.name}: the file is empty")
        if is_sound(head):
            raise InputError(f"{self.name}: holds sound and no picture; expected a video or an image")

    def _next(self, handle: VideoHandle) -> None:
        if self._grab(handle):
            return
        if self._expected - self._grabbed > max(1.0, 0.02 * self._expected):  # containers miscount by a frame or two
            self._log(f"{self.name}: ends after {self._grabbed} of {self._expected:.0f} frames; is the file complete?")
        raise EndOfSourceError

    def _grab(self, handle: VideoHandle) -> bool:
        if not handle.grab():
            return False
        self._grabbed += 1
        if self._grabbed == 1:
            return True
        # Some files give no times, or nonsense after a cut; then frames follow each other at the nominal rate.
        before, position = self._position, handle.get(cv2.CAP_PROP_POS_MSEC) / 1000
        sane = before < position < before + _LONGEST_PAUSE
        self._position = position if sane else before + self._period
        return True
