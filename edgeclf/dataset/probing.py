"""A quick look at a source, before it is known at which size its images will be used."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low

import numpy as np

from edgeclf.dataset.contents import in_threads
from edgeclf.dataset.loading import check_classes, list_source
from edgeclf.dataset.sources import Item
from edgeclf.errors import DataError, ImageError
from edgeclf.image.decoding import image_size
from edgeclf.progress import SILENT, Progress
from edgeclf.records import Record

_LOOKED_AT = 200


@dataclass(frozen=True)
class DataProbe(Record):
    """What can be told about a data set without decoding it.

    Attributes:
        name: short name of the data set.
        classes: class names, sorted.
        images: number of files that look like images, readable or not, in all splits.
        per_class: the same for each class.
        median_height: of up to 200 images spread over the set, in pixels, EXIF orientation honoured.
        median_width: the same.
    """

    name: str
    classes: tuple[str, ...]
    images: int
    per_class: dict[str, int]
    median_height: int
    median_width: int


def probe(source: str | Path, progress: Progress = SILENT) -> DataProbe:
    """Count the images of a source and look at the headers of up to 200 of them.

    Raises:
        DataError: there are not two classes, or none of the images looked at can be read.
        UnknownNameError: neither a path nor a known name.
    """
    listing = list_source(source, progress)
    check_classes(listing)
    if listing.pixels is not None:
        sizes = [listing.pixels.shape[1:3]]
    else:
        spread = np.linspace(0, len(listing.items) - 1, min(_LOOKED_AT, len(listing.items))).astype(int)
        sampled = [listing.items[number] for number in spread]
        sizes = [size for size in in_threads(_size, sampled, batch=8) if size is not None]
    if not sizes:
        raise DataError(f"{listing.source}: not one of the {len(sampled)} images looked at can be read")
    counts = Counter(item.label for item in listing.items)
    return DataProbe(
        listing.name,
        listing.class_names,
        len(listing.items),
        {name: counts[name] for name in listing.class_names},
        median_low(height for height, _ in sizes),
        median_low(width for _, width in sizes),
    )


def _size(item: Item) -> tuple[int, int] | None:
    try:
        return image_size(item.path)
    except ImageError:
        return None
