"""How fast a video file plays."""

from __future__ import annotations

from pathlib import Path

import cv2

_FASTEST = 240.0


def file_rate(camera: str) -> float | None:
    """Frames a second of a video file; None for everything else, and for files that do not say."""
    path = Path(camera).expanduser()
    if not path.is_file():
        return None
    capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    try:
        rate = float(capture.get(cv2.CAP_PROP_FPS)) if capture.isOpened() else 0.0
    finally:
        capture.release()
    return rate if 0 < rate <= _FASTEST else None
