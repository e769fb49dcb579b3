"""From what the user wrote after `--camera` to a source."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from pathlib import Path

from edgeclf.errors import InputError
from edgeclf.image.decoding import IMAGE_SUFFIXES
from edgeclf.streaming.camera.source import Source
from edgeclf.streaming.camera.sources.address import shown_address, split_address
from edgeclf.streaming.camera.sources.gstreamer import gstreamer_source
from edgeclf.streaming.camera.sources.image_folder import IMAGES_A_SECOND, ImageFolderSource
from edgeclf.streaming.camera.sources.picamera import PicameraSource
from edgeclf.streaming.camera.sources.recording import is_recording, read_recording
from edgeclf.streaming.camera.sources.stream import SETTINGS, StreamSource
from edgeclf.streaming.camera.sources.usb_camera import UsbCameraSource
from edgeclf.streaming.camera.sources.video_file import VideoFileSource
from edgeclf.streaming.camera.sources.video_nodes import cameras_here

EXPECTED = (
    "expected a number (0), a device (/dev/video0), a video file, a folder of images, a recording, "
    "an address (rtsp://, http://), a GStreamer pipeline (with ' ! ' between its elements), or picamera2"
)

_VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm", ".wmv")
"""Files among the addresses: played at their own rate, where a camera's stream is shown as it comes."""

_LARGEST_SIDE = 1 << 14


def choose_source(
    camera: str,
    *,
    every_frame: bool = False,
    size: tuple[int, int] | None = None,
    rate: float | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Source:
    """The source that `camera` names; nothing is opened yet.

    A device need not exist now: a camera may be plugged in later. Files must.

    Args:
        camera: `0`, `/dev/video0`, a video file, an image, a folder of images, a recording (a folder with `times.csv`),
            an address, a GStreamer pipeline, `picamera2` or `picamera2:1`.
        every_frame: show a file whole, as fast as its frames are taken.
        size: width and height to ask a camera for, pixels.
        rate: frames a second to ask a camera for; images a second of a folder.
        tell: gets a line about what is left out or done otherwise.

    Raises:
        InputError: it names nothing that can be a source; says what was expected and what cameras there are.
    """
    _check_asked(size, rate)
    path = Path(camera).expanduser()
    if match := re.fullmatch(r"picamera2(?::(\d{1,2}))?", camera):
        return PicameraSource(int(match[1] or 0), size=size, rate=rate)
    if re.fullmatch(r"\d{1,3}", camera):
        return UsbCameraSource(f"/dev/video{int(camera)}", size=size, rate=rate, tell=tell)
    if camera.startswith("/dev/") and not _is_file(path):
        return UsbCameraSource(camera, size=size, rate=rate, tell=tell)
    there = bool(camera.strip()) and _exists(path)
    if size is not None and (there or re.search(r"\s!\s|://", camera)):
        raise InputError(
            f"--size is asked of cameras; {shown_address(camera) if '://' in camera else camera} has a size of its own"
        )
    if there:
        return _from_path(path, every_frame, rate, tell)
    if re.search(r"\s!\s", camera):
        return gstreamer_source(camera, every_frame=every_frame)
    if camera.lower().startswith("file://"):
        return choose_source(camera[7:], every_frame=every_frame, size=size, rate=rate, tell=tell)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", camera):
        parts = split_address(camera)
        if parts.scheme.lower() in ("http", "https") and Path(parts.path).suffix.lower() in _VIDEO_SUFFIXES:
            name = shown_address(camera)
            return VideoFileSource(camera, name=name, every_frame=every_frame, tell=tell, settings=SETTINGS)
        return StreamSource(camera)
    what = "no such file or folder" if "/" in camera or "." in camera else "no such camera"
    raise InputError(f"--camera {camera!r}: {what}; {EXPECTED}; {cameras_here()}")


def _from_path(path: Path, every_frame: bool, rate: float | None, tell: Callable[[str], None]) -> Source:
    if path.is_dir() and is_recording(path):
        return read_recording(path, flat_out=every_frame)
    if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageFolderSource(path, rate=rate or IMAGES_A_SECOND, every_frame=every_frame, tell=tell)
    if not path.is_file():
        raise InputError(f"{path}: is neither a file nor a folder; {EXPECTED}")
    if rate is not None:
        raise InputError(f"--rate is asked of cameras and folders of images; {path} has a rate of its own")
    return VideoFileSource(path, every_frame=every_frame, tell=tell)


def _check_asked(size: tuple[int, int] | None, rate: float | None) -> None:
    if size is not None and not all(1 <= side <= _LARGEST_SIDE for side in size):
        raise InputError(f"size must be WIDTH x HEIGHT of 1 to {_LARGEST_SIDE} pixels, got {size[0]} x {size[1]}")
    if rate is not None and not 0 < rate <= 1000:
        raise InputError(f"rate must be above 0 and at most 1000 frames a second, got {rate:g}")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or holds a zero byte
        return False


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False
