"""Lists the images of a folder as a `Listing`, before any of them is opened."""

from __future__ import annotations

import os
import time
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgeclf.dataset.collected import class_name_of, count_unsorted, describe_unsorted, is_unsorted
from edgeclf.dataset.types import OddFile
from edgeclf.errors import DataError
from edgeclf.image.decoding import IMAGE_SUFFIXES

SPLIT_FOLDERS = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "test": "test",
}
_NOT_DATA = {"__MACOSX"}

FileStamp = tuple[int, int, int, int, int]
"""What identifies a state of a file: size in bytes, times of the last write and of the last change of its metadata
(nanoseconds), inode and device."""

_NO_FILE: FileStamp = (-1, -1, -1, -1, -1)
_POSITIVE = (1 << 63) - 1
# The coarsest times of a file system in use: FAT's.
_SETTLED_NS = 2_000_000_000


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
        prefetched: content of small files that `probe` read, by number of the item; the load that follows takes it.
        listed_at: nanoseconds; no file was read before.
        unsorted: warning about collected images without a class; empty where there are none.
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
    prefetched: dict[int, bytes] = field(default_factory=dict, compare=False, repr=False)
    listed_at: int = field(default_factory=lambda: time.time_ns(), compare=False)

    def is_settled(self, item: Item) -> bool:
        """Return whether a write to a file after it was listed changes its times, however coarse they are.

        False where the file could not be looked at when it was listed: that state is not its own.
        """
        return item.stamp != _NO_FILE and max(item.stamp[1:3]) < self.listed_at - _SETTLED_NS

    def describe_empty(self) -> str:
        """Describe in brackets what lies there instead of images in class folders; empty where nothing does."""
        found = self.unsorted or self.describe_passed_over()
        return f" ({found})" if found else ""

    def describe_passed_over(self) -> str | None:
        """Describe how many visible files were not taken for images, with an example and its reason; None: not one."""
        left = [o for o in self.odd if o.reason.endswith("; passed over") and not o.reason.startswith("hidden")]
        if not left:
            return None
        count = f"{len(left)} files" if len(left) > 1 else "1 file"
        return f"{count} passed over, e.g. {left[0].path} ({left[0].reason.removesuffix('; passed over')})"


def list_folder(folder: Path) -> Listing:
    """List a folder of class folders, or of split folders (`train`, `validation` or `val` or `valid`, `test`) of them.

    It is the second kind where a folder `train` holds no images of its own; so a class of photos may be called "train".
    It is so too where every folder has the name of a split and `train` has folders inside: images that lie beside those
    are strays. A class is a folder of the first level; images in folders below it belong to it too. Hidden files, files
    without an image's suffix and files outside any class folder are passed over and listed as odd. So is the folder in
    which `edgeclf live --collect` keeps images without a class.

    Raises:
        DataError: the folder cannot be listed, has `validation` or `test` without `train`, or two folders for a split.
    """
    files, folders = _entries(folder)
    odd: list[OddFile] = []
    unsorted = ""
    for entry in [entry for entry in folders if is_unsorted(entry.path)]:
        folders.remove(entry)
        if count := count_unsorted(entry.path):
            odd.append(OddFile(display(entry.path), describe_unsorted(count)))
            unsorted = f"{odd[-1].path}: {odd[-1].reason}"
    split_folders = {entry.name: SPLIT_FOLDERS[entry.name.lower()] for entry in folders if _names_split(entry)}
    if _are_splits(folders, split_folders):
        _refuse_doubles(folder, split_folders)
        class_folders: list[tuple[os.DirEntry[str], str | None]] = []
        for entry in folders:
            if entry.name not in split_folders:
                odd.append(OddFile(display(entry.path), "folder beside the splits; passed over"))
                continue
            inner_files, inner_folders = _entries(entry.path)
            odd.extend(_stray(inner_files))
            class_folders.extend((inner, split_folders[entry.name]) for inner in inner_folders)
        splits = tuple(s for s in ("train", "validation", "test") if s in split_folders.values())
    elif split_folders and len(split_folders) == len(folders) and all(map(_holds_classes, folders)):
        raise DataError(f"{display(str(folder))}: has {' and '.join(split_folders)}, but no train folder")
    else:
        class_folders, splits = [(entry, None) for entry in folders], ()
    odd.extend(_stray(files))
    below = len(os.path.join(folder, ""))  # where a path inside the folder starts
    items: list[Item] = []
    names: set[str] = set()
    for entry, split in class_folders:
        if _is_hidden(entry):
            odd.append(OddFile(display(entry.path), "hidden folder; passed over"))
            continue
        label = normalize_class_name(class_name_of(entry.path), entry.path)
        names.add(label)
        for file in _walk(entry, odd):
            items.append(Item(file.path, file.path[below:], label, split, read_stamp(file)))
    name = folder.resolve().name or "data"
    return Listing(
        display(name),
        display(str(folder)),
        str(folder.resolve()),
        tuple(sorted(names)),
        splits,
        items,
        tuple(odd),
        unsorted=unsorted,
    )


def normalize_class_name(text: str, where: str) -> str:
    """Return a class name in its composed Unicode form, since file systems disagree about the form of equal letters.

    Raises:
        DataError: it is empty, not UTF-8, or holds control characters, which a labels file could not carry.
    """
    name = unicodedata.normalize("NFC", text)
    if not name.strip():
        raise DataError(f"{display(where)}: the class name is empty")
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
    except OSError:
        return _NO_FILE
    inode, device = status.st_ino & _POSITIVE, status.st_dev & _POSITIVE
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, inode, device)


def reason_to_pass_over(name: str) -> str | None:
    """Return why a file of this name is not taken for an image, or None."""
    if name.startswith("."):
        return "hidden file; passed over"
    suffix = name[name.rindex(".") :].lower() if "." in name else ""
    if suffix in IMAGE_SUFFIXES:
        return None
    return f"not an image by its name ({suffix or 'no suffix'}); passed over"


def _entries(folder: Path | str) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
    """List files and folders directly inside `folder`, each sorted by name."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(
            f"{display(str(folder))}: cannot be listed ({(error.strerror or str(error)).lower()})"
        ) from error
    files: list[os.DirEntry[str]] = []
    folders: list[os.DirEntry[str]] = []
    for entry in found:
        (folders if entry.is_dir() else files).append(entry)
    return files, folders


def _names_split(entry: os.DirEntry[str]) -> bool:
    return entry.name.lower() in SPLIT_FOLDERS


def _are_splits(folders: Sequence[os.DirEntry[str]], split_folders: dict[str, str]) -> bool:
    if "train" not in split_folders.values():
        return False
    if all(_holds_classes(entry) for entry in folders if entry.name in split_folders):
        return True
    visible = [entry for entry in folders if not _is_hidden(entry)]
    train = [entry for entry in visible if split_folders.get(entry.name) == "train"]
    inside = [inner for entry in train for inner in _entries(entry.path)[1] if not _is_hidden(inner)]
    return bool(inside) and all(entry.name in split_folders for entry in visible)


def _is_hidden(entry: os.DirEntry[str]) -> bool:
    return entry.name.startswith(".") or entry.name in _NOT_DATA


def _holds_classes(entry: os.DirEntry[str]) -> bool:
    files, folders = _entries(entry.path)
    return bool(folders or not files) and all(reason_to_pass_over(file.name) for file in files)


def _refuse_doubles(folder: Path, split_folders: dict[str, str]) -> None:
    owner: dict[str, str] = {}
    for name, split in split_folders.items():
        if split in owner:
            raise DataError(f"{display(str(folder))}: {owner[split]}/ and {name}/ both stand for {split}; keep one")
        owner[split] = name


def _stray(files: Sequence[os.DirEntry[str]]) -> list[OddFile]:
    return [
        OddFile(display(f.path), reason_to_pass_over(f.name) or "outside any class folder; passed over") for f in files
    ]


def _walk(top: os.DirEntry[str], odd: list[OddFile]) -> Iterator[os.DirEntry[str]]:
    """Find image files in `top` and below, sorted; a link that leads back up is not followed twice."""
    seen: set[tuple[int, int]] = set()
    pending = [top]
    while pending:
        current = pending.pop()
        status = os.stat(current.path)
        if (status.st_dev, status.st_ino) in seen:
            odd.append(OddFile(display(current.path), "link to a folder that was read already; passed over"))
            continue
        seen.add((status.st_dev, status.st_ino))
        files, folders = _entries(current.path)
        for file in files:
            if reason := reason_to_pass_over(file.name):
                odd.append(OddFile(display(file.path), reason))
            else:
                yield file
        for inner in reversed(folders):
            if _is_hidden(inner):
                odd.append(OddFile(display(inner.path), "hidden folder; passed over"))
            else:
                pending.append(inner)
