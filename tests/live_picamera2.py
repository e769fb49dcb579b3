"""A stand-in for picamera2 on a board with a CSI camera; `sys.path` gets a module of that name which imports this.

What it repeats of picamera2's manual and source: formats are named from the highest byte down, so that "RGB888" lies in
memory as blue, green, red; `capture_arrays` returns a list and the metadata; a camera that is not closed stays taken.
"""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

SCENE: dict[str, Any] = {"pixels": np.zeros((48, 64, 3), np.uint8), "cameras": 1, "failure": None, "dislodged": False}
"""`pixels`: uint8[H, W, 3] RGB, what lies before the camera; `failure`: raised by the next call for a frame;
`dislodged`: it gives none."""

OPEN: list[Picamera2] = []


class Picamera2:
    def __init__(self, camera_num: int = 0) -> None:
        try:
            if OPEN:
                raise RuntimeError("Failed to acquire camera: Device or resource busy")
        except RuntimeError:
            raise RuntimeError("Camera __init__ sequence did not complete.")  # noqa: B904 - as picamera2 does it
        OPEN.append(self)
        self.camera_num = camera_num
        self.started = self.asked = False
        self.configuration: dict[str, Any] = {}

    @staticmethod
    def global_camera_info() -> list[dict[str, Any]]:
        return [{"Model": f"imx70{number}", "Num": number} for number in range(SCENE["cameras"])]

    def create_video_configuration(self, main: dict[str, Any], controls: dict[str, Any] | None = None) -> Any:
        return {"main": {"format": "XBGR8888", "size": (1280, 720), **main}, "controls": controls or {}}

    def configure(self, configuration: dict[str, Any]) -> None:
        self.configuration = configuration

    def start(self) -> None:
        self.started = True

    def capture_arrays(
        self, names: list[str], wait: float | None = None
    ) -> tuple[list[npt.NDArray[np.uint8]], dict[str, Any]]:
        assert self.started
        assert self in OPEN
        if SCENE["dislodged"]:
            assert wait, "it would wait for ever"
            self.asked = True
            raise TimeoutError
        if SCENE["failure"] is not None:
            raise SCENE["failure"]
        main = self.configuration["main"]
        rgb = cv2.resize(SCENE["pixels"], main["size"], interpolation=cv2.INTER_NEAREST)
        opaque = np.full((*rgb.shape[:2], 1), 255, np.uint8)
        lies = {
            "RGB888": rgb[..., ::-1],
            "BGR888": rgb,
            "XRGB8888": np.concatenate([rgb[..., ::-1], opaque], axis=2),
            "XBGR8888": np.concatenate([rgb, opaque], axis=2),
        }[main["format"]]
        stamp = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - 20_000_000
        return [lies for _ in names], {"SensorTimestamp": stamp}

    def cancel_all_and_flush(self) -> None:
        self.asked = False

    def stop(self) -> None:
        assert not self.asked, "it would wait for the frame that was asked for"
        self.started = False

    def close(self) -> None:
        OPEN.remove(self)
