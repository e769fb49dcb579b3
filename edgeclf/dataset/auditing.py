"""Audits a data set before training: counts, files that cannot be used, duplicates, leaks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeclf.dataset.deep_audit import DeepAudit
from edgeclf.dataset.loading import (
    assign_to_splits,
    find_split_problems,
    fingerprint,
    list_source,
    partition_readable,
)
from edgeclf.dataset.near_duplicates import SIDE, group_pairs, near_pairs
from edgeclf.dataset.reading import SourceImages, read_images, stored_header
from edgeclf.dataset.sources import Item, Listing, display
from edgeclf.dataset.types import SPLITS, OddFile, Unreadable
from edgeclf.errors import DataError
from edgeclf.image.decoding import describe_irregularities
from edgeclf.image.shape import InputShape, views_fit
from edgeclf.progress import SILENT, Progress
from edgeclf.records import Record

# Below this many pixels different things look alike, handwritten digits above all.
_SMALLEST_COMPARED = 16


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
    """(height, width) in pixels of the smallest and the largest image, and the median of each side; 0 for objects."""

    smallest: tuple[int, int]
    median: tuple[int, int]
    largest: tuple[int, int]


@dataclass(frozen=True)
class AuditReport(Record):
    """The findings of an audit.

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
        problems: what would keep training from starting; empty where it can start.
        fingerprint: the data set's identity, as recorded with a model; None while there are problems.
        notes: what was recognized beyond what the source states, such as folders taken for splits.
        deep: what frozen features and a head say of the photos; None: that was not asked for.
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
    notes: tuple[str, ...] = ()
    deep: DeepAudit | None = None


def audit(source: str | Path | Listing, progress: Progress = SILENT) -> AuditReport:
    """Audit a data set. All findings are in the report; only a set without a single usable image is an error.

    Args:
        source: a folder, a CSV manifest, a name of `NAMED`, or a listing of `list_source`.
        progress: where bars are shown.

    Raises:
        DataError: nothing is usable.
        UnknownNameError: neither a path nor a known name.
    """
    listing = list_source(source, progress)
    if not listing.items:
        empty = f"{listing.source}: no images found{listing.describe_empty()}"
        raise DataError(f"{empty}; expected a folder for each class with images inside")
    images = read_images(listing, _thumbnails(listing), progress, facts=True)
    unreadable, readable = partition_readable(listing, images)
    contents = [images.hashes[number] or "" for number in readable]
    items = [listing.items[number] for number in readable]
    labels = [item.label for item in items]
    splits, names = assign_to_splits(listing, readable, contents)
    problems = find_split_problems(listing, names, labels, splits, contents)
    if len(listing.class_names) < 2:
        problems.insert(0, f"only one class ({listing.class_names[0]!r}); training needs at least two")
    found = _Findings(items, splits, contents)
    compared, pairs = _compare(images, dict.fromkeys(contents), progress)
    counts = _count(listing, names, labels, splits)
    return AuditReport(
        listing.source,
        listing.class_names,
        counts,
        unreadable,
        found.duplicates(),
        found.exact_leaks() + found.near_leaks(compared, pairs),
        found.look_alikes([[compared[number] for number in group] for group in group_pairs(pairs, len(compared))]),
        found.label_conflicts(),
        _irregular(listing, images, items, contents),
        _imbalance(counts.get("train")),
        _sizes([(images.facts[content].height, images.facts[content].width) for content in contents]),
        tuple(problems),
        None if problems else fingerprint(contents, labels, splits),
        listing.notes,
    )


def _thumbnails(listing: Listing) -> InputShape:
    return InputShape(SIDE, SIDE, views_fit(1)) if listing.holds_objects else InputShape(SIDE, SIDE)


def _compare(
    images: SourceImages, contents: Iterable[str], progress: Progress
) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return contents that are large enough to be compared, and pairs of indices of near duplicates among them."""
    compared = [c for c in contents if min(images.facts[c].height, images.facts[c].width) >= _SMALLEST_COMPARED]
    if not compared:
        return [], np.empty((0, 2), np.int64)
    rows = np.array([images.rows[content] for content in compared], np.int64)
    with progress.task("Comparing images", None):
        return compared, near_pairs(np.asarray(images.pixels)[rows])


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

    def near_leaks(self, compared: Sequence[str], pairs: npt.NDArray[np.int64]) -> tuple[Leak, ...]:
        """List images that look like one of another split, each once for the splits that this one lies in.

        One partner is enough to name: among a thousand frames of one scene there are half a million pairs.

        Args:
            compared: contents.
            pairs: int64[P, 2], of them.
        """
        places = [self._in(self._members[content]) for content in compared]
        number_of = {place: number for number, place in enumerate(dict.fromkeys(places))}
        place = np.array([number_of[one] for one in places], np.int64)
        several = np.array([len(one) > 1 for one in number_of], np.bool_)
        last = np.array([max(map(SPLITS.index, one)) for one in number_of], np.int64)
        pairs = pairs[(place[pairs[:, 0]] != place[pairs[:, 1]]) | several[place[pairs[:, 0]]]]
        first, second = pairs.T
        first_is_later = last[place[first]] > last[place[second]]
        leaking, partner = np.where(first_is_later, first, second), np.where(first_is_later, second, first)
        _, rows = np.unique(leaking * len(number_of) + place[partner], return_index=True)
        found = []
        for a, b in pairs[np.sort(rows)].tolist():
            numbers = [self._members[compared[side]][0] for side in (a, b)]
            found.append(Leak(self._paths(numbers), tuple(sorted({*places[a], *places[b]})), "near"))
        return tuple(found)

    def look_alikes(self, alike: Sequence[Sequence[str]]) -> tuple[LookAlikes, ...]:
        found = []
        for group in alike:
            numbers = [number for content in group for number in self._members[content]]
            found.append(LookAlikes(self._paths(numbers), self._labels(numbers), self._in(numbers)))
        return tuple(found)

    def _paths(self, numbers: Sequence[int]) -> tuple[str, ...]:
        return tuple(display(self._items[number].path) for number in numbers)

    def _labels(self, numbers: Sequence[int]) -> tuple[str, ...]:
        return tuple(sorted({self._items[number].label for number in numbers}))

    def _in(self, numbers: Sequence[int]) -> tuple[str, ...]:
        return tuple(sorted({self._splits[number] for number in numbers}))


def _count(
    listing: Listing, names: Sequence[str], labels: Sequence[str], splits: Sequence[str]
) -> dict[str, SplitCount]:
    pairs = Counter(zip(splits, labels, strict=True))
    counts = {}
    for split in names:
        per_class = {name: pairs[split, name] for name in listing.class_names}
        counts[split] = SplitCount(sum(per_class.values()), per_class)
    return counts


def _irregular(
    listing: Listing, images: SourceImages, items: Sequence[Item], contents: Sequence[str]
) -> tuple[OddFile, ...]:
    """List files that were passed over, and files that are used although something is unusual about them."""
    found = list(listing.odd)
    for item, content in zip(items, contents, strict=True):
        header = stored_header(images.facts[content])
        if header is not None and (reason := describe_irregularities(header, item.path)):
            found.append(OddFile(display(item.path), reason))
    return tuple(found)


def _imbalance(train: SplitCount | None) -> float | None:
    if train is None or not min(train.per_class.values()):
        return None
    return max(train.per_class.values()) / min(train.per_class.values())


def _sizes(sizes: Sequence[Sequence[int]]) -> ImageSizes:
    ordered = sorted(((size[0], size[1]) for size in sizes), key=lambda size: size[0] * size[1])
    heights, widths = sorted(size[0] for size in ordered), sorted(size[1] for size in ordered)
    middle = (len(ordered) - 1) // 2
    return ImageSizes(ordered[0], (heights[middle], widths[middle]), ordered[-1])
