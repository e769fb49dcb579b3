"""A rendered video of digits, each for as many frames as it is told."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

TFLITE = Path(__file__).parent / "tflite"
RATE = 30.0
SHOWN = (3, 1, 4, 1, 5, 9, 2, 6)


def digit(number: int, side: int = 160) -> np.ndarray:
    """uint8[side, side, 3]: a scan of `number`, enlarged."""
    scans = np.load(TFLITE / "digits.npz")
    scan = scans["images"][np.flatnonzero(scans["labels"] == number)[0]]
    large = cv2.resize(scan, (side, side), interpolation=cv2.INTER_NEAREST)
    return cv2.cvtColor(large, cv2.COLOR_GRAY2BGR)


def write_video(path: Path, digits: tuple[int, ...] = SHOWN, frames_each: int = 10, side: int = 160) -> list[int]:
    """Write the video (Motion JPEG); the digit of each frame."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), RATE, (side, side))
    assert writer.isOpened()
    truth = [number for number in digits for _ in range(frames_each)]
    for number in truth:
        writer.write(digit(number, side))
    writer.release()
    return truth
