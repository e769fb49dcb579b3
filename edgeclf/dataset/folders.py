"""Lists the images of a folder as a `Listing`, before any of them is opened."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from pathlib import Path

from edgeclf.dataset.collected import class_name_of, count_unsorted, describe_unsorted
from edgeclf.dataset.layout import check_strays, find_layout
from edgeclf.dataset.sources import Item, Listing, display, normalize_class_name, read_stamp
from edgeclf.dataset.types import OddFile
from edgeclf.dataset.walking import FolderTree, describe_strays
from edgeclf.errors import DataError
from edgeclf.image.decoding import IMAGE_SUFFIXES
from edgeclf.image.point_files import POINT_SUFFIXES


def list_folder(folder: Path) -> Listing:
    """List a folder of class folders, or of split folders (`train`, `validation` or `val` or `valid`, `test`) of them.

    It is the second kind where a folder `train` holds no images of its own; so a class of photos may be called "train".
    It is so too where every folder has the name of a split and `train` has folders inside: images that lie beside those
    are strays. Folders with other names that state a split (`Training`, `seg_test`) are splits where they largely hold
    the same classes; the listing notes it. A folder that is the only one and holds nothing but folders is looked
    through, which is noted too.

    A class is a folder of the first level; images in folders below it belong to it too. Hidden files, files without an
    image's suffix, files outside any class folder and folders of systems (`folder_names`) are passed over and listed as
    odd. So is the folder in which `edgeclf live --collect` keeps images without a class. Without any image, point
    clouds and meshes are listed in their place (`.ply`, `.off`, `.stl`, `.npy`).

    Raises:
        DataError: the folder cannot be listed, has `validation` or `test` without `train`, or two folders for a split;
            classes lie beside splits, or images beside classes, or folders look like splits but are not named so.
    """
    photos, refusal = None, None
    try:
        photos = _list_files(folder, IMAGE_SUFFIXES)
        if photos.items:
            return photos
    except DataError as error:
        refusal = error
    with contextlib.suppress(DataError):
        objects = _list_files(folder, POINT_SUFFIXES)
        if objects.items:
            return objects
    if photos is None:
        assert refusal is not None
        raise refusal
    return photos


def _list_files(folder: Path, suffixes: Collection[str]) -> Listing:
    """List the files of a folder whose names have one of these endings."""
    tree = FolderTree(suffixes)
    layout = find_layout(str(folder), tree)
    odd: list[OddFile] = []
    unsorted = ""
    for entry in layout.unsorted:
        if count := count_unsorted(entry.path):
            odd.append(OddFile(display(entry.path), describe_unsorted(count)))
            unsorted = f"{odd[-1].path}: {odd[-1].reason}"
    odd.extend([*layout.odd, *describe_strays(layout.strays)])
    below = len(os.path.join(folder, ""))  # where a path inside the folder starts
    items: list[Item] = []
    names: set[str] = set()
    for class_folder, split in layout.class_folders:
        label = normalize_class_name(class_name_of(class_folder.path), class_folder.path)
        names.add(label)
        for file in tree.walk(class_folder, odd):
            items.append(Item(file.path, file.path[below:], label, split, read_stamp(file)))
    check_strays(layout, len(items))
    return Listing(
        display(folder.resolve().name or "data"),
        display(str(folder)),
        str(folder.resolve()),
        tuple(sorted(names)),
        layout.splits,
        items,
        tuple(odd),
        unsorted=unsorted,
        notes=tuple(layout.notes),
    )
