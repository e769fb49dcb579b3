"""The pictures that both machines look at: drawn from a seed, or taken from a folder of photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

SIZE = (152, 200)
VIDEO_FRAMES_A_SECOND = 30


def write_frames(folder: Path, count: int, images: Path | None) -> None:
    """`count` files: those of `images`, evenly chosen, or drawn ones, of which every second is a JPEG file."""
    folder.mkdir()
    if images is not None:
        found = sorted(path for path in images.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        if not found:
            raise SystemExit(f"{images}: no .jpg or .png files below this folder")
        for number in range(count):
            path = found[number * len(found) // count]
            (folder / f"{number:04d}{path.suffix.lower()}").write_bytes(path.read_bytes())
        return
    random = np.random.default_rng(0)
    for number in range(count):
        suffix = ".jpg" if number % 2 else ".png"
        cv2.imwrite(str(folder / f"{number:04d}{suffix}"), _drawn(random, number % 10))


def write_video(path: Path, folder: Path, codec: str) -> None:
    """The pictures of `folder` as a video in a four-letter codec of FFmpeg's, such as FFV1 (lossless) or MJPG."""
    height, width = SIZE
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), VIDEO_FRAMES_A_SECOND, (width, height))
    if not video.isOpened():
        raise SystemExit(f"{path}: this OpenCV cannot write {codec}")
    for file in sorted(folder.iterdir()):
        video.write(cv2.resize(cv2.imread(str(file)), (width, height), interpolation=cv2.INTER_CUBIC))
    video.release()


def _drawn(random: np.random.Generator, digit: int) -> Any:
    """uint8[H, W, 3]: boxes and discs, often with a light digit on them: enough for a model to change its mind."""
    height, width = SIZE
    picture = cv2.resize(random.integers(0, 160, (4, 5, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(random.integers(0, 6)):
        colour = tuple(int(value) for value in random.integers(0, 256, 3))
        corner, other = random.integers(0, height, 2).tolist(), random.integers(0, width, 2).tolist()
        if random.random() < 0.5:
            cv2.rectangle(picture, corner, other, colour, -1)
        else:
            cv2.circle(picture, corner, int(random.integers(5, 60)), colour, -1)
    if random.random() < 0.7:
        picture = picture // 4
        place = (int(random.integers(10, 90)), int(random.integers(110, 145)))
        scale, thickness = float(random.uniform(2.5, 4.5)), int(random.integers(6, 18))
        cv2.putText(picture, str(digit), place, cv2.FONT_HERSHEY_SIMPLEX, scale, (245, 245, 245), thickness)
    return cv2.GaussianBlur(picture, (5, 5), 0)
