"""A folder that `edgeclf live --collect` fills: images without a class in `unsorted/`, and class folders beside it.

DIR/unsorted/collected.jsonl       one line for each image; the first line marks the folder as edgeclf's
DIR/unsorted/20260105-073012-250.jpg
DIR/cat/20260105-073009-100.jpg    sorted; a class like any other
DIR/t-shirt%2Ftop/...              the class `t-shirt/top`; see `class_folder_name`
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import unicodedata
from pathlib import Path
from urllib.parse import unquote

from edgeclf.errors import InputError
from edgeclf.image.folder_names import is_data_folder

UNSORTED = "unsorted"
INDEX = "collected.jsonl"
HEADER = '{"edgeclf": "collected images", "version": 1}'
LONG_NAMES = "class-names.jsonl"
"""Beside the index: whole names of classes whose folders have shortened ones."""

_UNSAFE = re.compile(r'["*/:<>?\\|]|%(?=[0-9A-Fa-f]{2})')
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}
_TAKEN = {UNSORTED, "__macosx"}
_SHORTENED = re.compile(r"~[0-9a-f]{16}$")
_MOST_BYTES = 200
_MOST_NAMES = 1 << 20


def is_unsorted(folder: str | Path) -> bool:
    """Return whether `folder` holds collected images without a class, and is not a class of this name."""
    index = os.path.join(folder, INDEX)
    if os.path.basename(folder) != UNSORTED or not os.path.isfile(index):
        return False
    try:
        with open(index, encoding="utf-8") as stream:
            return stream.readline(2 * len(HEADER)).rstrip("\n") == HEADER
    except (OSError, UnicodeDecodeError):
        return False


def count_unsorted(folder: str | Path) -> int:
    """Count the images in an `unsorted` folder."""
    try:
        return sum(1 for name in os.listdir(folder) if name.endswith(".jpg") and not name.startswith("."))
    except OSError:
        return 0


def describe_unsorted(count: int) -> str:
    """Describe unsorted images in the words of a warning."""
    images, are = ("image", "is") if count == 1 else ("images", "are")
    return f"{count} collected {images} {are} not sorted into a class yet, and left out"


def class_folder_name(label: str) -> str:
    """Return the name of the folder for a class, one that every file system takes, FAT and NTFS too.

    Signs that a folder cannot have stand as the bytes of UTF-8, each as `%` and two hexadecimal digits, as in URLs:
    `t-shirt/top` becomes `t-shirt%2Ftop`. So do a first sign with which folders of data do not begin, a last
    space or dot, names that are taken (`unsorted`, `CON`), and a `%` that would read as such a byte; everything else
    stays. Where that has more than 200 bytes, it is cut, and 16 digits of its SHA-256 follow. `class_name_of` reads all
    of it back.

    Raises:
        InputError: the class name is empty, is no text, or holds control characters.
    """
    name = unicodedata.normalize("NFC", label)
    if not name.strip():
        raise InputError("the class name is empty")
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name):
        raise InputError(f"class name {label!r}: control characters cannot be part of it")
    quoted = _UNSAFE.sub(lambda found: _quote(found[0]), name)
    if not is_data_folder(quoted) or quoted.casefold() in _TAKEN or quoted.partition(".")[0].casefold() in _DEVICES:
        quoted = _quote(quoted[0]) + quoted[1:]
    if quoted[-1] in " .":
        quoted = quoted[:-1] + _quote(quoted[-1])
    if len(quoted.encode()) <= _MOST_BYTES:
        return quoted
    head = quoted.encode()[: _MOST_BYTES - 17].decode(errors="ignore")
    return f"{re.sub('%[0-9A-F]?$', '', head)}~{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def class_name_of(folder: str | Path) -> str:
    """Return the class that a folder stands for: the name that `class_folder_name` wrote, else the folder's own."""
    name = os.path.basename(folder)
    if _SHORTENED.search(name):
        return next((label for label in _long_names(folder) if _stands_for(name, label)), name)
    if "%" not in name:
        return name
    try:
        label = unquote(name, errors="strict")
    except UnicodeDecodeError:
        return name
    return label if _stands_for(name, label) else name


def keep_long_name(folder: str | Path, label: str) -> None:
    """Write down the whole name of a class whose folder has a shortened one; where it is written down, do nothing."""
    label = unicodedata.normalize("NFC", label)
    if _SHORTENED.search(os.path.basename(folder)) and label not in _long_names(folder):
        with open(_names_file(folder), "a", encoding="utf-8") as stream:
            stream.write(json.dumps(label, ensure_ascii=False) + "\n")


def _long_names(folder: str | Path) -> list[str]:
    names: list[str] = []
    with contextlib.suppress(OSError), open(_names_file(folder), encoding="utf-8", errors="replace") as stream:
        for line in stream.read(_MOST_NAMES).splitlines():
            with contextlib.suppress(ValueError, RecursionError):
                names.append(str(json.loads(line)))
    return names


def _names_file(folder: str | Path) -> str:
    return os.path.join(os.path.dirname(folder), UNSORTED, LONG_NAMES)


def _stands_for(name: str, label: str) -> bool:
    try:
        return class_folder_name(label) == unicodedata.normalize("NFC", name)
    except InputError:
        return False


def _quote(signs: str) -> str:
    return "".join(f"%{byte:02X}" for byte in signs.encode())
