"""Images decoded once, at one size, into a memory-mapped array in the cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edgeclf.dataset.cache import array_writer, cache_folder, open_array
from edgeclf.dataset.contents import content_hash, in_threads
from edgeclf.dataset.sources import Listing
from edgeclf.errors import DataError, ImageError
from edgeclf.image.decoding import PREPROCESSING_VERSION, decode, resize
from edgeclf.progress import SILENT, Progress

# Counts up when other facts are stored beside the images.
_FORMAT = 1
_CHUNK_BYTES = 8 << 20


@dataclass(frozen=True)
class Decoded:
    """The different images of a listing at one size.

    Attributes:
        images: `uint8[M, H, W, 3]`, memory-mapped.
        rows: row of each readable content.
        sizes: (height, width) in pixels before the resize, of each readable content.
        unreadable: reason for each content that cannot be decoded.
    """

    images: npt.NDArray[np.uint8]
    rows: Mapping[str, int]
    sizes: Mapping[str, tuple[int, ...]]
    unreadable: Mapping[str, str]


def decoded_images(
    listing: Listing, hashes: Sequence[str | None], height: int, width: int, progress: Progress = SILENT
) -> Decoded:
    """All different images of a listing at one size.

    The array is found by the contents of the images, the size and the decoder, so it is never stale, and copies of a
    data set share it. Each content has one row.

    Raises:
        DataError: no file can be read.
        RunFailedError: the disk is full.
    """
    first: dict[str, int] = {}
    for number, content in enumerate(hashes):
        if content is not None:
            first.setdefault(content, number)
    if not first:
        raise DataError(f"{listing.source}: not one of its {len(listing.items)} images can be read")
    shape = (len(first), height, width, 3)
    decoder = f"{_FORMAT} {PREPROCESSING_VERSION} {cv2.__version__} {find_spec('pillow_heif') is not None}"
    path = cache_folder() / "images" / f"{content_hash(repr((decoder, shape, tuple(first))).encode())}.npy"
    stored = open_array(path, shape)
    if stored is None:
        _store(path, shape, listing, first, progress)
        stored = open_array(path, shape)
        if stored is None:
            raise DataError(f"{path}: was removed while it was used; run the command again")
    array, facts = stored
    unreadable: dict[str, str] = facts["unreadable"]
    rows = {content: row for row, content in enumerate(first) if content not in unreadable}
    sizes = {content: tuple(facts["sizes"][row]) for content, row in rows.items()}
    return Decoded(array, rows, sizes, unreadable)


def read_pixels(listing: Listing, number: int) -> npt.NDArray[np.uint8]:
    """`uint8[H, W, 3]` of one item at its own size.

    Raises:
        ImageError: it cannot be read.
    """
    if listing.pixels is None:
        return decode(listing.items[number].path)
    image: npt.NDArray[np.uint8] = np.asarray(listing.pixels[number])
    return np.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else image


def _store(
    path: Path, shape: tuple[int, int, int, int], listing: Listing, first: dict[str, int], progress: Progress
) -> None:
    height, width = shape[1:3]
    per_chunk = max(1, _CHUNK_BYTES // (height * width * 3))
    chunk = np.zeros((per_chunk, height, width, 3), np.uint8)
    unreadable: dict[str, str] = {}
    sizes: list[tuple[int, int]] = []
    filled = 0
    work = partial(_at_size, listing, height, width)
    done = in_threads(work, list(first.values()), batch=max(1, min(64, per_chunk // 4)))
    with array_writer(path, shape) as writer, progress.task("Decoding images", shape[0]) as task:
        for content, made in zip(first, done, strict=True):
            if isinstance(made, str):
                unreadable[content] = made
                chunk[filled], size = 0, (0, 0)
            else:
                chunk[filled], size = made
            sizes.append(size)
            filled += 1
            if filled == per_chunk:
                writer.append(chunk)
                filled = 0
            task.advance()
        writer.append(chunk[:filled])
        writer.facts({"unreadable": unreadable, "sizes": sizes})


def _at_size(
    listing: Listing, height: int, width: int, number: int
) -> tuple[npt.NDArray[np.uint8], tuple[int, int]] | str:
    try:
        image = read_pixels(listing, number)
    except ImageError as error:
        return str(error)
    return resize(image, height, width), (image.shape[0], image.shape[1])
