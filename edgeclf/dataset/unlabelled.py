"""Images without labels: any folder, nested or not, whose folders are not classes; or a labelled source.

The split goes by content, with the seed that labelled photos are split by: what `train` keeps for validation and test
of the same photos, pretraining does not learn from either. In a class of a handful of photos, which lends its lowest
hashes to a split that would be empty, one photo may be on both sides.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Iterable
from pathlib import Path

from edgeclf.dataset.folder_names import split_role
from edgeclf.dataset.folders import list_folder
from edgeclf.dataset.loading import list_source
from edgeclf.dataset.named import NAMED
from edgeclf.dataset.sources import Item, Listing, display, read_stamp, reason_to_pass_over
from edgeclf.dataset.types import OddFile
from edgeclf.dataset.walking import Entries, FolderTree
from edgeclf.errors import DataError
from edgeclf.image.decoding import IMAGE_SUFFIXES
from edgeclf.image.point_files import POINT_SUFFIXES
from edgeclf.paths import expand_home
from edgeclf.progress import SILENT, Progress

UNLABELLED = "unlabelled"
"""The one class of such a listing."""


def list_unlabelled(source: str | Path | Listing, progress: Progress = SILENT) -> Listing:
    """List the images of a source of any kind without their classes, and without those of a test split of its own.

    A folder needs no class folders. Its split folders are recognized as `list_source` does, and, where they hold images
    directly, by their names.

    Args:
        source: as `list_source` takes it.
        progress: notified of downloads.

    Raises:
        DataError: the source cannot be listed, or holds no image.
        UnknownNameError: a single word that is neither a path nor a known name.
    """
    path = source if isinstance(source, Listing) else expand_home(source)
    if isinstance(source, Listing) and not source.labelled:
        return source
    is_name = isinstance(source, str) and source in NAMED
    if isinstance(path, Path) and path.is_dir() and not is_name:
        listing = _list_folder(path)
    else:
        listing = _forget_classes(list_source(source, progress))
    if not listing.items:
        raise DataError(f"{listing.source}: no images found{listing.describe_empty()}; expected a folder with photos")
    return listing


def _list_folder(folder: Path) -> Listing:
    try:
        found = list_folder(folder)
    except DataError:  # no layout of classes, of which none is needed
        found = None
    if found is not None and found.splits:
        return _forget_classes(found)
    photos = _list_everything(folder, IMAGE_SUFFIXES)
    if photos.items:
        return photos
    objects = _list_everything(folder, POINT_SUFFIXES)
    return objects if objects.items else photos


def _list_everything(folder: Path, suffixes: Collection[str]) -> Listing:
    """List all images in a folder and below; what lies in folders whose names state splits belongs to these."""
    tree = FolderTree(suffixes)
    here = tree.entries(str(folder))
    odd = list(here.odd)
    while _wraps(here):
        odd.extend(_describe_others(here))
        here = tree.entries(here.folders[0].path)
        odd.extend(here.odd)
    roles = {entry.name: role for entry in here.folders if (role := split_role(entry.name, alone=True)) is not None}
    if "train" not in roles.values() or len(set(roles.values())) < 2:
        roles = {}  # a class may have such a name, beside others
    items = _make_items(folder, here.images, "train" if roles else None)
    odd.extend(_describe_others(here))
    for entry in (*here.folders, *here.unsorted):
        role = roles.get(entry.name, "train" if roles else None)
        if role != "test":
            items.extend(_make_items(folder, tree.walk(entry, odd), role))
    splits = tuple(split for split in ("train", "validation") if split in roles.values())
    name, root = display(folder.resolve().name or "data"), str(folder.resolve())
    listing = Listing(name, display(str(folder)), root, (), splits, items, tuple(odd))
    return _make_listing(listing, "test" in roles.values())


def _wraps(here: Entries) -> bool:
    """Return whether a folder holds nothing but another, as archives unpack, which is no split."""
    alone = len(here.folders) == 1 and not here.images and not here.unsorted
    return alone and split_role(here.folders[0].name, alone=True) is None


def _describe_others(here: Entries) -> list[OddFile]:
    return [OddFile(display(file.path), reason) for file in here.files if (reason := reason_to_pass_over(file.name))]


def _make_items(folder: Path, files: Iterable[os.DirEntry[str]], role: str | None) -> list[Item]:
    below = len(os.path.join(folder, ""))
    return [Item(file.path, file.path[below:], UNLABELLED, role, read_stamp(file)) for file in files]


def _forget_classes(listing: Listing) -> Listing:
    """Return a labelled listing as an unlabelled one, without its test split."""
    kept = [number for number, item in enumerate(listing.items) if item.split != "test"]
    items = [listing.items[number]._replace(label=UNLABELLED) for number in kept]
    pixels = listing.pixels
    if pixels is not None:
        first = kept == list(range(len(kept)))  # a slice stays on the disk
        pixels = pixels[: len(kept)] if first else pixels[kept]
    contents = tuple(listing.contents[number] for number in kept) if listing.contents else ()
    return _make_listing(
        dataclasses.replace(listing, items=items, pixels=pixels, contents=contents, prefetched={}, unsorted=""),
        "test" in listing.splits,
    )


def _make_listing(listing: Listing, has_test: bool) -> Listing:
    splits = tuple(split for split in listing.splits if split != "test")
    note = "the test split of the source is left out" if has_test else None
    notes = (*listing.notes, note) if note else listing.notes
    return dataclasses.replace(listing, class_names=(UNLABELLED,), splits=splits, notes=notes, labelled=False)
