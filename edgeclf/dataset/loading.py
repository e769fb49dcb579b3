"""Loads a source as a data set that can be trained on."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from edgeclf.artifact.none_class import describe_none_classes
from edgeclf.dataset.folders import list_folder
from edgeclf.dataset.manifest import list_manifest
from edgeclf.dataset.named import NAMED, list_named
from edgeclf.dataset.reading import SourceImages, read_images
from edgeclf.dataset.sources import Listing, describe_alike_names, display
from edgeclf.dataset.splitting import OWN_FRACTIONS, SPLIT_SEED, split_by_content, split_problems, validation_fractions
from edgeclf.dataset.types import ALL, SPLITS, Dataset, ImageView, Split, Unreadable
from edgeclf.errors import DataError, UnknownNameError
from edgeclf.image.point_files import POINT_SUFFIXES
from edgeclf.image.shape import STRETCH, ImageSize, InputShape, check_image_size
from edgeclf.paths import expand_home
from edgeclf.progress import SILENT, Progress


def load_dataset(
    source: str | Path | Listing,
    *,
    image_size: ImageSize,
    fit: str = STRETCH,
    split_seed: int = SPLIT_SEED,
    whole: bool = False,
    progress: Progress = SILENT,
) -> Dataset:
    """Load a data set at one image size; only images that the cache does not have yet are read and decoded.

    Args:
        source: a folder of class folders, a folder of split folders, a CSV manifest, or a name of `NAMED`. A name wins
            over a folder of the same name; write `./digits` for the folder. A listing of `list_source` is not walked
            again.
        image_size: side in pixels, or (height, width).
        fit: how pictures of another shape come to that size (see `edgeclf.image.shape`).
        split_seed: seed of edgeclf's own split; sources that bring their splits do not use it.
        whole: load all images as one split, `ALL`, whatever splits the source has; a class may then have no image.
        progress: notified of downloads, reading and files left out.

    Raises:
        DataError: there are not two classes, or a class has no usable image in a split.
        UnknownNameError: neither a path nor a known name, or no known fit.
        RunFailedError: the disk is full.
    """
    shape = InputShape(*check_image_size(image_size), fit)
    listing = list_source(source, progress)
    check_classes(listing)
    if passed_over := listing.describe_passed_over():
        progress.warn(passed_over)
    if listing.unsorted:
        progress.warn(listing.unsorted)
    for note in listing.notes:
        progress.info(note)
    check_kind(listing, shape)
    images = read_images(listing, shape, progress)
    unreadable, readable = partition_readable(listing, images)
    if unreadable:
        example = f"{unreadable[0].path}: {unreadable[0].reason}"
        progress.warn(
            f"{len(unreadable)} of {len(listing.items)} images cannot be read and are left out, e.g. {example}"
        )
    labels = [listing.items[number].label for number in readable]
    contents = [images.hashes[number] or "" for number in readable]
    one_split: tuple[list[str], tuple[str, ...]] = [ALL] * len(readable), (ALL,)
    splits, names = one_split if whole else assign_to_splits(listing, readable, contents, split_seed)
    problems = [] if whole else find_split_problems(listing, names, labels, splits, contents)
    if problems:
        more = f" (and {len(problems) - 1} more like it)" if len(problems) > 1 else ""
        raise DataError(f"{listing.source}: {problems[0]}{more}")
    conflicts = _describe_conflicts(listing, readable, contents)
    if conflicts:
        progress.warn(conflicts)
    data = Dataset(
        listing.name,
        listing.source,
        listing.class_names,
        MappingProxyType(_build_splits(listing, images, readable, splits, names)),
        shape.height,
        shape.width,
        fingerprint(contents, labels, splits),
        split_seed,
        unreadable,
        images.report,
        (*listing.notes, *filter(None, [conflicts])),
        fit,
        listing.root,
    )
    for name in names:
        if shared := data.describe_in_training(name):
            progress.warn(shared)
    return data


def _describe_conflicts(listing: Listing, readable: Sequence[int], contents: Sequence[str]) -> str:
    """Describe in a sentence which images have several labels; empty: none has."""
    labels: dict[str, set[str]] = {}
    for number, content in zip(readable, contents, strict=True):
        labels.setdefault(content, set()).add(listing.items[number].label)
    found = [(number, labels[content]) for number, content in zip(readable, contents, strict=True)]
    found = [(number, several) for number, several in found if len(several) > 1]
    if not found:
        return ""
    first, several = found[0]
    return (
        f"{len(found)} files hold images that have several labels, e.g. {display(listing.items[first].path)} "
        f"({', '.join(sorted(several))}): all but one are wrong; edgeclf audit lists them"
    )


def _build_splits(
    listing: Listing, images: SourceImages, readable: Sequence[int], splits: Sequence[str], names: Sequence[str]
) -> dict[str, Split]:
    index = {name: number for number, name in enumerate(listing.class_names)}
    members: dict[str, list[int]] = {name: [] for name in names}
    for number, split in zip(readable, splits, strict=True):
        members[split].append(number)
    made = {}
    for name, here in members.items():
        hashes = tuple(images.hashes[number] or "" for number in here)
        made[name] = Split(
            ImageView(images.pixels, np.array([images.rows[content] for content in hashes], np.int64)),
            np.array([index[listing.items[number].label] for number in here], np.int64),
            tuple(display(listing.items[number].path) for number in here),
            hashes,
        )
    return made


def list_source(source: str | Path | Listing, progress: Progress = SILENT) -> Listing:
    """List the images of a source of any kind; a listing is returned as it is.

    Walk a source once, and hand the listing to `probe`, `load_dataset` and `audit`. A class that stands for none of
    these (see `artifact.none_class`) is noted, and classes whose names differ in capitals alone.

    Raises:
        DataError: the path does not exist, or is neither a folder nor a CSV file.
        UnknownNameError: a single word that is neither a path nor a known name.
    """
    if isinstance(source, Listing):
        return source
    listing = _list_new(source, progress)
    names = listing.class_names
    notes = tuple(filter(None, [describe_none_classes(names), describe_alike_names(names)]))
    return dataclasses.replace(listing, notes=listing.notes + notes) if notes else listing


def _list_new(source: str | Path, progress: Progress) -> Listing:
    text, path = str(source), expand_home(source)
    if text in NAMED and (isinstance(source, str) or not path.exists()):
        listing = list_named(text, progress)
        if not path.is_dir():
            return listing
        note = f"{text} is the set of this name, and not the folder beside it, which is {os.path.join(os.curdir, text)}"
        return dataclasses.replace(listing, notes=(*listing.notes, note))
    if path.is_dir():
        return list_folder(path)
    if path.is_file():
        if path.suffix.lower() in (".csv", ".tsv"):
            return list_manifest(path)
        raise DataError(f"{display(text)}: expected a folder, a .csv manifest or one of {', '.join(sorted(NAMED))}")
    if path.exists() or os.sep in text or "/" in text or "." in text or isinstance(source, Path):
        raise DataError(
            f"{display(text)}: does not exist" if not path.exists() else f"{display(text)}: is not a folder"
        )
    raise UnknownNameError("folder or data set", text, NAMED)


def check_classes(listing: Listing) -> None:
    """Raise DataError where no file needs to be opened to see that nothing can be trained."""
    if not listing.items:
        raise DataError(
            f"{listing.source}: no images found{listing.describe_empty()}; expected a folder for each class with "
            f"images inside, such as {listing.source.rstrip('/')}/cat/1.jpg"
        )
    if len(listing.class_names) < 2 and listing.labelled:
        raise DataError(
            f"{listing.source}: only one class ({listing.class_names[0]!r}); expected a folder with images for each of "
            "at least two classes, of which one may be called none: what is in none of the others"
        )


def check_kind(listing: Listing, shape: InputShape) -> None:
    """Raise DataError where a source holds photos and the network sees objects in space, or the other way round."""
    if listing.holds_objects and not shape.views:
        raise DataError(
            f"{listing.source}: holds point clouds or meshes, and the network takes photos; train one on such with "
            "--views 6"
        )
    if shape.views and not listing.holds_objects:
        raise DataError(
            f"{listing.source}: holds photos, and the network takes objects seen from {shape.views} directions; "
            f"expected files of {', '.join(sorted(POINT_SUFFIXES))} alone"
        )


def partition_readable(listing: Listing, images: SourceImages) -> tuple[tuple[Unreadable, ...], list[int]]:
    """Return the files that cannot be read, and the numbers of the items that can.

    Raises:
        DataError: no image is usable.
    """
    if not images.unopened and not images.undecoded:
        return (), list(range(len(images.hashes)))
    unreadable, readable = [], []
    for number, (item, content) in enumerate(zip(listing.items, images.hashes, strict=True)):
        if content is None:
            reason: str | None = images.unopened.get(item.path, "cannot be read")
        else:
            reason = images.undecoded.get(content)
        if reason is None:
            readable.append(number)
        else:
            unreadable.append(Unreadable(display(item.path), reason))
    if not readable:
        example = f"{unreadable[0].path}: {unreadable[0].reason}"
        raise DataError(f"{listing.source}: not one of its {len(unreadable)} images can be read, e.g. {example}")
    return tuple(unreadable), readable


def assign_to_splits(
    listing: Listing, readable: Sequence[int], contents: Sequence[str], split_seed: int = SPLIT_SEED
) -> tuple[list[str], tuple[str, ...]]:
    """Return the split of each readable item, and the splits that the data set has.

    A source without splits is split by edgeclf; a source without validation has a fraction of `train` split off
    (`splitting.validation_fractions`); a source with splits but without test has none.
    """
    items = [listing.items[number] for number in readable]
    if not listing.splits:
        return split_by_content([item.label for item in items], contents, OWN_FRACTIONS, split_seed), SPLITS
    splits = [item.split or "train" for item in items]
    if "validation" not in listing.splits:
        train = [number for number, split in enumerate(splits) if split == "train"]
        labels = [items[number].label for number in train]
        fractions = validation_fractions(len(train))
        made = split_by_content(labels, [contents[number] for number in train], fractions, split_seed)
        for number, split in zip(train, made, strict=True):
            splits[number] = split
    return splits, tuple(s for s in SPLITS if s == "validation" or s in listing.splits)


def find_split_problems(
    listing: Listing, names: Sequence[str], labels: Sequence[str], splits: Sequence[str], contents: Sequence[str]
) -> list[str]:
    """Return what keeps training from starting, one line each, with the number of images where that is the cause."""
    empty = [name for name in names if name in listing.splits and name not in splits]
    problems = [f"its split {name} has no usable image; add some, or remove the split" for name in empty]
    filled = [name for name in names if name not in empty]
    problems += split_problems(listing.class_names, filled, zip(labels, splits, strict=True))
    made = 3 if not listing.splits else 2 if "validation" not in listing.splits else 0
    if not made:
        return problems
    pools: dict[str, set[str]] = {name: set() for name in listing.class_names}
    for content, label, split in zip(contents, labels, splits, strict=True):
        if made == 3 or split != "test":
            pools[label].add(content)
    explained = []
    for problem in problems:
        pool = next((pools[name] for name in pools if problem.startswith(f"class {name!r} ")), set())
        if 0 < len(pool) < made:
            problem += f": it has {len(pool)} different image{'s' if len(pool) > 1 else ''}, at least {made} are needed"
        explained.append(problem)
    return explained


def fingerprint(contents: Iterable[str], labels: Iterable[str], splits: Iterable[str]) -> str:
    """Return 32 hexadecimal digits over the sorted (content hash, class name, split) of all images."""
    digest = hashlib.blake2b(digest_size=16)
    for entry in sorted(zip(contents, labels, splits, strict=True)):
        digest.update("\0".join(entry).encode() + b"\n")
    return digest.hexdigest()
