"""What a network takes of a picture: the size of its input, and how a picture of another shape comes to it.

    stretch   the whole picture, its aspect ratio changed to that of the input
    crop      the largest central region that has the input's aspect ratio
    pad       the whole picture in its own aspect ratio, in the middle of the input, the rest gray
    viewsK    no photo, but an object in space (a point cloud or a mesh), seen from K directions as depth pictures of
              the input's size, which are stored one below the other

Nothing here needs NumPy: settings and options are made of these values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgeclf.errors import InputError, UnknownNameError
from edgeclf.records import Record

STRETCH, CROP, PAD = "stretch", "crop", "pad"
FITS = (STRETCH, CROP, PAD)
VIEWS = "views"
"""How a fit begins that draws objects; the number of views follows: `views6`."""
MOST_VIEWS = 64
DEFAULT_VIEWS = 6
PAD_GRAY = 128
"""Pixel value beside a padded picture: the middle of the range, which networks scale to about 0, or 0.5 of 1."""

ImageSize = int | tuple[int, int]
"""The side of a square in pixels, or (height, width)."""
Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; right and bottom lie outside."""


@dataclass(frozen=True)
class InputShape(Record):
    """The size of a network's input, and how pictures are fitted to it.

    Args:
        height: pixels.
        width: pixels.
        fit: one of `FITS`, or `views1` to `views64`.

    Raises:
        UnknownNameError: there is no such fit.
        InputError: a side is below 1.
    """

    height: int
    width: int
    fit: str = STRETCH

    def __post_init__(self) -> None:
        check_fit(self.fit)
        if min(self.height, self.width) < 1:
            raise InputError(f"an input has at least 1 x 1 pixels, got {self.height} x {self.width}")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, pixels."""
        return self.height, self.width

    @property
    def views(self) -> int:
        """Directions that an object is seen from; 0: the network takes photos."""
        return count_views(self.fit)

    @property
    def stored(self) -> InputShape:
        """Shape of what is made of one file: of an object all views, one below the other; of a photo the input's."""
        return InputShape(max(1, self.views) * self.height, self.width, self.fit)

    def seen_box(self, height: int, width: int) -> Box:
        """Return which region of a picture of `height` x `width` pixels enters the network."""
        if self.fit != CROP:
            return 0, 0, width, height
        return central_region(height, width, self.size)

    def filled_box(self, height: int, width: int) -> Box:
        """Return which region of the input a picture of `height` x `width` pixels fills; the rest is `PAD_GRAY`."""
        if self.fit != PAD:
            return 0, 0, self.width, self.height
        return central_region(self.height, self.width, (height, width))


def check_fit(fit: str) -> str:
    """Return `fit`.

    Raises:
        UnknownNameError: it is none of `FITS`, and names no number of views.
    """
    if not is_fit(fit):
        raise UnknownNameError("fit", fit, (*FITS, views_fit(DEFAULT_VIEWS)))
    return fit


def is_fit(fit: str) -> bool:
    """Return whether there is such a fit."""
    return fit in FITS or count_views(fit) > 0


def views_fit(views: int) -> str:
    """Return the fit that draws objects from so many directions.

    Raises:
        InputError: expected 1 to `MOST_VIEWS`.
    """
    if not 1 <= views <= MOST_VIEWS:
        raise InputError(f"views must be from 1 to {MOST_VIEWS}, got {views}")
    return f"{VIEWS}{views}"


def count_views(fit: str) -> int:
    """Return from how many directions a fit draws objects; 0: it is one for photos, or none."""
    number = fit.removeprefix(VIEWS) if fit.startswith(VIEWS) else ""
    if not (number.isascii() and number.isdigit() and len(number) <= 2) or number.startswith("0"):
        return 0
    return int(number) if int(number) <= MOST_VIEWS else 0


def central_region(height: int, width: int, aspect: tuple[int, int]) -> Box:
    """Return the largest region in the middle of `height` x `width` pixels that has an aspect ratio, to the pixel.

    Args:
        height: of the whole, pixels.
        width: of the whole, pixels.
        aspect: height and width in any unit, whole numbers above 0.
    """
    tall, wide = aspect
    if width * tall >= height * wide:
        tall, wide = height, max(1, _divide(height * wide, tall))
    else:
        tall, wide = max(1, _divide(width * tall, wide)), width
    left, top = (width - wide) // 2, (height - tall) // 2
    return left, top, left + wide, top + tall


def check_image_size(image_size: Any) -> tuple[int, int]:
    """Return (height, width) in pixels of an `ImageSize`.

    Raises:
        InputError: not one or two whole numbers of at least 1.
    """
    sides = tuple(image_size) if isinstance(image_size, (tuple, list)) else (image_size, image_size)
    if len(sides) != 2 or not all(_is_whole(side) and side >= 1 for side in sides):
        raise InputError(f"image_size must be a whole number of pixels or (height, width), got {image_size!r}")
    return int(sides[0]), int(sides[1])


def plain_size(height: int, width: int) -> ImageSize:
    """Return the side of a square, else (height, width)."""
    return height if height == width else (height, width)


def show_size(image_size: ImageSize) -> str:
    """Write a size as people and cameras do, width first: `160×96`."""
    height, width = check_image_size(image_size)
    return f"{width}×{height}"


def describe_size(image_size: ImageSize | None) -> str:
    """Write a size with its unit: `160×96 pixels`, or `any size`."""
    return "any size" if image_size is None else f"{show_size(image_size)} pixels"


def _is_whole(side: Any) -> bool:
    # NumPy's whole numbers have an index, too; true and false do, but are none
    return hasattr(side, "__index__") and not isinstance(side, bool)


def _divide(whole: int, part: int) -> int:
    """Divide, rounded to the nearest whole number, halves up."""
    return (2 * whole + part) // (2 * part)
