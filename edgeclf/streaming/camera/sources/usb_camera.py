"""Read a USB camera, or any other V4L2 device that gives frames."""

from __future__ import annotations

import glob
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import cv2

from edgeclf.errors import InputError
from edgeclf.streaming.camera.frame import Pixels, Shot
from edgeclf.streaming.camera.source import Source, SourceError, SourceRequest
from edgeclf.streaming.camera.sources.picamera import INSTALL, PicameraSource, libcamera_present, picamera2_installed
from edgeclf.streaming.camera.sources.video_handle import VideoHandle

SIZE = (640, 480)
RATE = 30.0

_NAMES = "/sys/class/video4linux/{}/name"
_DEVICES = "/sys/class/video4linux/{}/device"


def list_video_nodes() -> list[str]:
    """Return the paths of `/dev/video*`, by number."""
    nodes = [node for node in glob.glob("/dev/video*") if re.fullmatch(r"/dev/video\d+", node)]
    return sorted(nodes, key=lambda node: int(node[len("/dev/video") :]))


def describe_cameras() -> str:
    """Describe the cameras to choose from, for an error message."""
    nodes = list_video_nodes()
    if not nodes:
        return "no camera is connected (there is no /dev/video*)"
    return "cameras here: " + ", ".join(_describe_node(node) for node in nodes)


def _is_file_or_folder(path: Path) -> bool:
    try:
        return path.is_file() or path.is_dir()
    except (OSError, ValueError):  # a name that is too long, or holds a zero byte
        return False


def _describe_node(node: str) -> str:
    try:
        name = Path(_NAMES.format(os.path.basename(node))).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return node
    return f"{node} ({name})"


def is_usb(node: str) -> bool:
    """Return whether a device hangs on USB, so that no CSI camera is behind it."""
    return "/usb" in os.path.realpath(_DEVICES.format(os.path.basename(node)))


def open_numbered_device(request: SourceRequest) -> Source:
    """Make the source for a number: 0 is `/dev/video0`."""
    number = int(request.camera)
    return UsbCameraSource(f"/dev/video{number}", size=request.size, rate=request.rate, log=request.log, number=number)


def open_device(request: SourceRequest) -> Source | None:
    """Make the source for a path below `/dev`, which need not exist now; None for a regular file or a folder."""
    if _is_file_or_folder(Path(request.camera)):
        return None
    return UsbCameraSource(request.camera, size=request.size, rate=request.rate, log=request.log)


class UsbCameraSource:
    """Frames of `/dev/videoN`.

    On a Raspberry Pi with a CSI camera such a node opens and gives nothing; then picamera2 takes over where it is
    installed.

    Args:
        path: of the device.
        size: width and height to ask for, pixels; the driver takes what is nearest. Default 640 x 480.
        rate: frames a second to ask for; default 30.
        log: gets a line where picamera2 takes over.
        number: of the CSI camera that may be behind it.
    """

    endless = True

    def __init__(
        self,
        path: str,
        *,
        size: tuple[int, int] | None = None,
        rate: float | None = None,
        log: Callable[[str], None] = lambda line: None,
        number: int = 0,
    ) -> None:
        self.name, self._number = path, number
        self._size, self._rate, self._log = size or SIZE, rate or RATE, log
        self._handle: VideoHandle | None = None
        self._instead: Source | None = None
        self._first: Pixels | None = None
        self._first_captured = 0.0

    def open(self) -> None:
        """Open the device and wait for its first frame.

        Raises:
            InputError: there is no such device, it may not be opened, or a package is missing.
            SourceError: it gives no frames now.
        """
        self._instead = None
        node = os.path.realpath(self.name)
        if not Path(node).exists():
            raise InputError(f"{self.name}: no such camera; {describe_cameras()}")
        if not os.access(node, os.R_OK | os.W_OK):
            raise InputError(f"{self.name}: permission denied; run: sudo usermod -aG video $USER, and log in again")
        self._handle = handle = VideoHandle()
        reason = self._start(handle, node)
        if reason is None:
            return
        self.close()
        # a USB camera that fails is waited for, not replaced by another one
        if is_usb(node) or not libcamera_present():
            raise SourceError(reason)
        if not picamera2_installed():
            raise InputError(f"{self.name}: {reason}; for a CSI camera {INSTALL}")
        self._log(f"{self.name}: {reason}; trying picamera2")
        self._instead = PicameraSource(self._number, size=self._size, rate=self._rate)
        self._instead.open()

    def read(self) -> Shot:
        """Return the next frame.

        Raises:
            SourceError: the camera failed, is gone, or was closed.
        """
        if self._instead is not None:
            return self._instead.read()
        handle = self._handle
        if handle is None:
            raise SourceError("is not open")
        first, self._first = self._first, None
        if first is not None:
            return Shot(first, self._first_captured)
        if not handle.grab():
            raise SourceError("gives no more frames" if Path(self.name).exists() else "was unplugged")
        captured = time.monotonic()
        return Shot(handle.retrieve(), captured)

    def close(self) -> None:
        """Release the device; from any thread, also while another one reads."""
        if self._instead is not None:
            self._instead.close()
        if self._handle is not None:
            self._handle.close()

    def _start(self, handle: VideoHandle, node: str) -> str | None:
        """Start the camera; return why it gives no frames, None where it gives one."""
        if not handle.open(node, cv2.CAP_V4L2):
            return "cannot be opened as a camera; does another program use it?"
        # Uncompressed pictures fill a USB 2 line at 10 frames a second; and a changed format resets size and rate.
        handle.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        handle.set(cv2.CAP_PROP_FRAME_WIDTH, self._size[0])
        handle.set(cv2.CAP_PROP_FRAME_HEIGHT, self._size[1])
        handle.set(cv2.CAP_PROP_FPS, self._rate)
        if not handle.grab():
            return "opens, but gives no frames"
        self._first_captured = time.monotonic()
        self._first = handle.retrieve()
        return None
