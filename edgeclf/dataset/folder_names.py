"""Which names of folders may be those of data, and which splits they name.

Thumbnails, recycle bins and snapshots lie in folders that a system or a program made. There are many of them
(`@eaDir`, `.thumbnails`, `#recycle`, `$RECYCLE.BIN`, `~snapshot`, `__MACOSX`, `__pycache__`), and new ones appear; what
they have in common is a name that does not begin as a word does. So names are allowed by how they begin.
"""

from __future__ import annotations

import re
import unicodedata

SPLIT_FOLDERS = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "test": "test",
}
"""Names of folders that are splits, whatever is in them beside class folders."""

_SPLIT_WORDS = {
    **SPLIT_FOLDERS,
    "training": "train",
    "trn": "train",
    "dev": "validation",
    "testing": "test",
    "tst": "test",
    "eval": "test",
    "evaluation": "test",
}
_ABOUT_SPLITS = {"set", "data", "dataset", "images", "image", "imgs", "photos", "pictures"}
_UNLABELLED_WORDS = frozenset(
    "pred predict prediction predictions unlabeled unlabelled submission sample samples inference demo".split()  # noqa: SIM905
)
# Made by file systems, in words.
_SYSTEM_FOLDERS = {"lost+found", "system volume information"}
_DATED = re.compile(r"(19|20)\d\d([-_. ]?\d\d){0,2}")
_BEGINNING = {"L", "N", "M", "So", "Sm", "Sc", "Ps", "Pi", "Pd"}


def is_data_folder(name: str) -> bool:
    """Return whether the folder `name` may hold data.

    It does where its name begins with a letter, a digit, an emoji or a sign, an opening bracket or quote, or a dash,
    before which one underscore may stand; two names that file systems give are excepted.
    """
    text = name[1:] if name.startswith("_") and len(name) > 1 else name
    kind = unicodedata.category(text[0]) if text else "Cn"
    allowed = (kind in _BEGINNING or kind[0] in _BEGINNING or kind == "Cs") and text[0] not in "$~"
    return allowed and name.casefold() not in _SYSTEM_FOLDERS


def split_role(name: str, *, alone: bool = False) -> str | None:
    """Return the split that a name such as `seg_train`, `Testing` or `val-set` states; None: none, or several.

    Args:
        name: of a folder, or the split that a table states.
        alone: the name states nothing else, as `train_images` does, and `train station` does not.
    """
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    stems = [word.removesuffix("set") for word in words if word not in _ABOUT_SPLITS]
    found = {_SPLIT_WORDS[stem] for stem in stems if stem in _SPLIT_WORDS}
    if alone and not all(stem in _SPLIT_WORDS for stem in stems):
        return None
    return found.pop() if len(found) == 1 else None


def names_unlabelled(name: str) -> bool:
    """Return whether a folder's name says that the class of its images is not known, as `seg_pred` does."""
    return not _UNLABELLED_WORDS.isdisjoint(re.findall(r"[a-z]+", name.lower()))


def is_date(name: str) -> bool:
    """Return whether a name is a year, a month of a year or a day, as folders within a class often have."""
    return _DATED.fullmatch(name) is not None
