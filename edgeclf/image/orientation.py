"""Turns pictures as their files ask for. Decoders are asked not to: they differ in what they turn."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Matrix = tuple[int, int, int, int]
"""(a, b, c, d): the stored pixel at (x, y) is shown at (a x + c y, b x + d y), y pointing down, up to a shift."""

_BY_MATRIX: dict[Matrix, int] = {
    (1, 0, 0, 1): 1,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}
_BY_DEGREES = {0: 1, 90: 6, 180: 3, 270: 8}


def turn_upright(stored: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Turn `uint8[H, W, 3]` by EXIF 2.3, table 6: from orientation 5 on rows and columns are exchanged."""
    turned: npt.NDArray[Any] = stored
    quarters = {3: cv2.ROTATE_180, 6: cv2.ROTATE_90_CLOCKWISE, 8: cv2.ROTATE_90_COUNTERCLOCKWISE}
    if orientation in quarters:  # with one copy, and not two
        return np.asarray(cv2.rotate(stored, quarters[orientation]), np.uint8)
    if orientation in (5, 7):
        turned = cv2.transpose(stored)
    # the side on which the picture's first row and first column lie
    flips = {2: 1, 4: 0, 7: -1}
    if orientation in flips:
        turned = cv2.flip(turned, flips[orientation])
    return np.asarray(turned, np.uint8)


def multiply(first: Matrix, second: Matrix) -> Matrix:
    """Return the matrix that applies `first`, then `second`."""
    a, b, c, d = first
    e, f, g, h = second
    return a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h


def orientation_of_matrix(matrix: Matrix) -> int:
    """Return the EXIF orientation, 1 to 8, of a matrix with any positive scale; 1 where it is no quarter turn."""
    largest = max(map(abs, matrix)) or 1
    signs = [round(value / largest) for value in matrix]
    return _BY_MATRIX.get((signs[0], signs[1], signs[2], signs[3]), 1)


def orientation_of_degrees(degrees: float) -> int:
    """Return the EXIF orientation of a clockwise turn; 1 where it is no quarter turn."""
    return _BY_DEGREES.get(round(degrees) % 360, 1)
