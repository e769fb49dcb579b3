"""Counts and measures the images of a source before it is known at which size they will be used."""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median_low

import numpy as np

from edgeclf.dataset.cache import cache_folder
from edgeclf.dataset.contents import map_in_threads
from edgeclf.dataset.image_store import ImageStore
from edgeclf.dataset.loading import check_classes, list_source
from edgeclf.dataset.reading import decoder_identity
from edgeclf.dataset.sources import Listing
from edgeclf.dataset.store_index import INDEX
from edgeclf.errors import DataError, EdgeclfError, ImageError
from edgeclf.image.decoding import image_size
from edgeclf.image.files import open_image_file
from edgeclf.image.header import read_header
from edgeclf.progress import SILENT, Progress
from edgeclf.records import Record

OBJECT_PIXELS = 64
"""Side of the pictures of objects where nobody states one."""

_SAMPLED = 200
# The size of a JPEG stands before its pixels, behind what the camera noted and a small preview.
_HEAD_BYTES = 256 << 10


@dataclass(frozen=True)
class DataProbe(Record):
    """What is known of a data set without decoding it.

    Attributes:
        name: short name of the data set.
        classes: class names, sorted.
        images: number of files that look like images, readable or not, in all splits.
        per_class: the same for each class.
        median_height: of up to 200 images spread over the set, in pixels, turned as EXIF says.
        median_width: the same.
        holds_objects: point clouds or meshes, which have no size in pixels, in place of images.
        in_train: number of the images in a split `train` that the source has itself; 0: it has none.
    """

    name: str
    classes: tuple[str, ...]
    images: int
    per_class: dict[str, int]
    median_height: int
    median_width: int
    holds_objects: bool = False
    in_train: int = 0


def probe(source: str | Path | Listing, progress: Progress = SILENT) -> DataProbe:
    """Count the images of a source, and take the sizes of up to 200 of them from the cache or from their headers.

    Args:
        source: a folder, a CSV manifest, a name of `NAMED`, or a listing of `list_source`.
        progress: notified of downloads.

    Raises:
        DataError: there are not two classes, or none of the sampled images can be read.
        UnknownNameError: neither a path nor a known name.
    """
    listing = list_source(source, progress)
    check_classes(listing)
    numbers: list[int] = []
    reasons: dict[str, str] = {}
    objects = listing.holds_objects
    if objects:
        found = [(OBJECT_PIXELS, OBJECT_PIXELS)]
    elif listing.pixels is not None:
        found = [(listing.pixels.shape[1], listing.pixels.shape[2])]
    else:
        numbers = np.linspace(0, len(listing.items) - 1, min(_SAMPLED, len(listing.items))).astype(int).tolist()
        sizes = _known_sizes(listing, numbers)
        unknown = [number for number in numbers if number not in sizes]
        read = map_in_threads(partial(_read_size, listing, reasons), unknown, batch=8)
        found = [*sizes.values(), *(size for size in read if size is not None)]
    if not found:
        raise DataError(listing.describe_unreadable(reasons, len(numbers)))
    counts = Counter(item.label for item in listing.items)
    return DataProbe(
        listing.name,
        listing.class_names,
        len(listing.items),
        {name: counts[name] for name in listing.class_names},
        median_low(height for height, _ in found),
        median_low(width for _, width in found),
        objects,
        sum(item.split == "train" for item in listing.items),
    )


def _known_sizes(listing: Listing, numbers: list[int]) -> dict[int, tuple[int, int]]:
    """Look up height and width of the items that the image store has read; none where there is no store."""
    folder = cache_folder() / "images"
    if not (folder / INDEX).is_file():
        return {}
    try:
        with ImageStore(folder) as store:
            contents = store.known_files(listing, numbers).contents
            facts = store.facts(decoder_identity(listing), {content for content in contents if content is not None})
    except (EdgeclfError, sqlite3.Error):  # the load that follows reports it
        return {}
    known = {number: facts[c] for number, c in zip(numbers, contents, strict=True) if c is not None and c in facts}
    return {number: (fact.height, fact.width) for number, fact in known.items() if fact.height}


def _read_size(listing: Listing, reasons: dict[str, str], number: int) -> tuple[int, int] | None:
    """Read height and width of a file, from its first bytes where they suffice; small files are kept for the load.

    `reasons` gets why it cannot be read, by its path.
    """
    path = listing.items[number].path
    try:
        with open_image_file(path) as stream:
            head = stream.read(_HEAD_BYTES)
        if len(head) < _HEAD_BYTES:
            listing.prefetched[number] = head
        if head[:3] == b"\xff\xd8\xff" or len(head) < _HEAD_BYTES:
            header = read_header(head)
            if header.height and header.width:
                return header.shown_size
    except ImageError:
        pass
    try:
        return image_size(path)
    except ImageError as error:
        reasons[path] = str(error)
        return None
