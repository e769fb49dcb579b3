"""Saves pictures with maps of evidence drawn over them, as PNG files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edgeclf.atomic import check_writable, write_bytes
from edgeclf.errors import OutputError
from edgeclf.image.drawing import Pixels, enlarge
from edgeclf.image.heatmap import draw_map
from edgeclf.image.shape import InputShape
from edgeclf.inference.annotated import choose_file_name

LARGEST_SIDE = 1024
"""Pixels of a saved picture's longer side; larger ones are made smaller."""


class ExplainedFolder:
    """A folder of pictures with maps, called as their originals and the source of the map.

    Args:
        folder: made when the first picture is saved.
        overwrite: write into a folder that holds something already, over files of the same names.

    Attributes:
        path: of the folder.

    Raises:
        OutputError: it holds something already.
    """

    def __init__(self, folder: Path, *, overwrite: bool = False) -> None:
        self.path = folder
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder} is a file; --out takes a folder")
        if folder.is_dir() and any(folder.iterdir()) and not overwrite:
            raise OutputError(f"{folder} is not empty; choose another --out, or write into it with --overwrite")
        self._made = False
        self._taken: set[str] = set()

    def save(self, name: str, kind: str, picture: Pixels, values: npt.NDArray[np.float32], shape: InputShape) -> Path:
        """Draw a map over a picture, and save it.

        Args:
            name: path or address of the original.
            kind: of the source of the map; part of the file's name.
            picture: uint8[H, W, 3] RGB.
            values: float32[h, w] over the network's input.
            shape: of the input, with its fit.

        Raises:
            OutputError: it cannot be written.
            RunFailedError: the disk is full.
        """
        if not self._made:
            check_writable(self.path)
            self._made = True
        drawn = draw_map(_fit_file(picture), values, shape)
        done, content = cv2.imencode(".png", np.ascontiguousarray(drawn[..., ::-1]))
        path = self.path / choose_file_name(name, self._taken, f"-{kind.replace(' ', '-')}.png")
        if not done:
            raise OutputError(f"{path}: OpenCV cannot encode it")
        write_bytes(path, content.tobytes())
        return path


def _fit_file(picture: Pixels) -> Pixels:
    sides = picture.shape[:2]
    shrink = min(1.0, LARGEST_SIDE / max(sides))
    if shrink < 1:
        height, width = (max(1, round(side * shrink)) for side in sides)
        picture = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return enlarge(picture, LARGEST_SIDE)[0]
