"""Decodes and resizes images to raw RGB uint8[H, W, 3]: the one preprocessing.

Training, calibration, bench, predict and live use it. Scaling to other ranges belongs inside the network, so that no
device can get it wrong.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgeclf.errors import ImageError
from edgeclf.image.bitmap import decode_masked
from edgeclf.image.files import read_content
from edgeclf.image.header import CUT_JPEG, SUFFIXES, ImageHeader, read_header, without_animation
from edgeclf.image.native_stderr import without_chatter
from edgeclf.image.objects import load_object
from edgeclf.image.orientation import turn_upright
from edgeclf.image.shape import PAD_GRAY, STRETCH, InputShape
from edgeclf.image.tiff_header import as_read_by_libtiff
from edgeclf.paths import is_utf8

PREPROCESSING_VERSION = 4
"""Incremented whenever the same file gives other pixels."""

IMAGE_SUFFIXES: frozenset[str] = frozenset(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)

MAX_PIXELS = 1 << 28
"""268 million; the largest phone cameras have 200. Decoded it takes 3 bytes a pixel."""

_UNREADABLE = "it is of a kind that OpenCV does not read, or damaged"
_INSTALL_HEIC = (
    'pip install "edgeclf[heic]", or set the phone to JPEG (iPhone: Settings, Camera, Formats, Most Compatible)'
)

# since OpenCV 4.11
_READ_RGB: int | None = getattr(cv2, "IMREAD_COLOR_RGB", None)

_SILENT = 0
"""OpenCV's log level that drops every line."""

_JPEG_END, _GIF_END = b"\xff\xd9", b"\x3b"
_NOT_PIXELS = (b"\xaa" * 512, b"\x55" * 512, b"\xf0\x1e" * 256)

_LARGE = 1_500_000
"""Pixels from which on a second copy of the picture is worth avoiding."""

Image = npt.NDArray[np.uint8]

if "OPENCV_LOG_LEVEL" not in os.environ:
    # What OpenCV would log about a bad file is in the ImageError. OpenCV 4 has the setting elsewhere than OpenCV 5.
    (getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel)(_SILENT)


def load_image(path: Path | str, height: int, width: int, fit: str = STRETCH) -> Image:
    """Decode a file and fit it to an input: uint8[height, width, 3] RGB; an object's views one below the other.

    Raises:
        ImageError: it cannot be read; the message is the reason alone.
        UnknownNameError: there is no such fit.
    """
    shape = InputShape(height, width, fit)
    return load_object(path, shape) if shape.views else fit_image(decode(path), shape)


def decode(path: Path | str) -> Image:
    """Decode a file to uint8[H, W, 3] RGB, turned as its orientation (EXIF; of AVIF and HEIC the container's) asks for.

    Gray becomes three equal channels, an alpha channel is dropped, 16 bits become 8, CMYK and palettes become RGB; of
    an animation the first frame is taken.

    Raises:
        ImageError: it cannot be read; the message is the reason alone.
    """
    content = read_content(path)
    header = read_header(content)
    plain = header.format in ("JPEG", "PNG") and not header.animated and header.damage is None
    if _READ_RGB is not None and plain and is_utf8(path) and header.height * header.width >= _LARGE:
        _check(header)
        del content
        return _decode_large(path, header, _READ_RGB)
    return decode_bytes(content, header)


def decode_bytes(content: bytes, header: ImageHeader | None = None) -> Image:
    """Decode a file's content as `decode` does.

    Args:
        content: all bytes of the file.
        header: what `read_header` returned for them, if it was called before.

    Raises:
        ImageError: it cannot be read; the message is the reason alone.
    """
    header = header or read_header(content)
    with _failures_named(header):
        if header.damage == CUT_JPEG and _is_complete(content, header):
            content += _JPEG_END
        else:
            _check(header)
        if header.format == "HEIC":
            return _decode_heic(content)
        if header.format == "BMP" and (masked := decode_masked(content)) is not None:
            return masked
        if header.format == "TIFF":
            content = as_read_by_libtiff(content)
        if header.format == "GIF":
            content += _GIF_END  # many lack it, and OpenCV insists
        if header.format == "PNG" and header.animated:
            content = without_animation(content)  # of which versions of OpenCV take another frame
        return turn_upright(_decode_stored(content, header), header.orientation)


def _decode_stored(content: bytes, header: ImageHeader) -> Image:
    # of an AVIF with an alpha channel, OpenCV 5.0 returns BGR where RGB is asked for
    read_rgb = None if header.format == "AVIF" else _READ_RGB
    flags = (cv2.IMREAD_COLOR if read_rgb is None else read_rgb) | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    if pixels is None:
        raise ImageError(_reason(header, _UNREADABLE))
    if read_rgb is None:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    return np.asarray(pixels, np.uint8)


@contextlib.contextmanager
def _failures_named(header: ImageHeader) -> Iterator[None]:
    """Raise `ImageError` for what OpenCV raises inside, and where memory runs out, as the cause shows then."""
    try:
        yield
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:  # not a fault of the file
            raise ImageError(_no_memory(header)) from MemoryError()
        raise ImageError(_reason(header, str(error.err or error))) from error
    except MemoryError as error:
        raise ImageError(_no_memory(header)) from error


def _is_complete(content: bytes, header: ImageHeader) -> bool:
    """Return whether a JPEG without an end marker has all its pixels: what stands behind it changes none then."""
    _check(replace(header, damage=None))
    content = content.rstrip(b"\xff")  # with the first byte behind it, it would be a marker that ends the picture
    with without_chatter(b"JPEG data"):
        pixels = _decode_stored(content + _JPEG_END, header)
        return all(np.array_equal(_decode_stored(content + more + _JPEG_END, header), pixels) for more in _NOT_PIXELS)


def fit_image(image: npt.NDArray[Any], shape: InputShape) -> Image:
    """Bring a decoded picture to the input of a network: uint8[shape.height, shape.width, 3]. All sides call this one.

    Args:
        image: as `resize` takes it; the channels keep their order, whatever it is.
        shape: of the input, with its fit.

    Raises:
        ImageError: `image` is nothing of the kind.
    """
    if shape.fit == STRETCH:
        return resize(image, shape.height, shape.width)
    rgb = _as_rgb(image)
    height, width = rgb.shape[:2]
    left, top, right, bottom = shape.seen_box(height, width)
    seen = rgb[top:bottom, left:right]
    left, top, right, bottom = shape.filled_box(height, width)
    resized = resize(seen, bottom - top, right - left)
    if resized.shape[:2] == shape.size:
        return resized
    canvas = np.full((*shape.size, 3), PAD_GRAY, np.uint8)
    canvas[top:bottom, left:right] = resized
    return canvas


def resize(image: npt.NDArray[Any], height: int, width: int) -> Image:
    """Stretch to uint8[height, width, 3], as MediaPipe does: the aspect ratio is not kept.

    Where a side shrinks, pixels are averaged over their area; where it grows, interpolation is bilinear.

    Args:
        image: uint8[H, W, 3] RGB; gray ([H, W] or [H, W, 1]) and alpha ([H, W, 4]) become RGB.
        height: of the result, pixels.
        width: of the result, pixels.

    Raises:
        ImageError: `image` is nothing of the kind.
    """
    rgb: npt.NDArray[Any] = _as_rgb(image)
    down = min(height, rgb.shape[0]), min(width, rgb.shape[1])
    if down != rgb.shape[:2]:
        rgb = cv2.resize(rgb, (down[1], down[0]), interpolation=cv2.INTER_AREA)
    if down != (height, width):
        rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(rgb, np.uint8)


def image_size(path: Path | str) -> tuple[int, int]:
    """Find height and width after EXIF rotation, from the file's header where that suffices.

    Raises:
        ImageError: it cannot be read.
    """
    header = read_header(read_content(path))
    if header.height and header.width:
        return header.shown_size
    height, width = decode(path).shape[:2]
    return height, width


def describe_irregularities(header: ImageHeader, name: str) -> str | None:
    """Describe what is unusual about a readable file, in words separated by commas; None where nothing is.

    Args:
        header: of its content.
        name: of the file; its suffix should be one of the format.
    """
    found = []
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in SUFFIXES[header.format]:
        found.append(f"is {header.format} but named {suffix or 'without an ending'}")
    if header.orientation != 1:
        found.append(f"EXIF orientation {header.orientation}")
    if header.bits > 8:
        found.append(f"{header.bits} bits a channel")
    if header.mode in ("gray", "CMYK", "palette") and header.format not in ("GIF", "BMP"):
        found.append({"gray": "grayscale"}.get(header.mode, header.mode))
    if header.mode in ("RGBA", "gray+alpha"):
        found.append("alpha channel")
    if header.damage:
        found.append("no end marker")
    if header.animated:
        found.append("several pages" if header.format == "TIFF" else "animated")
    return ", ".join(found) or None


def _check(header: ImageHeader) -> None:
    if header.damage:
        raise ImageError(header.damage)
    if header.format in ("HEIC", "AVIF") and not header.height:
        return
    if header.height < 1 or header.width < 1:
        raise ImageError(f"the {header.format} claims to have {header.height} x {header.width} pixels")
    if header.height * header.width > MAX_PIXELS:
        raise ImageError(
            f"{header.height} x {header.width} pixels are too many (limit {MAX_PIXELS:,}); make the picture smaller"
        )


def _reason(header: ImageHeader, detail: str) -> str:
    remedy = "a newer opencv-python may read it" if header.format in ("GIF", "AVIF") else "save it as PNG or JPEG"
    return f"the {header.format} cannot be decoded ({detail.strip()}); {remedy}"


def _decode_large(path: Path | str, header: ImageHeader, flags: int) -> Image:
    """Decode with half the memory: `imdecode` holds two copies of a picture, this holds one."""
    with _failures_named(header):
        pixels = np.empty((header.height, header.width, 3), np.uint8)
        done = cv2.imread(os.fspath(path), pixels, flags | cv2.IMREAD_IGNORE_ORIENTATION)
        if done is None or done.shape != pixels.shape:
            raise ImageError(_reason(header, _UNREADABLE))
        return turn_upright(np.asarray(done, np.uint8), header.orientation)


def _no_memory(header: ImageHeader) -> str:
    return f"not enough memory for {header.height} x {header.width} pixels"


def _decode_heic(content: bytes) -> Image:
    if importlib.util.find_spec("pillow_heif") is None:
        raise ImageError(f"HEIC, which OpenCV cannot read; run: {_INSTALL_HEIC}")
    import pillow_heif

    try:
        picture = pillow_heif.read_heif(content)
        if picture.size[0] * picture.size[1] > MAX_PIXELS:
            raise ImageError(f"{picture.size[1]} x {picture.size[0]} pixels are too many (limit {MAX_PIXELS:,})")
        pixels = np.asarray(picture)
    except (ValueError, RuntimeError, SyntaxError, EOFError, OSError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"the HEIC cannot be decoded ({' '.join(str(error).split())})") from error
    return np.ascontiguousarray(_as_rgb((pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels))


def _as_rgb(image: npt.NDArray[Any]) -> Image:
    channels = 1 if image.ndim == 2 else image.shape[-1] if image.ndim == 3 else 0
    if image.dtype != np.uint8 or channels not in (1, 3, 4) or 0 in image.shape:
        raise ImageError(f"expected uint8[H, W, 3] RGB pixels, got {image.dtype}{list(image.shape)}")
    if channels == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(image[..., :3])
