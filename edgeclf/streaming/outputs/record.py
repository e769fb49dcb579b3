"""Record the annotated video: a file of constant frame rate that plays as fast as the scene was."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from edgeclf.errors import InputError, OutputError, RunFailedError, one_line
from edgeclf.paths import expand_home, is_utf8
from edgeclf.streaming.camera.frame import Pixels
from edgeclf.streaming.collection.room import require_room
from edgeclf.streaming.loop.geometry import Picture
from edgeclf.streaming.loop.result import Result
from edgeclf.streaming.outputs.annotate import annotate
from edgeclf.streaming.supervision.background import Background
from edgeclf.streaming.supervision.problems import Problems

CODECS = {".mp4": "mp4v", ".mkv": "mp4v", ".avi": "mp4v"}
"""MPEG-4 part 2: the one that every build of OpenCV encodes, at 1.4 ms a frame of 640 x 480 on a desktop's core."""

LONGEST_GAP = 10.0
"""Seconds: a longer pause, such as an unplugged camera, is shortened to this."""

_PART = "record"
_MEASURED, _MEASURED_SECONDS = 12, 2.0
_FRACTION_OF_A_CORE = 0.6
_FASTEST = 60.0
_BYTES_OF_INDEX = 64


class Recorder:
    """Writes what the window shows into a video file.

    While it is written the file is called `NAME.partial.SUFFIX`. A killed process leaves that; .mkv and .avi play up to
    the last seconds, .mp4 does not, as its index is written at the end.

    Each place in the file is filled by the newest result of its time; the last one is repeated where none came. The
    first frame gives the size; later ones of another size are scaled into it, with bars where the shape differs.
    When the disk is nearly full the recording ends with a complete file, and the rest goes on.

    Args:
        path: .mp4, .mkv or .avi.
        problems: gets failures, as `record`.
        rate: frames a second of the file; None: as results come during the first 2 seconds, if the processor can.
        overwrite: whether a file of this name may be replaced.
        every_frame: each result becomes one frame, whenever it came, and none is left out; for video files, with the
            `rate` of the source (None: 25).

    Attributes:
        written: the complete video, once it has its name; None before, and where no frame came.

    Raises:
        InputError: the suffix is none of those, or the rate is not between 0 and 240.
        OutputError: the file exists, or cannot be written.
    """

    def __init__(
        self,
        path: Path | str,
        problems: Problems,
        *,
        rate: float | None = None,
        overwrite: bool = False,
        every_frame: bool = False,
    ) -> None:
        self.path = expand_home(path)
        if self.path.suffix.lower() not in CODECS:
            got = self.path.suffix or "no suffix"
            raise InputError(f"--record {path}: expected a name that ends in {', '.join(CODECS)}, got {got}")
        if not is_utf8(self.path.absolute()):
            raise InputError(f"--record {path}: OpenCV cannot write a file whose path is not UTF-8; choose another")
        if rate is not None and not 0 < rate <= 240:
            raise InputError(f"the frame rate of a recording must be above 0 and at most 240, got {rate}")
        _check_place(self.path, overwrite)
        self._overwrite, self._every_frame = overwrite, every_frame
        self._rate = 25.0 if every_frame and rate is None else rate
        self._problems = problems
        self._partial = _free_name(self.path)
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._waiting: list[tuple[Picture, Result]] = []
        self._shown: tuple[Picture, Result] | None = None
        self._began = self._newest = 0.0
        self._slot = self._written = 0
        self._ended = False
        self.written: Path | None = None
        self._why = "recording ended"
        self._give_up_filling = float("inf")
        self._background = Background(_PART, self._work, problems, capacity=4, patient=every_frame)

    def take(self, result: Result, picture: Picture) -> None:
        """Hand over a result; takes microseconds, except with `every_frame`, where a slow encoder is waited for."""
        if not self._ended:
            self._background.offer((picture, result))

    def close(self) -> None:
        """Write what waits and give the file its name. Does nothing the second time."""
        self._give_up_filling = min(self._give_up_filling, time.monotonic() + 1.0)
        if not self._background.close(2.0):
            self._problems.begin(_PART, f"{self._partial}: still being written; left under this name")
            return
        try:
            self._finish()
        except (OSError, RunFailedError) as error:
            self._problems.begin(_PART, one_line(error))

    @property
    def frames(self) -> int:
        """Count the frames in the file so far."""
        return self._written

    def _work(self, item: tuple[Picture, Result]) -> None:
        if self._ended:  # what still waited: the same line again is not reported, and stays
            raise RunFailedError(self._why)
        try:
            self._place(item)
        except (RunFailedError, OSError, MemoryError, cv2.error) as error:
            self._ended, self._why = True, one_line(error)
            try:
                self._finish()
            except (RunFailedError, OSError) as another:
                self._why += f"; {one_line(another)}"
            raise RunFailedError(self._why) from error

    def _place(self, item: tuple[Picture, Result]) -> None:
        if self._writer is None:
            self._waiting.append(item)
            seconds = item[0].frame.captured - self._waiting[0][0].frame.captured
            known = self._rate is not None
            if known or len(self._waiting) >= _MEASURED or seconds >= _MEASURED_SECONDS:
                self._start()
            return
        if self._every_frame:
            self._write(annotate(*item), 1)
            return
        self._advance(item)

    def _start(self) -> None:
        """Open the file, and place the results that waited for its rate to be known."""
        waiting, self._waiting = self._waiting, []
        first = annotate(*waiting[0])
        height, width = first.shape[:2]
        self._size = (width // 2 * 2, height // 2 * 2)
        if self._rate is None:
            times = [picture.frame.captured for picture, _ in waiting]
            self._rate = measure_rate(times, self._encode_seconds(waiting[0]))
        require_room(self._partial.parent, "nothing is recorded")
        self._writer = self._open(self._partial)
        if self._every_frame:
            for item in waiting:
                self._write(annotate(*item), 1)
            return
        self._shown, self._began = waiting[0], waiting[0][0].frame.captured
        self._newest = self._began
        for item in waiting[1:]:
            self._advance(item)

    def _advance(self, item: tuple[Picture, Result]) -> None:
        assert self._rate is not None
        captured = item[0].frame.captured
        gap = captured - self._newest
        if gap > LONGEST_GAP:
            self._began += gap - LONGEST_GAP
        self._newest = max(self._newest, captured)
        slot = round((captured - self._began) * self._rate)
        if slot > self._slot and self._shown is not None:
            self._write(annotate(*self._shown), slot - self._slot)
            self._slot = slot
        self._shown = item

    def _finish(self) -> None:
        if self._writer is None and self._waiting:
            self._start()
        if self._writer is None:
            return
        if self._shown is not None:
            with contextlib.suppress(RunFailedError):  # its place is the last one; without it the file is complete too
                self._write(annotate(*self._shown), 1)
        self._shown = None
        self._writer.release()
        self._writer = None
        self._ended = True
        if not _plays(self._partial):
            raise RunFailedError(f"{self._partial}: cannot be played; left under this name")
        if self.path.exists() and not self._overwrite:
            raise RunFailedError(f"{self.path}: has come into being meanwhile; the recording is {self._partial}")
        os.replace(self._partial, self.path)
        self.written = self.path

    def _write(self, image: Pixels, times: int) -> None:
        assert self._writer is not None
        fitted = fit(image, *self._size)
        for number in range(times):
            if number and time.monotonic() > self._give_up_filling:
                return
            require_room(self._partial.parent, "recording ended", self._written * _BYTES_OF_INDEX)
            self._writer.write(fitted)
            self._written += 1

    def _open(self, path: Path) -> cv2.VideoWriter:
        code = cv2.VideoWriter.fourcc(*CODECS[self.path.suffix.lower()])
        writer = cv2.VideoWriter(str(path), code, float(self._rate or 1.0), self._size)
        if not writer.isOpened():
            raise RunFailedError(f"{path}: OpenCV cannot write this kind of video here; another suffix may work")
        return writer

    def _encode_seconds(self, item: tuple[Picture, Result]) -> float:
        """Measure the seconds that encoding a frame takes, by a few of them in a file that is thrown away."""
        with tempfile.TemporaryDirectory(prefix="edgeclf-") as folder:
            writer = self._open(Path(folder) / self.path.name)
            spent = []
            for _ in range(4):
                began = time.perf_counter()
                writer.write(fit(annotate(*item), *self._size))
                spent.append(time.perf_counter() - began)
            writer.release()
        return median(spent)


def measure_rate(times: list[float], encode_seconds: float) -> float:
    """Compute the frames a second for results at `times` (seconds), at most what the encoder can do beside the loop."""
    steps = [after - before for before, after in pairwise(times) if after > before]
    result_rate = 1 / median(steps) if steps else 10.0
    return float(max(1, round(min(result_rate, _FASTEST, _FRACTION_OF_A_CORE / max(encode_seconds, 1e-6)))))


def fit(image: Pixels, width: int, height: int) -> Pixels:
    """Scale uint8[H, W, 3] into `width` times `height` pixels, its shape kept, black beside it."""
    if image.shape[:2] == (height, width):
        return image
    if image.shape[0] // 2 * 2 == height and image.shape[1] // 2 * 2 == width:
        return np.ascontiguousarray(image[:height, :width])
    scale = min(height / image.shape[0], width / image.shape[1])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = cv2.resize(image, size, interpolation=method)
    return canvas


def _check_place(path: Path, overwrite: bool) -> None:
    try:
        if path.is_dir() or (path.exists() and not overwrite):
            raise OutputError(f"--record {path}: exists already; choose another name, or add --overwrite")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"--record {path}: cannot be written ({reason}); choose another place") from error


def _free_name(path: Path) -> Path:
    """Find `NAME.partial.SUFFIX`, numbered where a killed process left one."""
    for number in range(1, 10_000):
        name = f"{path.stem}.partial{'' if number == 1 else f'-{number}'}{path.suffix}"
        if not path.with_name(name).exists():
            return path.with_name(name)
    raise OutputError(f"--record {path}: too many partial recordings beside it; remove some")


def _plays(path: Path) -> bool:
    capture = cv2.VideoCapture(str(path))
    try:
        return bool(capture.isOpened() and capture.read()[0])
    finally:
        capture.release()
