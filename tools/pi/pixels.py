#!/usr/bin/env python3
"""What a machine sees: pictures after decoding and resizing, or the frames of a video, as one NumPy file.

    python pixels.py HEIGHT WIDTH FOLDER OUT.npy
    python pixels.py VIDEO OUT.npy

All as uint8[N, H, W, 3] RGB.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgeclf.image.decoding import load_image


def video_frames(path: str) -> list[Any]:
    video, frames = cv2.VideoCapture(path), []
    while True:
        there, frame = video.read()
        if not there:
            return frames
        frames.append(frame[..., ::-1])


def main() -> None:
    *source, out = sys.argv[1:]
    if len(source) == 1:
        seen = video_frames(source[0])
    else:
        seen = [load_image(path, int(source[0]), int(source[1])) for path in sorted(Path(source[2]).iterdir())]
    np.save(out, np.stack(seen))


if __name__ == "__main__":
    main()
