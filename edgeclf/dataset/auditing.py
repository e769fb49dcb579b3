"""A data set looked over before training: counts, files that cannot be used, duplicates, leaks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeclf.dataset.contents import content_hashes, in_threads
from edgeclf.dataset.decoded import decoded_images
from edgeclf.dataset.loading import explained_problems, fingerprint, list_source, place, sort_out
from edgeclf.dataset.near_duplicates import SIDE, groups, near_pairs
from edgeclf.dataset.sources import Item, Listing, shown
from edgeclf.dataset.types import OddFile, Unreadable
from edgeclf.errors import DataError, ImageError
from edgeclf.image.decoding import describe_irregularities
from edgeclf.image.header import read_header
from edgeclf.progress import SILENT, Progress
from edgeclf.records import Record

# Below this many pixels different things look alike, handwritten digits above all.
_SMALLEST_JUDGED = 16


@dataclass(frozen=True)
class SplitCount(Record):
    """Number of usable images in a split, and of each class in it."""

    images: int
    per_class: dict[str, int]


@dataclass(frozen=True)
class Leak(Record):
    """One image in several splits. `kind` is "exact" for equal files, "near" for equal looks."""

    paths: tuple[str, ...]
    splits: tuple[str, ...]
    kind: str


@dataclass(frozen=True)
class LookAlikes(Record):
    """Different files that show the same thing, or nearly so, with the classes and splits they lie in."""

    paths: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...]


@dataclass(frozen=True)
class LabelConflict(Record):
    """Equal files under different classes."""

    paths: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class ImageSizes(Record):
    """(height, width) in pixels of the smallest and the largest image, and the median of each side."""

    smallest: tuple[int, int]
    median: tuple[int, int]
    largest: tuple[int, int]


@dataclass(frozen=True)
class AuditReport(Record):
    """What an audit found.

    Attributes:
        source: what was audited.
        classes: class names, sorted.
        splits: usable images, as training would use them.
        unreadable: files that cannot be used.
        duplicates: groups of equal files in one class.
        leaks: images that lie in more than one split.
        near_duplicates: groups of different files that show the same thing.
        label_conflicts: equal files under different classes.
        odd: files that are used although they are unusual, and files that were passed over.
        imbalance: images of the largest class over those of the smallest, in training; None without a smallest.
        sizes: how large the images are.
        problems: what would keep training from starting; empty for a set that trains.
        fingerprint: the data set's identity, as recorded with a model; None while there are problems.
    """

    source: str
    classes: tuple[str, ...]
    splits: dict[str, SplitCount]
    unreadable: tuple[Unreadable, ...]
    duplicates: tuple[tuple[str, ...], ...]
    leaks: tuple[Leak, ...]
    near_duplicates: tuple[LookAlikes, ...]
    label_conflicts: tuple[LabelConflict, ...]
    odd: tuple[OddFile, ...]
    imbalance: float | None
    sizes: ImageSizes
    problems: tuple[str, ...]
    fingerprint: str | None


def audit(source: str | Path, progress: Progress = SILENT) -> AuditReport:
    """Look a data set over. Whatever is found is in the report; only a set without a single usable image is an error.

    Raises:
        DataError: nothing is usable.
        UnknownNameError: neither a path nor a known name.
    """
    listing = list_source(source, progress)
    if not listing.items:
        empty = f"{listing.source}: no images found{listing.why_empty()}"
        raise DataError(f"{empty}; expected a folder for each class with images inside")
    hashes, reasons = content_hashes(listing, progress)
    decoded = decoded_images(listing, hashes, SIDE, SIDE, progress)
    unreadable, usable = sort_out(listing, hashes, reasons, decoded.unreadable)
    contents = [hashes[number] or "" for number in usable]
    items = [listing.items[number] for number in usable]
    labels = [item.label for item in items]
    splits, names = place(listing, usable, contents)
    problems = explained_problems(listing, names, labels, splits, contents)
    if len(listing.class_names) < 2:
        problems.insert(0, f"only one class ({listing.class_names[0]!r}); training needs at least two")
    found = _Findings(items, splits, contents)
    judged = [c for c, row in decoded.rows.items() if min(decoded.sizes[c]) >= _SMALLEST_JUDGED]
    rows = np.array([decoded.rows[content] for content in judged], np.int64)
    with progress.task("Comparing images", None):
        pairs = near_pairs(np.asarray(decoded.images)[rows]) if len(rows) else np.empty((0, 2), np.int64)
    counts = _counts(listing, names, labels, splits)
    return AuditReport(
        listing.source,
        listing.class_names,
        counts,
        unreadable,
        found.duplicates(),
        found.exact_leaks() + found.near_leaks([(judged[a], judged[b]) for a, b in pairs.tolist()]),
        found.look_alikes([[judged[number] for number in group] for group in groups(pairs, len(judged))]),
        found.label_conflicts(),
        _odd(listing, items, progress),
        _imbalance(counts.get("train")),
        _sizes([decoded.sizes[content] for content in contents]),
        tuple(problems),
        None if problems else fingerprint(contents, labels, splits),
    )


class _Findings:
    """Groups of items with the same content, or alike."""

    def __init__(self, items: Sequence[Item], splits: Sequence[str], contents: Sequence[str]) -> None:
        self._items, self._splits = items, splits
        self._members: dict[str, list[int]] = defaultdict(list)
        for number, content in enumerate(contents):
            self._members[content].append(number)
        self._equal = [numbers for numbers in self._members.values() if len(numbers) > 1]

    def duplicates(self) -> tuple[tuple[str, ...], ...]:
        found = []
        for numbers in self._equal:
            by_label: dict[str, list[int]] = defaultdict(list)
            for number in numbers:
                by_label[self._items[number].label].append(number)
            found += [self._paths(same) for same in by_label.values() if len(same) > 1]
        return tuple(found)

    def label_conflicts(self) -> tuple[LabelConflict, ...]:
        described = [LabelConflict(self._paths(numbers), self._labels(numbers)) for numbers in self._equal]
        return tuple(conflict for conflict in described if len(conflict.labels) > 1)

    def exact_leaks(self) -> tuple[Leak, ...]:
        described = [Leak(self._paths(numbers), self._in(numbers), "exact") for numbers in self._equal]
        return tuple(leak for leak in described if len(leak.splits) > 1)

    def near_leaks(self, pairs: Sequence[tuple[str, str]]) -> tuple[Leak, ...]:
        """Pairs and not groups, so that each names an image of one split that gives another split's away."""
        found = []
        for a, b in pairs:
            here, there = set(self._in(self._members[a])), set(self._in(self._members[b]))
            if here != there or len(here) > 1:
                numbers = [self._members[a][0], self._members[b][0]]
                found.append(Leak(self._paths(numbers), tuple(sorted(here | there)), "near"))
        return tuple(found)

    def look_alikes(self, alike: Sequence[Sequence[str]]) -> tuple[LookAlikes, ...]:
        found = []
        for group in alike:
            numbers = [number for content in group for number in self._members[content]]
            found.append(LookAlikes(self._paths(numbers), self._labels(numbers), self._in(numbers)))
        return tuple(found)

    def _paths(self, numbers: Sequence[int]) -> tuple[str, ...]:
        return tuple(shown(self._items[number].path) for number in numbers)

    def _labels(self, numbers: Sequence[int]) -> tuple[str, ...]:
        return tuple(sorted({self._items[number].label for number in numbers}))

    def _in(self, numbers: Sequence[int]) -> tuple[str, ...]:
        return tuple(sorted({self._splits[number] for number in numbers}))


def _counts(
    listing: Listing, names: Sequence[str], labels: Sequence[str], splits: Sequence[str]
) -> dict[str, SplitCount]:
    pairs = Counter(zip(splits, labels, strict=True))
    counts = {}
    for split in names:
        per_class = {name: pairs[split, name] for name in listing.class_names}
        counts[split] = SplitCount(sum(per_class.values()), per_class)
    return counts


def _odd(listing: Listing, items: Sequence[Item], progress: Progress) -> tuple[OddFile, ...]:
    found = list(listing.odd)
    if listing.pixels is None:
        with progress.task("Looking for odd files", len(items)) as task:
            for item, reason in zip(items, in_threads(_oddity, items), strict=True):
                if reason:
                    found.append(OddFile(shown(item.path), reason))
                task.advance()
    return tuple(found)


def _oddity(item: Item) -> str | None:
    try:
        return describe_irregularities(read_header(Path(item.path).read_bytes()), item.path)
    except ImageError as error:  # changed since it was decoded
        return str(error)


def _imbalance(train: SplitCount | None) -> float | None:
    if train is None or not min(train.per_class.values()):
        return None
    return max(train.per_class.values()) / min(train.per_class.values())


def _sizes(sizes: Sequence[Sequence[int]]) -> ImageSizes:
    ordered = sorted(((size[0], size[1]) for size in sizes), key=lambda size: size[0] * size[1])
    heights, widths = sorted(size[0] for size in ordered), sorted(size[1] for size in ordered)
    middle = (len(ordered) - 1) // 2
    return ImageSizes(ordered[0], (heights[middle], widths[middle]), ordered[-1])
