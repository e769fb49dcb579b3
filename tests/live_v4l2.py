"""A stand-in for `cv2.VideoCapture` over a USB camera, where a machine has none."""

from __future__ import annotations

import threading
from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt

MJPG = cv2.VideoWriter.fourcc(*"MJPG")
YUYV = cv2.VideoWriter.fourcc(*"YUYV")


class UsbCamera:
    """Behaves as V4L2 does: a new pixel format sets size and rate back, uncompressed pictures come slowly.

    Attributes:
        scene: uint8[H, W, 3] BGR, what lies before the camera; None: it gives no frames.
        opens: whether it can be opened.
        gray: it hands over one channel.
        still: while clear, `grab` does not come back.
        opened: all that were made and opened, in order.
    """

    scene: ClassVar[npt.NDArray[np.uint8] | None] = None
    opens: ClassVar[bool] = True
    gray: ClassVar[bool] = False
    still: ClassVar[threading.Event] = threading.Event()
    opened: ClassVar[list[UsbCamera]] = []

    def __init__(self) -> None:
        self.is_open = self.inside = self.released_inside = False
        self._set_back(YUYV)

    def open(self, place: str, backend: int, settings: list[int]) -> bool:
        assert backend == cv2.CAP_V4L2
        self.place, self.is_open = place, type(self).opens
        type(self).opened.append(self)
        return self.is_open

    def isOpened(self) -> bool:
        return self.is_open

    def set(self, setting: int, value: float) -> bool:
        if setting == cv2.CAP_PROP_FOURCC:
            self._set_back(int(value))
        else:
            self.settings[setting] = value
        return True

    def get(self, setting: int) -> float:
        if setting == cv2.CAP_PROP_FPS and self.settings[cv2.CAP_PROP_FOURCC] != MJPG:
            return min(10.0, self.settings[setting])
        return self.settings.get(setting, 0.0)

    def grab(self) -> bool:
        self.inside = True
        type(self).still.wait()
        self.inside = False
        return self.is_open and type(self).scene is not None

    def retrieve(self) -> tuple[bool, npt.NDArray[np.uint8] | None]:
        scene = type(self).scene
        if scene is None:
            return False, None
        size = int(self.settings[cv2.CAP_PROP_FRAME_WIDTH]), int(self.settings[cv2.CAP_PROP_FRAME_HEIGHT])
        picture = cv2.resize(scene, size, interpolation=cv2.INTER_NEAREST)
        if self.settings[cv2.CAP_PROP_FOURCC] == MJPG:
            picture = cv2.imdecode(cv2.imencode(".jpg", picture)[1], cv2.IMREAD_COLOR)
        return True, picture[..., 1] if type(self).gray else picture  # type: ignore[return-value]

    def release(self) -> None:
        self.released_inside |= self.inside
        self.is_open = False

    def _set_back(self, fourcc: int) -> None:
        self.settings: dict[int, float] = {
            cv2.CAP_PROP_FOURCC: fourcc,
            cv2.CAP_PROP_FRAME_WIDTH: 320,
            cv2.CAP_PROP_FRAME_HEIGHT: 240,
            cv2.CAP_PROP_FPS: 15,
        }


def plugged_in(scene: npt.NDArray[np.uint8]) -> type[UsbCamera]:
    """A camera of its own that sees `scene`, uint8[H, W, 3] BGR; to be put in the place of `cv2.VideoCapture`."""
    still = threading.Event()
    still.set()
    return type("UsbCamera", (UsbCamera,), {"scene": scene, "still": still, "opened": []})
