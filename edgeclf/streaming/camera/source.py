"""What a source of frames is, what is asked of one, and what every frame of one must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from edgeclf.errors import InputError, RunFailedError
from edgeclf.records import Record
from edgeclf.streaming.camera.frame import Pixels, Shot

_LARGEST_SIDE = 1 << 14


def _ignore(line: str) -> None:
    """Log nothing."""


@dataclass(frozen=True)
class SourceState(Record):
    """The state of a source.

    Attributes:
        name: of the source.
        status: `opening`, `running`, `stalled` (open, but no frames), `lost` (to be opened again) or `ended`.
        detail: one line for people; empty while all is well.
        reconnects: how often it was opened again.
    """

    name: str
    status: str
    detail: str = ""
    reconnects: int = 0


@dataclass(frozen=True)
class SourceRequest:
    """What the user asks of a source.

    Args:
        camera: which one, as it stands behind `--camera`.
        every_frame: show all frames of a file, as fast as they are taken.
        size: width and height to ask a camera for, pixels.
        rate: frames a second to ask a camera for; images a second of a folder.
        log: gets a line about what is left out or done otherwise.

    Raises:
        InputError: size or rate is out of range.
    """

    camera: str
    every_frame: bool = False
    size: tuple[int, int] | None = None
    rate: float | None = None
    log: Callable[[str], None] = _ignore

    def __post_init__(self) -> None:
        size, rate = self.size, self.rate
        if size is not None and not all(1 <= side <= _LARGEST_SIDE for side in size):
            raise InputError(f"size must be WIDTH x HEIGHT of 1 to {_LARGEST_SIDE} pixels, got {size[0]} x {size[1]}")
        if rate is not None and not 0 < rate <= 1000:
            raise InputError(f"rate must be above 0 and at most 1000 frames a second, got {rate:g}")

    def refuse_size(self, shown: str) -> None:
        """Raise InputError where a size is asked of a source that has its own.

        Args:
            shown: name of the source, without passwords.
        """
        if self.size is not None:
            raise InputError(f"--size is asked of cameras; {shown} has a size of its own")

    def refuse_rate(self, shown: str) -> None:
        """Raise InputError where a rate is asked of a source that has its own; `shown` as in `refuse_size`."""
        if self.rate is not None:
            raise InputError(f"--rate is asked of cameras and folders of images; {shown} has a rate of its own")


class SourceError(RunFailedError):
    """The source gives no frames now; a camera may again, once opened again. One line, without the source's name."""


class EndOfSourceError(Exception):
    """A file or a folder has been shown to its end."""


class Source(Protocol):
    """Where frames come from. One thread opens and reads it; any thread may close it, also while another is inside.

    Making one is cheap and opens nothing. One whose `open` or `read` hangs in a driver is closed and left behind: it
    releases the device when the call returns. For the next attempt another one is made, or, where nothing hangs,
    the same one opened again.

    Attributes:
        name: shown in lines and views, such as `/dev/video0`.
        endless: a camera or a stream, which is opened again when it stops giving frames; a file is not.
        due: optional; `time.monotonic()` at which the next frame of a file is to be shown.
        depth: optional; True where frames are depth pictures (see `sources.depth_frames`), which models of objects see;
            None where nobody knows.
    """

    name: str
    endless: bool

    def open(self) -> None:
        """Make it ready to read; called again after `close`.

        Raises:
            SourceError: it gives no frames now.
            InputError: it never will: no such file, a package is missing.
        """

    def read(self) -> Shot:
        """Wait for the next frame, and return it.

        Raises:
            SourceError: the device failed, or gave garbage.
            EndOfSourceError: there are no more frames.
        """

    def close(self) -> None:
        """Release the device and end a `read` that waits, with SourceError; harmless where nothing is open.

        Waits for no driver: where a call is inside one, the device is released when it returns.
        """


def as_bgr(pixels: object) -> Pixels:
    """Convert what a driver or a decoder handed over to uint8[H, W, 3] BGR; a copy only where channels change.

    Gray ([H, W] or [H, W, 1]) becomes three equal channels, BGRA loses its alpha.

    Raises:
        SourceError: it is no picture; the message has what was expected and got.
    """
    if not isinstance(pixels, np.ndarray):
        raise SourceError(f"expected a picture, got {'nothing' if pixels is None else type(pixels).__name__}")
    channels = 1 if pixels.ndim == 2 else pixels.shape[2] if pixels.ndim == 3 else 0
    if pixels.dtype != np.uint8 or channels not in (1, 3, 4) or 0 in pixels.shape:
        raise SourceError(f"expected a picture of uint8[H, W, 3], got {pixels.dtype}{list(pixels.shape)}")
    if channels == 1:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_GRAY2BGR), np.uint8)
    if channels == 4:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_BGRA2BGR), np.uint8)
    return np.ascontiguousarray(pixels)
