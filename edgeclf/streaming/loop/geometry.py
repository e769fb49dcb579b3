"""Turn, mirror and cut a frame into what the network looks at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeclf.errors import InputError
from edgeclf.image.shape import Box, InputShape, central_region
from edgeclf.records import Record

if TYPE_CHECKING:  # NumPy comes with the frames: the settings, of which `Geometry` is a part, are imported without it
    import numpy as np
    import numpy.typing as npt

    from edgeclf.streaming.camera.frame import Frame, Pixels

FLIPS = ("none", "horizontal", "vertical", "both")
ROTATIONS = (0, 90, 180, 270)
SQUARE = InputShape(1, 1)
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Geometry(Record):
    """First the frame is turned, then mirrored, then cut.

    Args:
        rotate: degrees clockwise: 0, 90, 180 or 270.
        flip: `none`, `horizontal` (left to right), `vertical` or `both`.
        roi: x, y, width and height of the region looked at, in the turned and mirrored picture; as fractions of its
            sides where all four are at most 1, else in pixels.
        center_crop: of that region, take the middle in the aspect ratio of the input (a square, for most networks)
            instead of stretching it.
    """

    rotate: int = 0
    flip: str = "none"
    roi: tuple[float, float, float, float] | None = None
    center_crop: bool = False

    def __post_init__(self) -> None:
        if self.rotate not in ROTATIONS:
            raise InputError(f"rotate must be one of {', '.join(map(str, ROTATIONS))}, got {self.rotate}")
        if self.flip not in FLIPS:
            raise InputError(f"flip must be one of {', '.join(FLIPS)}, got {self.flip!r}")
        roi = self.roi
        if roi is not None and not (all(math.isfinite(n) and n >= 0 for n in roi) and min(roi[2:]) > 0):
            raise InputError(f"roi must be X,Y,WIDTH,HEIGHT with a width and height above 0, got {roi}")
        if roi is not None and max(roi) <= 1:
            self._require_inside(1.0, 1.0, "the picture: as fractions X + WIDTH and Y + HEIGHT are at most 1")

    def turn(self, pixels: Pixels) -> Pixels:
        """Turn and mirror a frame into the picture that people see: a view of `pixels`, not a copy."""
        turned = pixels
        if self.rotate == 90:
            turned = pixels.swapaxes(0, 1)[:, ::-1]
        elif self.rotate == 180:
            turned = pixels[::-1, ::-1]
        elif self.rotate == 270:
            turned = pixels.swapaxes(0, 1)[::-1]
        if self.flip in ("vertical", "both"):
            turned = turned[::-1]
        if self.flip in ("horizontal", "both"):
            turned = turned[:, ::-1]
        return turned

    def box(self, height: int, width: int, shape: InputShape = SQUARE) -> Box:
        """Return left, top, right and bottom of the region in a turned picture of `height` x `width` pixels.

        Args:
            height: of the picture, pixels.
            width: of the picture, pixels.
            shape: of the network's input, which `center_crop` takes its aspect ratio from.

        Raises:
            InputError: the region reaches beyond the picture.
        """
        left, top, right, bottom = 0, 0, width, height
        if self.roi is not None:
            x, y, w, h = self.roi
            if max(self.roi) <= 1:
                x, y, w, h = x * width, y * height, w * width, h * height
            else:
                self._require_inside(width, height, f"the picture of {width} x {height} pixels")
            left, top = min(round(x), width - 1), min(round(y), height - 1)
            right = min(max(round(x + w), left + 1), width)
            bottom = min(max(round(y + h), top + 1), height)
        if self.center_crop:
            return _within((left, top, right, bottom), central_region(bottom - top, right - left, shape.size))
        return left, top, right, bottom

    def _require_inside(self, width: float, height: float, picture: str) -> None:
        assert self.roi is not None
        x, y, w, h = self.roi
        if x + w > width + _ROUNDING or y + h > height + _ROUNDING:
            shown = ",".join(f"{number:g}" for number in self.roi)
            raise InputError(f"roi {shown} reaches beyond {picture}; give another --roi X,Y,WIDTH,HEIGHT")

    def region(self, pixels: Pixels, shape: InputShape = SQUARE) -> Pixels:
        """Cut out the region, which is fitted to the input then: a contiguous array, a copy only where it must be."""
        turned = self.turn(pixels)
        height, width = turned.shape[:2]
        left, top, right, bottom = self.box(height, width, shape)
        return _contiguous(turned[top:bottom, left:right])


class Picture:
    """A frame as people see it, turned and cut only when a view or an output needs it.

    Args:
        frame: the frame.
        geometry: how it is turned and cut.
        shape: of the network's input, with its fit.
        heat: float32[h, w] over that input, where the evidence for the label lies; None: it was not asked for.
    """

    def __init__(
        self,
        frame: Frame,
        geometry: Geometry,
        shape: InputShape = SQUARE,
        heat: npt.NDArray[np.float32] | None = None,
    ) -> None:
        self.frame = frame
        self.geometry = geometry
        self.shape = shape
        self.heat = heat

    def pixels(self) -> Pixels:
        """Return uint8[H, W, 3] BGR, turned, contiguous; not to be written to (it may be the captured frame itself)."""
        return _contiguous(self.geometry.turn(self.frame.pixels))

    def box(self) -> Box | None:
        """Return left, top, right and bottom of what the network sees; None where it is the whole picture."""
        height, width = self.geometry.turn(self.frame.pixels).shape[:2]
        region = left, top, right, bottom = self.geometry.box(height, width, self.shape)
        box = _within(region, self.shape.seen_box(bottom - top, right - left))
        return None if box == (0, 0, width, height) else box

    def draw_heat(self, canvas: Pixels) -> Pixels:
        """Draw the map of evidence, if there is one, over the picture at any scale.

        Args:
            canvas: uint8[H, W, 3] BGR: what `pixels` returns, or that in another size; not written to.
        """
        if self.heat is None:
            return canvas
        from edgeclf.image.heatmap import draw_map

        height, width = self.geometry.turn(self.frame.pixels).shape[:2]
        tall, wide = canvas.shape[0] / height, canvas.shape[1] / width
        left, top, right, bottom = self.geometry.box(height, width, self.shape)
        rows = slice(round(top * tall), max(round(top * tall) + 1, round(bottom * tall)))
        columns = slice(round(left * wide), max(round(left * wide) + 1, round(right * wide)))
        drawn: Pixels = canvas.copy()
        drawn[rows, columns] = draw_map(canvas[rows, columns], self.heat, self.shape, blue_first=True)
        return drawn

    def region(self) -> Pixels:
        """Return uint8[h, w, 3] BGR: the region looked at, before it is fitted to the input; not to be written to."""
        return self.geometry.region(self.frame.pixels, self.shape)


def _within(outer: Box, inner: Box) -> Box:
    """Return a box in the coordinates of the picture that `outer` is a box of."""
    left, top = outer[:2]
    return left + inner[0], top + inner[1], left + inner[2], top + inner[3]


def _contiguous(pixels: Pixels) -> Pixels:
    return pixels if pixels.flags.c_contiguous else pixels.copy()
