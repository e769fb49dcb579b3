"""What a source of labelled images lists, before any of them is opened."""

from __future__ import annotations

import os
import time
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.label_bounds import LONGEST_LABEL
from edgeclf.dataset.types import OddFile
from edgeclf.errors import DataError
from edgeclf.image.decoding import IMAGE_SUFFIXES
from edgeclf.image.point_files import is_point_file

FileStamp = tuple[int, int, int, int, int]
"""What identifies a state of a file: size in bytes, times of the last write and of the last change of its metadata
(nanoseconds), inode and device."""

_NO_FILE: FileStamp = (-1, -1, -1, -1, -1)
_POSITIVE = (1 << 63) - 1
# The coarsest times of a file system in use: FAT's.
_SETTLED_NS = 2_000_000_000

_ABOUT_FOLDERS = ("system folder", "folder beside", "cannot be listed", "cannot be read", "link to a folder")
"""How reasons to pass over a folder begin."""


class Item(NamedTuple):
    """One labelled image: a file, or one of the arrays of a named set.

    Attributes:
        path: what opens it from the current folder; `name/index` in a named set.
        key: path relative to the source.
        label: class name.
        split: as the source has it, or None.
        stamp: the state of the file when it was listed; all -1 where there is no file.
    """

    path: str
    key: str
    label: str
    split: str | None
    stamp: FileStamp = _NO_FILE


@dataclass(frozen=True)
class Listing:
    """All labelled images of a source, in a fixed order.

    Attributes:
        name: short name of the data set.
        source: what the caller gave.
        root: absolute path of the source; the name of a named set.
        class_names: sorted; may hold classes without any image.
        splits: those that the source has itself; empty where edgeclf is to split.
        items: the images.
        odd: files that were passed over, each with its reason.
        pixels: `uint8[N, h, w]` or `uint8[N, h, w, 3]` of a named set, in the order of `items`; None for files.
        contents: content hashes of a named set, in the order of `items`.
        labelled: the classes are those of the images; False: there is one, which stands for none (see `unlabelled`).
        prefetched: content of small files that `probe` read, by number of the item; the load that follows takes it.
        listed_at: nanoseconds; no file was read before.
        unsorted: warning about collected images without a class; empty where there are none.
        notes: what was recognized or completed beyond what the source states, a line each.
    """

    name: str
    source: str
    root: str
    class_names: tuple[str, ...]
    splits: tuple[str, ...]
    items: Sequence[Item]
    odd: tuple[OddFile, ...] = ()
    pixels: npt.NDArray[np.uint8] | None = None
    contents: tuple[str, ...] = ()
    unsorted: str = ""
    notes: tuple[str, ...] = ()
    labelled: bool = True
    prefetched: dict[int, bytes] = field(default_factory=dict, compare=False, repr=False)
    listed_at: int = field(default_factory=lambda: time.time_ns(), compare=False)

    @property
    def holds_objects(self) -> bool:
        """Whether all files are point clouds or meshes, by their names, and not images."""
        return self.pixels is None and bool(self.items) and all(is_point_file(item.path) for item in self.items)

    def is_settled(self, item: Item) -> bool:
        """Return whether a write to a file after it was listed changes its times, however coarse they are.

        False where the file could not be looked at when it was listed: that state is not its own.
        """
        return item.stamp != _NO_FILE and max(item.stamp[1:3]) < self.listed_at - _SETTLED_NS

    def describe_unreadable(self, reasons: Mapping[str, str], sampled: int | None = None) -> str:
        """Describe in one line that no image can be read, with the first as an example, and what to do.

        Args:
            reasons: why a file cannot be read, by its path.
            sampled: how many were tried; None: all.
        """
        first = next((item for item in self.items if item.path in reasons), self.items[0])
        reason = reasons.get(first.path, "cannot be read")
        tried = f"its {len(self.items)} images" if sampled is None else f"the {sampled} sampled images"
        line = f"{self.source}: not one of {tried} can be read, e.g. {display(first.path)}: {reason}"
        if os.path.isdir(self.root) or not reason.startswith("no such file"):
            return line
        where = os.path.dirname(self.root)
        return f"{line}; the paths in it start at {display(where)}, and must name the files with their suffixes"

    def describe_empty(self) -> str:
        """Describe in brackets what lies there instead of images in class folders; empty where nothing does."""
        found = self.unsorted or self.describe_passed_over()
        return f" ({found})" if found else ""

    def describe_passed_over(self) -> str | None:
        """Describe how many visible files were not taken for images, with an example and its reason; None: not one."""
        left = [o for o in self.odd if o.reason.endswith("; passed over") and not o.reason.startswith("hidden")]
        if not left:
            return None
        folders = sum(o.reason.startswith(_ABOUT_FOLDERS) for o in left)
        counts = ((len(left) - folders, "file"), (folders, "folder"))
        count = " and ".join(f"{number} {kind}{'s' if number > 1 else ''}" for number, kind in counts if number)
        return f"{count} passed over, e.g. {left[0].path} ({left[0].reason.removesuffix('; passed over')})"


def describe_alike_names(class_names: Sequence[str]) -> str:
    """Describe in a sentence the class names that differ in capitals alone; empty: none do."""
    alike: dict[str, list[str]] = {}
    for name in class_names:
        alike.setdefault(name.lower(), []).append(name)
    found = [group for group in alike.values() if len(group) > 1]
    if not found:
        return ""
    more = f" (and {len(found) - 1} more like them)" if len(found) > 1 else ""
    names = " and ".join(map(repr, found[0]))
    return f"classes {names} differ in capitals alone{more}; where they mean one, name them alike"


def normalize_class_name(text: str, where: str) -> str:
    """Return a class name in its composed Unicode form, since file systems disagree about the form of equal letters.

    Raises:
        DataError: it is empty, not UTF-8, longer than a model file may hold, or holds control characters, which a
            labels file could not carry.
    """
    name = unicodedata.normalize("NFC", text)
    if not name.strip():
        raise DataError(f"{display(where)}: the class name is empty")
    if len(name) > LONGEST_LABEL:
        raise DataError(
            f"{display(where)}: the class name {name[:40]!r}... has {len(name):,} characters; expected at most "
            f"{LONGEST_LABEL:,}"
        )
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name):
        raise DataError(f"{display(where)}: the class name holds a control character or bytes that are not UTF-8")
    return name


def display(path: str) -> str:
    """Return a path as text that JSON and terminals can carry, also where its bytes are not UTF-8."""
    return path if path.isascii() else path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def read_stamp(file: os.DirEntry[str] | Path) -> FileStamp:
    """Return the state of a file; all -1 where there is none."""
    try:
        status = file.stat()
    except (OSError, ValueError):  # the second: a NUL byte, which no name can hold
        return _NO_FILE
    inode, device = status.st_ino & _POSITIVE, status.st_dev & _POSITIVE
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, inode, device)


def reason_to_pass_over(name: str, suffixes: Collection[str] = IMAGE_SUFFIXES) -> str | None:
    """Return why a file of this name is not taken for an image, or for what else has one of `suffixes`; None: it is."""
    if name.startswith("."):
        return "hidden file; passed over"
    suffix = name[name.rindex(".") :].lower() if "." in name else ""
    if suffix in suffixes:
        return None
    return f"not an image by its name ({suffix or 'no suffix'}); passed over"
