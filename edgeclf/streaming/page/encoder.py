"""Encode pictures as JPEG: once each, in a worker thread, shared by all viewers."""

from __future__ import annotations

import asyncio
import datetime
import re
import time
from concurrent.futures import Executor
from typing import NamedTuple

import cv2

from edgeclf.errors import one_line
from edgeclf.streaming.camera.frame import Pixels
from edgeclf.streaming.loop.state import LiveState, Snapshot

STREAM_QUALITY = 80
SNAPSHOT_QUALITY = 92
SNAPSHOT_SECONDS = 0.1
PART = "web page"
BOUNDARY = "edgeclf-picture"


class PictureFile(NamedTuple):
    """A picture to keep: its bytes, and the name it is saved under."""

    jpeg: bytes
    name: str


class PictureEncoder:
    """Encodes the newest picture of `state`.

    Args:
        state: whose pictures they are; a picture that cannot be encoded becomes a problem of its `web page`.
        executor: with one worker, so that watching costs one processor core at most.
        width: pixels; wider pictures are scaled down in the stream, not in a snapshot.
    """

    def __init__(self, state: LiveState, executor: Executor, width: int) -> None:
        self._state, self._executor, self._width = state, executor, width
        self._sequence = 0
        self._snapshot: tuple[float, PictureFile] | None = None
        self._pending: asyncio.Task[PictureFile | None] | None = None

    async def part(self) -> bytes | None:
        """Return the newest picture as a part of a multipart stream; None where there is no new one.

        The boundary stands behind the picture, not before it: browsers show a picture once they see its end.
        """
        shown = self._state.latest()
        if shown is None or shown.sequence == self._sequence:
            return None
        self._sequence = shown.sequence
        jpeg = await self._encoded(shown, STREAM_QUALITY, self._width)
        if jpeg is None:
            return None
        head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\nX-Sequence: {shown.sequence}\r\n\r\n"
        return b"".join((head.encode(), jpeg, f"\r\n--{BOUNDARY}\r\n".encode()))

    def forget(self) -> None:
        """Make the next `part` the newest picture, also where it was made before: for a viewer who has seen none."""
        self._sequence = 0

    async def snapshot(self) -> PictureFile | None:
        """Return the newest picture in its full size; None before the first. Ten a second at most are made."""
        shown = self._state.latest()
        if shown is None:
            return None
        if self._snapshot is not None and time.monotonic() - self._snapshot[0] <= SNAPSHOT_SECONDS:
            return self._snapshot[1]
        if self._pending is None:
            self._pending = asyncio.create_task(self._make_snapshot(shown))
        return await asyncio.shield(self._pending)  # others wait for it too: it goes on where one of them leaves

    async def _make_snapshot(self, shown: Snapshot) -> PictureFile | None:
        began = time.monotonic()
        try:
            jpeg = await self._encoded(shown, SNAPSHOT_QUALITY, None)
            if jpeg is None:
                return None
            self._snapshot = began, PictureFile(jpeg, file_name(shown))
            return self._snapshot[1]
        finally:
            self._pending = None

    async def _encoded(self, shown: Snapshot, quality: int, width: int | None) -> bytes | None:
        loop = asyncio.get_running_loop()
        try:
            jpeg = await loop.run_in_executor(self._executor, encode, shown, quality, width)
        except (cv2.error, ValueError, MemoryError) as error:
            self._state.problems.begin(PART, f"a picture cannot be encoded ({one_line(error)})")
            return None
        self._state.problems.end(PART)
        return jpeg


def encode(shown: Snapshot, quality: int, width: int | None) -> bytes:
    """Encode the picture as JPEG, scaled down to `width` pixels where it is wider, with its map of evidence.

    In its full size (None) it has no map drawn over it: people keep that one, and may train on it.
    """
    pixels: Pixels = shown.picture.pixels()
    if width is not None and pixels.shape[1] > width:
        height = max(1, round(pixels.shape[0] * width / pixels.shape[1]))
        # Nearest first: averaging a 4K picture takes longer than encoding what is left of it.
        step = pixels.shape[1] // (2 * width)
        if step > 1:
            pixels = pixels[::step, ::step].copy()
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    if width is not None:
        pixels = shown.picture.draw_heat(pixels)
    done, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError("OpenCV's JPEG encoder refused it")
    return jpeg.tobytes()


def file_name(shown: Snapshot) -> str:
    """Name a file after when and what: `edgeclf-20260131-142501-120-cat-93.jpg`."""
    result = shown.result
    moment = datetime.datetime.fromtimestamp(shown.picture.frame.time).strftime("%Y%m%d-%H%M%S-%f")[:-3]
    label = re.sub(r"[^A-Za-z0-9]+", "-", result.label).strip("-")[:60] or "class"
    return f"edgeclf-{moment}-{label}-{result.probability * 100:.0f}.jpg"
