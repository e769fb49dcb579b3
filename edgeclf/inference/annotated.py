"""Saves pictures with their predictions drawn below them."""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from edgeclf.artifact.locate import check_path
from edgeclf.artifact.none_class import UNKNOWN
from edgeclf.atomic import check_writable, write_bytes
from edgeclf.errors import OutputError
from edgeclf.image.download import is_address
from edgeclf.image.drawing import Pixels, bar_height, draw_bar, enlarge
from edgeclf.inference.classifier import Prediction

LARGEST_SIDE = 4096
"""Pixels of a saved picture's longer side; larger ones are made smaller."""
_QUALITY = 92
_LONGEST_NAME = 100


def draw_prediction(image: Pixels, prediction: Prediction) -> Pixels:
    """Draw the best label, and the runner-up, in a bar below a picture.

    Args:
        image: uint8[H, W, 3] RGB.
        prediction: of it.

    Returns:
        uint8[H + bar, W, 3] RGB, enlarged where it is small.
    """
    sides = image.shape[:2]
    shrink = min(1.0, LARGEST_SIDE / max(sides))
    if shrink < 1:
        height, width = (max(1, round(side * shrink)) for side in sides)
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    large, _ = enlarge(image, LARGEST_SIDE)
    canvas = np.concatenate([large[..., ::-1], np.zeros((bar_height(large.shape[0]), large.shape[1], 3), np.uint8)])
    best, *others = prediction.labels
    second = f"{others[0].label} {100 * others[0].probability:.0f} %" if others else ""
    label = prediction.label or best.label
    if label == UNKNOWN != best.label:
        second = f"{best.label} {100 * best.probability:.0f} %"
    draw_bar(canvas, label, None if label == UNKNOWN else best.index, best.probability, right=second)
    return np.ascontiguousarray(canvas[..., ::-1])


class AnnotatedFolder:
    """A folder of annotated pictures, as JPEG files that are called as their originals.

    Args:
        folder: made where it is not there.
        overwrite: write into a folder that holds something already, over files of the same names.

    Raises:
        OutputError: it holds something already, or cannot be written.
        InputError: it is an empty text.
    """

    def __init__(self, folder: str | Path, *, overwrite: bool = False) -> None:
        self.folder = Path(check_path(folder, "a folder (--save)"))
        if self.folder.exists() and not self.folder.is_dir():
            raise OutputError(f"{folder} is a file; --save takes a folder")
        if self.folder.is_dir() and any(self.folder.iterdir()) and not overwrite:
            raise OutputError(f"{folder} is not empty; choose another --save, or write into it with --overwrite")
        check_writable(self.folder, "--save")
        self._taken: set[str] = set()

    def spare(self, originals: Iterable[str | Path]) -> None:
        """Never write over these pictures, some of which may lie in the folder."""
        inside = self.folder.resolve()
        paths = (Path(one) for one in originals if not is_address(str(one)))
        self._taken |= {path.name.casefold() for path in paths if path.parent.resolve() == inside}

    def save(self, name: str, image: Pixels, prediction: Prediction) -> Path:
        """Save a picture with its prediction.

        Args:
            name: path or address of the original.
            image: uint8[H, W, 3] RGB.
            prediction: of it.

        Raises:
            OutputError: it cannot be written.
            RunFailedError: the disk is full.
        """
        done, content = cv2.imencode(
            ".jpg", draw_prediction(image, prediction)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
        )
        path = self.folder / choose_file_name(name, self._taken, ".jpg")
        if not done:
            raise OutputError(f"{path}: OpenCV cannot encode it")
        write_bytes(path, content.tobytes())
        return path


def choose_file_name(name: str, taken: set[str], suffix: str) -> str:
    """Choose a file name that no other picture of a folder has, after the path or address of the original.

    Args:
        name: path or address.
        taken: names in the folder, case-folded; the chosen one is added.
        suffix: of the file, such as `.jpg`.
    """
    last = urllib.parse.unquote(urllib.parse.urlsplit(name).path) if is_address(name) else name
    stem = os.path.splitext(last.replace("\\", "/").rstrip("/").rpartition("/")[2])[0]
    kept = "".join(c if c.isalnum() or c in " -_.()" else "_" for c in stem).strip(" .")
    kept = kept.encode()[:_LONGEST_NAME].decode(errors="ignore") or "image"
    chosen, number = f"{kept}{suffix}", 1
    while chosen.casefold() in taken:
        number += 1
        chosen = f"{kept}-{number}{suffix}"
    taken.add(chosen.casefold())
    return chosen
