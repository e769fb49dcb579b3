"""Show the depth frames of a folder, or the objects in it, as the depth pictures that a model of objects sees.

A program of the camera's maker, or a dozen lines with its library, writes the frames: gray PNGs of 16 bits, 0 where
there is no depth. A depth camera that is read directly is a source of its own (see `SOURCES`), with `depth = True`,
that gives each frame through `picture_of_frame`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeclf.errors import InputError
from edgeclf.image.files import read_content
from edgeclf.image.objects import draw_object
from edgeclf.image.point_files import OBJECT_SUFFIXES
from edgeclf.image.shape import InputShape, views_fit
from edgeclf.image.views import draw_frame
from edgeclf.paths import expand_home
from edgeclf.streaming.camera.frame import Pixels
from edgeclf.streaming.camera.source import SourceRequest
from edgeclf.streaming.camera.sources.image_folder import IMAGES_A_SECOND, ImageFolderSource

PREFIX = "depth:"
SIDE = 256
"""Of the square depth picture that a frame becomes, pixels; it is then resized to the network's input."""
_SHAPE = InputShape(SIDE, SIDE, views_fit(1))


def picture_of_frame(frame: npt.NDArray[np.uint16]) -> Pixels:
    """Draw a depth frame uint16[H, W] as the depth picture uint8[256, 256, 3] that a source returns.

    Raises:
        ImageError: it is no such frame, or has no depths.
    """
    return draw_frame(frame, _SHAPE)


class DepthFrameSource(ImageFolderSource):
    """The depth frames and objects of a folder in sorted order, each once; or one file. Objects are seen from above."""

    depth = True
    suffixes = OBJECT_SUFFIXES

    def decode(self, path: Path) -> Pixels:
        """Draw a file: uint8[256, 256, 3], all channels alike.

        Raises:
            ImageError: it cannot be read; the message is the reason alone.
        """
        return draw_object(read_content(path), _SHAPE)


def open_depth_frames(request: SourceRequest) -> DepthFrameSource:
    """Make the source of `depth:PATH`.

    Raises:
        InputError: there is no such file or folder.
    """
    request.refuse_size(request.camera)
    path = expand_home(request.camera[len(PREFIX) :])
    if not path.exists():
        raise InputError(f"--camera {request.camera!r}: no such file or folder; expected depth:FOLDER of 16-bit PNGs")
    rate = IMAGES_A_SECOND if request.rate is None else request.rate
    return DepthFrameSource(path, rate=rate, every_frame=request.every_frame, log=request.log)
