"""A folder that `edgeclf live --collect` fills: images without a class in `unsorted/`, and class folders beside it.

DIR/unsorted/collected.jsonl       one line for each image; the first line marks the folder as edgeclf's
DIR/unsorted/20260105-073012-250.jpg
DIR/cat/20260105-073009-100.jpg    sorted; a class like any other
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from edgeclf.errors import InputError
from edgeclf.image.folder_names import is_data_folder

UNSORTED = "unsorted"
INDEX = "collected.jsonl"
HEADER = '{"edgeclf": "collected images", "version": 1}'
_SLASH = "\u2044"
_MOST_BYTES = 200


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
    """Return the name of the folder for a class: the class name, with the fraction slash for each slash.

    Raises:
        InputError: no folder can have that name, or its images would not be found in it again.
    """
    name = unicodedata.normalize("NFC", label).strip().replace("/", _SLASH)
    if not name:
        raise InputError("the class name is empty")
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name):
        raise InputError(f"class name {label!r}: control characters cannot be part of it")
    if not is_data_folder(name):
        raise InputError(f"class name {label!r}: a folder of this name would be passed over; choose another name")
    if name.casefold() == UNSORTED:
        raise InputError(f"class name {label!r}: unsorted images lie in a folder of this name; choose another name")
    if len(name.encode()) > _MOST_BYTES:
        raise InputError(f"the class name must have at most {_MOST_BYTES} bytes, got {len(name.encode())}")
    return name
