"""Photos of one colour, which the networks of `linear_models.write_color_model` tell apart."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt


def hues(count: int) -> npt.NDArray[np.float64]:
    """`count` colours float64[count, 3] in 0..1, evenly around the circle."""
    return np.array([colorsys.hsv_to_rgb(k / count, 1, 1) for k in range(count)])


def photo(color: npt.NDArray[np.float64], seed: int = 0, side: int = 12) -> npt.NDArray[np.uint8]:
    """uint8[side, side, 3] RGB of a colour with noise."""
    noise = np.random.default_rng(seed).normal(0, 20, (side, side, 3))
    return np.clip(np.rint(color * 255 + noise), 0, 255).astype(np.uint8)


def write_photo(path: Path, pixels: npt.NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imencode(".png", pixels[..., ::-1])[1].tofile(path)
    return path


def write_folders(root: Path, names: Sequence[str], colors: npt.NDArray[np.float64], count: int = 4) -> Path:
    """`root/train` and `root/test` of class folders: `names[k]` holds photos of `colors[k]`."""
    for index, name in enumerate(names):
        for number in range(count):
            for split in ("train", "test"):
                seed = 1000 * index + 10 * number + (split == "test")
                write_photo(root / split / name / f"{number}.png", photo(colors[index], seed))
    return root
