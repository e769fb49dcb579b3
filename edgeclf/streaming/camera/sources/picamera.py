"""Read a CSI camera on Raspberry Pi OS, through picamera2."""

from __future__ import annotations

import concurrent.futures
import contextlib
import importlib.util
import os
import shutil
import time
from collections.abc import Iterator
from typing import Any

from edgeclf.errors import EdgeclfError, InputError
from edgeclf.streaming.camera.device_guard import DeviceGuard
from edgeclf.streaming.camera.frame import Shot
from edgeclf.streaming.camera.retry import lengthen
from edgeclf.streaming.camera.source import Source, SourceError, SourceRequest, as_bgr

SIZE = (640, 480)
SILENCE_SECONDS = 3.0
"""Without a frame, until a camera is opened anew: one whose cable slips gives none for ever, and stays taken."""
INSTALL = (
    "run: sudo apt install python3-picamera2, and make the virtual environment with --system-site-packages "
    "(python3 -m venv --system-site-packages DIR), because pip has no wheel of libcamera"
)


def picamera2_installed() -> bool:
    """Return whether picamera2 can be imported, without importing it."""
    try:
        return importlib.util.find_spec("picamera2") is not None
    except ValueError:  # a module put into sys.modules by hand
        return True


def libcamera_present() -> bool:
    """Return whether this system drives CSI cameras through libcamera."""
    return picamera2_installed() or any(shutil.which(name) for name in ("rpicam-hello", "libcamera-hello"))


def open_picamera(request: SourceRequest) -> Source:
    """Make the source for `picamera2` or `picamera2:NUMBER`."""
    number = request.camera.partition(":")[2]
    return PicameraSource(int(number or 0), size=request.size, rate=request.rate)


class PicameraSource:
    """Frames of a CSI camera.

    Args:
        number: of the camera, as `rpicam-hello --list-cameras` counts them.
        size: width and height, pixels; default 640 x 480.
        rate: frames a second; default: the camera's own.
    """

    endless = True

    def __init__(self, number: int = 0, *, size: tuple[int, int] | None = None, rate: float | None = None) -> None:
        self.name = f"picamera2:{number}" if number else "picamera2"
        self._number, self._size, self._rate = number, size or SIZE, rate
        self._patience = lengthen(SILENCE_SECONDS, rate)
        self._device = DeviceGuard(self._stop)
        self._camera: Any = None

    def open(self) -> None:
        """Start the camera.

        Raises:
            InputError: picamera2 is not installed, or there is no such camera.
            SourceError: the camera does not start.
        """
        module = _import()
        self._device = device = DeviceGuard(self._stop)
        with device.entered():
            with _convert_errors():
                cameras = module.Picamera2.global_camera_info()
            if self._number >= len(cameras):
                found = ", ".join(f"{i} ({info.get('Model', '?')})" for i, info in enumerate(cameras)) or "none"
                raise InputError(
                    f"{self.name}: libcamera sees no camera {self._number} (it sees {found}); "
                    "is the cable in, and does rpicam-hello --list-cameras show it?"
                )
            with _convert_errors():
                self._camera = camera = module.Picamera2(self._number)
                # picamera2 names its formats from the highest byte down: "RGB888" lies in memory as B, G, R, which is
                # what is needed here; "BGR888" would exchange red and blue.
                settings: dict[str, Any] = {"main": {"format": "RGB888", "size": self._size}}
                if self._rate:
                    settings["controls"] = {"FrameRate": self._rate}
                camera.configure(camera.create_video_configuration(**settings))
                camera.start()

    def read(self) -> Shot:
        """Return the next frame; `captured` is the sensor's own time where the driver reports it.

        Raises:
            SourceError: the camera failed, or was closed.
        """
        with self._device.entered(), _convert_errors():
            if self._camera is None:
                raise SourceError("is not open")
            try:
                (pixels,), metadata = self._camera.capture_arrays(["main"], wait=self._patience)
            except (TimeoutError, concurrent.futures.TimeoutError):  # two classes before Python 3.11
                _forget_requests(self._camera)
                raise SourceError(f"gives no frame within {self._patience:g} s; is its cable in?") from None
            captured = _read_capture_time(metadata)
        return Shot(as_bgr(pixels), captured)

    def close(self) -> None:
        """Stop the camera, or have it stopped by the call that is inside."""
        self._device.close()

    def _stop(self) -> None:
        camera, self._camera = self._camera, None
        if camera is not None:
            with _convert_errors():
                try:
                    camera.stop()
                finally:
                    camera.close()  # else libcamera refuses the next opening: the camera would still be in use


def _forget_requests(camera: Any) -> None:
    """Let a camera that does not respond be stopped, which would else wait for the frames that were asked of it."""
    forget = getattr(camera, "cancel_all_and_flush", None)  # older versions have none
    if forget is not None:
        forget()


def _import() -> Any:
    if not picamera2_installed():
        raise InputError(f"--camera picamera2: picamera2 is not installed; {INSTALL}")
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:ERROR")  # else it logs each camera and mode on stderr
    try:
        import picamera2
    except (ImportError, ValueError, AttributeError) as error:
        # apt's picamera2 is built for apt's numpy; a newer one in the virtual environment breaks its parts.
        reason = " ".join(str(error).split())
        raise InputError(
            f"--camera picamera2: picamera2 is installed but cannot be imported ({reason}); {INSTALL}"
        ) from error
    return picamera2


@contextlib.contextmanager
def _convert_errors() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, OSError, IndexError, ValueError, KeyError, TimeoutError) as error:
        if isinstance(error, EdgeclfError):
            raise
        # picamera2 reports only that its constructor failed; the error before that has the reason.
        first = error.__context__ if isinstance(error.__context__, Exception) else error
        raise SourceError(f"libcamera: {' '.join(str(first).split()) or type(first).__name__}") from error


def _read_capture_time(metadata: dict[str, Any]) -> float:
    now = time.monotonic()
    stamp = metadata.get("SensorTimestamp")
    if stamp is None:
        return now
    # nanoseconds of the clock that goes on while the board sleeps
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - stamp / 1e9
    return now - age if 0 <= age < 10 else now
