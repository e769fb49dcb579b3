"""Show the images of a folder, one after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from edgeclf.errors import ImageError, InputError
from edgeclf.image.decoding import IMAGE_SUFFIXES, decode
from edgeclf.streaming.camera.frame import Pixels, Shot
from edgeclf.streaming.camera.source import EndOfSourceError, SourceError
from edgeclf.streaming.camera.sources.pace import Pace

IMAGES_A_SECOND = 1.0
"""Slow enough to look at each."""


def decode_bgr(path: Path) -> Pixels:
    """Decode an image file to uint8[H, W, 3] BGR.

    Raises:
        ImageError: it cannot be read; the message is the reason alone.
    """
    return np.asarray(cv2.cvtColor(decode(path), cv2.COLOR_RGB2BGR), np.uint8)


class ImageFolderSource:
    """The image files of a folder (not those of its subfolders) in sorted order, each once; or one image file.

    Args:
        path: the folder or file.
        rate: images a second.
        every_frame: as fast as they are taken instead.
        log: gets a line about each file that cannot be read; it is left out.
    """

    endless = False
    suffixes = IMAGE_SUFFIXES

    def __init__(
        self,
        path: Path,
        *,
        rate: float = IMAGES_A_SECOND,
        every_frame: bool = False,
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.name = str(path)
        self._path, self._period, self._every_frame, self._log = path, 1 / rate, every_frame, log
        self._closed = threading.Event()
        self._files: list[Path] = []
        self.due = 0.0

    def open(self) -> None:
        """List the files.

        Raises:
            InputError: there are no images.
        """
        self._files = self._images() if self._path.is_dir() else [self._path]
        self._at, self._shown, self._refused = 0, 0, ""
        self._pace = Pace()
        self._closed = threading.Event()

    def read(self) -> Shot:
        """Return the next image that can be read, once it is due.

        Raises:
            SourceError: closed meanwhile.
            EndOfSourceError: all have been shown.
            InputError: none of them can be read.
        """
        closed = self._closed
        while self._at < len(self._files):
            path = self._files[self._at]
            self._at += 1
            captured = time.monotonic()
            if not self._every_frame:
                self.due = captured = self._pace.due(self._shown * self._period)
                if closed.wait(max(0.0, captured - time.monotonic())):
                    raise SourceError("was closed")
            try:
                pixels = self.decode(path)
            except ImageError as error:
                self._refused = self._refused or f"{path.name}: {error}"
                self._log(f"{path}: {error}")
                continue
            if not self._every_frame and time.monotonic() > captured + 2 * self._period:
                self._pace.restart(self._shown * self._period)  # a slow disk delays, it does not make the rest hurry
            position = self._shown * self._period if self._every_frame else None
            self._shown += 1
            return Shot(pixels, captured, position=position)
        if not self._shown:
            raise InputError(f"{self.name}: holds no image that can be read ({self._refused})")
        raise EndOfSourceError

    def decode(self, path: Path) -> Pixels:
        """Decode a file to uint8[H, W, 3] BGR.

        Raises:
            ImageError: it cannot be read; the message is the reason alone.
        """
        return decode_bgr(path)

    def close(self) -> None:
        """Wake a thread that waits for the next image."""
        self._closed.set()

    def _images(self) -> list[Path]:
        try:
            files = sorted(path for path in self._path.iterdir() if path.suffix.lower() in self.suffixes)
        except OSError as error:
            raise InputError(f"{self.name}: cannot be read ({(error.strerror or str(error)).lower()})") from error
        found = [path for path in files if not path.is_dir() and not path.name.startswith(".")]
        if not found:
            raise InputError(f"{self.name}: holds no image files ({', '.join(sorted(self.suffixes))})")
        return found
