"""Read a stream from the network: RTSP, MJPEG over HTTP, and whatever else FFmpeg reads."""

from __future__ import annotations

import time
from pathlib import Path

import cv2

from edgeclf.streaming.camera.frame import Shot
from edgeclf.streaming.camera.source import EndOfSourceError, Source, SourceError, SourceRequest
from edgeclf.streaming.camera.sources.address import redact_address, split_address
from edgeclf.streaming.camera.sources.video_file import VideoFileSource
from edgeclf.streaming.camera.sources.video_handle import VideoHandle

OPENING_MS = 5000
SILENCE_MS = 4000
SETTINGS = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPENING_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, SILENCE_MS)
# FFmpeg's `nobuffer` is not asked for: it throws away the key frame that it looked at while opening, and then nothing
# can be decoded until the next one, seconds later. What has gathered meanwhile is read within milliseconds.


_VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm", ".wmv")
"""Files among the addresses: played at their own rate, where a camera's stream is shown as it comes."""


def open_address(request: SourceRequest) -> Source:
    """Make the source for an address: a video file that a web server holds, or a stream.

    Raises:
        InputError: it is no address of a stream.
    """
    camera = request.camera
    parts = split_address(camera)
    request.refuse_size(redact_address(camera))
    request.refuse_rate(redact_address(camera))
    if parts.scheme.lower() in ("http", "https") and Path(parts.path).suffix.lower() in _VIDEO_SUFFIXES:
        return VideoFileSource(
            camera,
            name=redact_address(camera),
            every_frame=request.every_frame,
            log=request.log,
            settings=SETTINGS,
        )
    return StreamSource(camera)


class StreamSource:
    """The frames of a stream as they arrive.

    Args:
        address: such as `rtsp://user:password@host:554/stream` or `http://host/video.mjpg`.
    """

    endless = True

    def __init__(self, address: str) -> None:
        split_address(address)
        self.name = redact_address(address)
        self._address = address
        self._handle: VideoHandle | None = None

    def open(self) -> None:
        """Connect.

        Raises:
            SourceError: nothing responds there, or it is no video.
        """
        self._handle = handle = VideoHandle()
        began = time.monotonic()
        if handle.open(self._address, cv2.CAP_FFMPEG, SETTINGS):
            return
        self.close()
        if time.monotonic() - began > 0.9 * OPENING_MS / 1000:
            raise SourceError(f"does not respond within {OPENING_MS / 1000:.0f} s")
        raise SourceError("cannot be opened: nothing listens there, the password is wrong, or it is no video")

    def read(self) -> Shot:
        """Return the next frame.

        Raises:
            SourceError: the connection is lost, or the source was closed.
            EndOfSourceError: the other side ended the stream.
        """
        handle = self._handle
        if handle is None:
            raise SourceError("is not open")
        began = time.monotonic()
        if not handle.grab():
            # OpenCV reports no more than that; a stream that breaks off looks like one that ends.
            if time.monotonic() - began > 0.9 * SILENCE_MS / 1000:
                raise SourceError(f"no data for {SILENCE_MS / 1000:.0f} s")
            raise EndOfSourceError
        captured = time.monotonic()
        return Shot(handle.retrieve(), captured)

    def close(self) -> None:
        """End the connection; from any thread, also while another one reads."""
        handle = self._handle
        if handle is not None:
            handle.close()
