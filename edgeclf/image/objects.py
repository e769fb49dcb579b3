"""Turns the file of an object, or a depth frame, into depth pictures of a network's input."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edgeclf.errors import ImageError
from edgeclf.image.files import read_content
from edgeclf.image.header import read_header
from edgeclf.image.point_files import name_point_format, read_points
from edgeclf.image.shape import InputShape
from edgeclf.image.views import draw_frame, draw_views

_EXPECTED = (
    "the model sees objects as depth pictures: expected a point cloud or mesh (PLY, OFF, STL, NPY) or a depth frame "
    "(gray PNG of 16 bits)"
)
_PNG = b"\x89PNG\r\n\x1a\n"


def load_object(path: str | Path, shape: InputShape) -> npt.NDArray[np.uint8]:
    """Draw the object of a file; see `draw_object`."""
    return draw_object(read_content(path), shape)


def draw_object(content: bytes, shape: InputShape) -> npt.NDArray[np.uint8]:
    """Draw a point cloud or mesh from all directions, or a depth frame as the one view that it is.

    Args:
        content: all bytes of the file.
        shape: of the network's input, whose fit is one with views.

    Returns:
        uint8[views * height, width, 3], the views one below the other; of a depth frame uint8[height, width, 3].

    Raises:
        ImageError: it cannot be read, or is something else; the message is the reason alone.
        MissingExtraError: trimesh is needed and not installed.
    """
    if content[:8] == _PNG:
        return draw_frame(read_frame(content), shape)
    if content and name_point_format(content) is None:
        what = read_header(content).format  # raises where it is no picture either
        raise ImageError(f"it is a picture ({what}), and {_EXPECTED}")
    return draw_views(read_points(content), shape)


def read_frame(content: bytes) -> npt.NDArray[np.uint16]:
    """Decode a depth frame from a gray PNG of 16 bits: uint16[H, W].

    Raises:
        ImageError: it is none; the message is the reason alone.
    """
    header = read_header(content)
    if (header.format, header.mode, header.bits) != ("PNG", "gray", 16):
        raise ImageError(f"it is a picture ({header.format}, {header.mode}, {header.bits} bits), and {_EXPECTED}")
    if header.damage:
        raise ImageError(header.damage)
    if not 0 < header.height * header.width <= 1 << 26:
        raise ImageError(f"a depth frame of {header.height} x {header.width} pixels is not read")
    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.dtype != np.uint16 or found.ndim != 2:
        raise ImageError("the PNG cannot be decoded; save it again")
    return np.asarray(found, np.uint16)
