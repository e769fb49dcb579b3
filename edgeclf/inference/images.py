"""Turns what a caller has, a path, an address, bytes, an array or a PIL image, into pixels of a model's size."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeGuard

import cv2
import numpy as np
import numpy.typing as npt

from edgeclf.errors import ImageError
from edgeclf.image.decoding import decode, decode_bytes, fit_image
from edgeclf.image.download import download_image, is_address
from edgeclf.image.objects import draw_object, load_object
from edgeclf.image.point_files import check_points
from edgeclf.image.shape import InputShape
from edgeclf.image.views import draw_frame, draw_views

Pixels = npt.NDArray[np.uint8]

_ORIENTATION = 0x0112
_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""By EXIF orientation, the number of PIL's `Image.Transpose` that `ImageOps.exif_transpose` applies."""
_DIRECT, _CONVERTED = ("L", "RGB", "RGBA", "RGBX"), ("1", "LA", "La", "P", "PA", "CMYK", "YCbCr", "HSV", "LAB", "RGBa")
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_READING_ERRORS = (OSError, ValueError, SyntaxError, EOFError, RuntimeError, LookupError, TypeError, MemoryError)
"""What PIL raises about a file, which it reads when its pixels are asked for."""
_BYTES = (bytes, bytearray, memoryview)


class PilImage(Protocol):
    """What is used of a `PIL.Image.Image`; PIL itself is never imported."""

    @property
    def mode(self) -> str:
        """Kind of pixels, such as `RGB`."""
        ...

    def getexif(self) -> Any:
        """Return the EXIF tags by number."""
        ...

    def convert(self, mode: Any) -> Any:
        """Return a copy of another mode."""
        ...

    def transpose(self, method: Any) -> Any:
        """Return a turned or mirrored copy."""
        ...


class ArrayLike(Protocol):
    """What NumPy reads as an array: of another library, or a row of a data set."""

    def __array__(self) -> Any: ...


ImageLike = str | os.PathLike[str] | bytes | bytearray | memoryview | ArrayLike | PilImage
"""One image: a path or http address, the content of an image file, uint8[H, W, 3] RGB pixels, or a PIL image."""


def is_several(image: ImageLike | Iterable[ImageLike]) -> TypeGuard[Iterable[ImageLike]]:
    """Return whether it is a list, a tuple or an iterator of images; a path and bytes are one, an array too."""
    return isinstance(image, (Sequence, Iterator)) and not isinstance(image, (str, *_BYTES))


def load_pixels(image: object, shape: InputShape) -> Pixels:
    """Make uint8[height, width, 3] RGB of an image, fitted to the input of a model.

    Raises:
        ImageError: it cannot be read, or is no image; the message is the reason alone.
    """
    return load_views(image, shape) if shape.views else fit_image(decode_any(image), shape)


def load_views(image: object, shape: InputShape) -> Pixels:
    """Make depth pictures of an object, its views one below the other; of a depth frame one.

    Args:
        image: a file or an http address, its bytes, float[N, 3] points, a depth frame uint16[H, W], or a depth picture
            uint8[H, W, 3] that is drawn already.
        shape: of the input of a model that sees objects.

    Raises:
        ImageError: it cannot be read, or is none of these; the message is the reason alone.
    """
    if isinstance(image, str) and is_address(image):
        return draw_object(download_image(image), shape)
    if isinstance(image, (str, os.PathLike)):
        return load_object(os.fsdecode(image), shape)
    if isinstance(image, _BYTES):
        return draw_object(bytes(image), shape)
    array = decode_any(image)
    if array.dtype == np.uint16:
        return draw_frame(array, shape)
    if array.dtype == np.uint8:
        return array if array.shape[1:] == (shape.width, 3) else fit_image(array, shape)
    return draw_views(check_points(array, "array"), shape)


def decode_any(image: object) -> npt.NDArray[Any]:
    """Make pixels of an image at its own size; arrays are returned as they are.

    Raises:
        ImageError: it cannot be read, or is no image; the message is the reason alone.
    """
    if isinstance(image, str) and is_address(image):
        return decode_bytes(download_image(image))
    if isinstance(image, (str, os.PathLike)):
        return decode(os.fsdecode(image))
    if isinstance(image, _BYTES):
        return decode_bytes(bytes(image))
    if all(hasattr(image, name) for name in ("mode", "getexif", "convert", "transpose")):
        return _read_pil(image)
    if isinstance(image, np.ndarray) or hasattr(image, "__array__"):
        return np.asarray(image)
    raise ImageError(f"expected a path, bytes, uint8[H, W, 3] RGB pixels or a PIL image, got {type(image).__name__}")


def _read_pil(image: Any) -> npt.NDArray[Any]:
    """Turn and convert a PIL image as a file of the same content would be."""
    mode = str(image.mode)
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
        if mode in _CONVERTED:
            image = image.convert("RGB")
        elif mode not in (*_DIRECT, *_SIXTEEN_BITS):
            raise ImageError(f"expected a PIL image of mode RGB or L, got mode {mode!r}; convert it")
        if turn is not None:
            image = image.transpose(turn)
        pixels = np.asarray(image)
    except ImageError:
        raise
    except _READING_ERRORS as error:
        raise ImageError(f"the PIL image cannot be read ({' '.join(str(error).split())})") from error
    return (pixels >> 8).astype(np.uint8) if mode in _SIXTEEN_BITS else pixels


def to_gray(image: Pixels) -> Pixels:
    """Return uint8[H, W, 1] of uint8[H, W, 3] RGB pixels."""
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)[..., None], np.uint8)
