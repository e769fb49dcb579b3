"""Names of folders that state splits, dates, or that the class of what is inside is not known."""

from __future__ import annotations

import re

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
_DATED = re.compile(r"(19|20)\d\d([-_. ]?\d\d){0,2}")


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
