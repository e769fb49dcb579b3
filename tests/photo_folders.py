"""Folders of photos made in the test: smooth colour blobs, each different, each recognizable again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt


def photo(seed: int, height: int = 48, width: int = 64) -> npt.NDArray[np.uint8]:
    """uint8[height, width, 3] RGB."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))


def write(path: Path, pixels: npt.NDArray[np.uint8]) -> Path:
    """Save RGB pixels in the format of the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done, content = cv2.imencode(path.suffix, pixels[..., ::-1])
    assert done
    path.write_bytes(content.tobytes())
    return path


def make_folder(top: Path, counts: Mapping[str, int], suffix: str = ".png", first_seed: int = 0) -> Path:
    """`top/CLASS/000.png` and so on, all different."""
    seed = first_seed
    for name, count in counts.items():
        (top / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            write(top / name / f"{number:03}{suffix}", photo(seed))
            seed += 1
    return top


def make_splits(top: Path, splits: Sequence[str], per_class: int = 4, classes: Sequence[str] = ("cat", "dog")) -> Path:
    """`top/SPLIT/CLASS/000.png`, all different."""
    for number, split in enumerate(splits):
        make_folder(top / split, dict.fromkeys(classes, per_class), first_seed=1000 * (number + 1))
    return top
