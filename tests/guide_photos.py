"""The photos that the guide's commands and the notebooks run on: small, and of three colours."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

COLOURS = {"bird": (220, 60, 40), "cat": (40, 200, 60), "dog": (50, 60, 220)}
"""Blue, green and red of each class."""


def draw_photos(folder: Path, count: int = 60, seed: int = 0) -> None:
    """Write `count` JPEG files of each class, which differ by their colour, into class folders."""
    draw = np.random.default_rng(seed)
    for label, colour in COLOURS.items():
        (folder / label).mkdir(parents=True)
        for number in range(count):
            noise = draw.normal(0, 40, (40, 48, 3)) + np.array(colour)
            cv2.imwrite(str(folder / label / f"{number}.jpg"), np.clip(noise, 0, 255).astype(np.uint8))
