"""Types of a loaded data set: images as lazily read arrays, labels, and the file of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.dataset.contents import shorten
from edgeclf.dataset.row_files import map_rows
from edgeclf.image.shape import STRETCH, InputShape
from edgeclf.records import Record

SPLITS = ("train", "validation", "test")
ALL = "all"
"""The only split of a data set that is loaded whole, to judge models by."""
_USED_BEFORE = {"validation": ("train",), "test": ("train", "validation")}
"""What training uses before it measures on a split: what it learns from, and what chooses the epoch."""


@dataclass(frozen=True)
class Unreadable(Record):
    """A file that was expected to be an image and cannot be read."""

    path: str
    reason: str


@dataclass(frozen=True)
class OddFile(Record):
    """A file that is used although something is unusual about it, or that was passed over."""

    path: str
    reason: str


@dataclass(frozen=True)
class LoadReport(Record):
    """How much work a load was.

    Attributes:
        files: images that the source lists.
        files_read: those whose file was read; the others are known and unchanged.
        images_decoded: different contents that were decoded, or brought to the size for the first time.
    """

    files: int = 0
    files_read: int = 0
    images_decoded: int = 0


class ImageView:
    """Some rows of a memory-mapped `uint8[M, H, W, 3]`, read from the disk when they are indexed.

    Indexing with an integer gives `uint8[H, W, 3]`, with a slice or an index array `uint8[n, H, W, 3]`, always a copy
    in memory of its own. `np.asarray(view)` reads all rows at once: mind the size.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, stored: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64]) -> None:
        self._stored = stored
        self._rows = rows

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """`(N, H, W, 3)`."""
        return (len(self._rows), *self._stored.shape[1:4])

    @property
    def nbytes(self) -> int:
        """Bytes that all images would take in memory, uncompressed."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: Any) -> npt.NDArray[np.uint8]:
        rows = self._rows[key]
        found = np.asarray(self._stored)[rows]
        return found if isinstance(rows, np.ndarray) else np.array(found)  # an index array copies already

    def subset(self, rows: npt.NDArray[np.int64]) -> ImageView:
        """Return the images `rows`, int64[n], in that order; nothing is read yet."""
        return ImageView(self._stored, self._rows[rows])

    def each_view(self, height: int) -> ImageView:
        """Return the views that pictures hold one below the other, `height` pixels high each, in the same order."""
        stored, width, channels = self._stored.shape[1:4]
        views = stored // height
        rows = (self._rows[:, None] * views + np.arange(views)).reshape(-1)
        return ImageView(self._stored.reshape(-1, height, width, channels), rows)

    def __iter__(self) -> Iterator[npt.NDArray[np.uint8]]:
        return (self[index] for index in range(len(self)))

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)

    def __reduce__(self) -> tuple[Any, ...]:
        # A worker process opens the file itself instead of being sent gigabytes.
        if isinstance(self._stored, np.memmap) and self._stored.filename is not None and not self._stored.offset:
            return _reopen, (str(self._stored.filename), self._stored.shape, self._rows)
        return ImageView, (self._stored, self._rows)


def _reopen(path: str, shape: tuple[int, int, int, int], rows: npt.NDArray[np.int64]) -> ImageView:
    return ImageView(map_rows(Path(path), shape)[0], rows)


@dataclass(frozen=True)
class Split:
    """The images of one split, in a fixed order.

    Attributes:
        images: `uint8[N, H, W, 3]` raw RGB.
        labels: `int64[N]`, indices into the data set's class names.
        paths: the file of each image, or `name/index` in a named set.
        hashes: the content hash of each image's file.
        views: so many rows in succession are views of one object.
    """

    images: ImageView
    labels: npt.NDArray[np.int64]
    paths: tuple[str, ...]
    hashes: tuple[str, ...]
    views: int = 1

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def objects(self) -> int:
        """Number of files: of images, or of objects that are seen from several directions."""
        return len(self.labels) // self.views

    def each_view(self, height: int) -> Split:
        """Return the views of objects as images of their own, `height` pixels high; photos as they are."""
        views = self.images.shape[1] // height
        if views == 1:
            return self
        return Split(
            self.images.each_view(height),
            np.repeat(self.labels, views),
            tuple(path for path in self.paths for _ in range(views)),
            tuple(content for content in self.hashes for _ in range(views)),
            views,
        )

    def subset(self, rows: npt.NDArray[np.int64]) -> Split:
        """Return the images `rows`, int64[n], in that order; nothing is read yet."""
        chosen = rows.tolist()
        return Split(
            self.images.subset(rows),
            self.labels[rows],
            tuple(self.paths[row] for row in chosen),
            tuple(self.hashes[row] for row in chosen),
        )


@dataclass(frozen=True)
class Dataset:
    """A data set at one image size.

    Attributes:
        name: short name, such as the folder's.
        source: what the caller gave.
        class_names: sorted; a label is an index into it.
        splits: `train`, `validation` and, where there is one, `test`.
        fingerprint: hash over the sorted (content hash, class name, split) of all images: independent of the image size
            and of where the files lie.
        split_seed: the seed that edgeclf's own split was made with.
        unreadable: files left out, each with its reason.
        load: how much was read and decoded for this load.
        notes: what was recognized or completed beyond what the source states, a line each.
        fit: how pictures of another shape came to the image size.
        root: absolute path of the source, or the name of a named set; empty: it was made in memory.
        used: contents (see `shorten`) that networks were trained on, and that chose their epochs, by the split that
            they had there: of the networks that are measured on these data.
    """

    name: str
    source: str
    class_names: tuple[str, ...]
    splits: Mapping[str, Split]
    height: int
    width: int
    fingerprint: str
    split_seed: int
    unreadable: tuple[Unreadable, ...] = ()
    load: LoadReport = LoadReport()
    notes: tuple[str, ...] = ()
    fit: str = STRETCH
    root: str = ""
    used: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def shape(self) -> InputShape:
        """Size of the images, and how pictures came to it."""
        return InputShape(self.height, self.width, self.fit)

    def train_on_views(self) -> Dataset:
        """Return the data set with each view of an object as a training image of its own.

        The images of the other splits hold all views of an object, one below the other: predictors average over them,
        so that it is objects that are counted as right or wrong. Photos stay as they are.
        """
        if self.shape.views < 2:
            return self
        train = self.splits["train"].each_view(self.height)
        return replace(self, splits={**self.splits, "train": train})

    def per_class(self, split: str) -> dict[str, int]:
        """Count the images of each class in `split`."""
        counts = np.bincount(self.splits[split].labels, minlength=len(self.class_names)) // self.splits[split].views
        return {name: int(count) for name, count in zip(self.class_names, counts, strict=True)}

    def count_in_training(self, split: str) -> int:
        """Count the images of `split` that training uses, too: to learn from, or, for `test`, to choose the epoch."""
        names = _USED_BEFORE.get(split, ())
        contents = {shorten(content) for name in names if name in self.splits for content in self.splits[name].hashes}
        contents = contents.union(*(self.used.get(name, frozenset()) for name in names)) - {""}
        return sum(shorten(one) in contents for one in self.splits[split].hashes) if split in self.splits else 0

    def describe_in_training(self, split: str) -> str | None:
        """Describe the images of `split` that training uses, too, as a warning; None: there are none."""
        count, images = self.count_in_training(split), len(self.splits.get(split, ()))
        if not count:
            return None
        were, them = ("was", "it") if count == 1 else ("were", "them")
        seen = f"{count} of {images} {split} images {were} seen in training, too, so accuracy on {split} is optimistic"
        # what a network has seen elsewhere is no error of these data
        own = replace(self, used={}).count_in_training(split)
        return f"{seen}; edgeclf audit lists {them}" if own == count else seen

    def list_notes(self) -> tuple[str, ...]:
        """List what training and compression say about the data, a line each: its notes, then images seen twice."""
        shared = (self.describe_in_training(name) for name in self.splits)
        return (*self.notes, *filter(None, shared))

    def split_sizes(self) -> dict[str, dict[str, Any]]:
        """Return `{split: {"images": N, "per_class": {class: n}}}`, ready for JSON."""
        return {
            name: {"images": split.objects, "per_class": self.per_class(name)} for name, split in self.splits.items()
        }
