"""What class names may be, wherever they come from: a model file, a run folder, a file beside a model."""

from __future__ import annotations

from edgeclf.errors import InputError

MOST_CLASSES = 250_000
"""The largest public sets of labelled images have 200,000 classes (landmarks) and 21,841 (ImageNet)."""
LONGEST_LABEL = 1000
"""Characters; the longest name of ImageNet has 121."""
LARGEST_LIST = 1 << 24
"""Bytes of a file with class names, also unpacked; the 21,841 of ImageNet take 0.8 MB."""


def check_labels(names: object) -> tuple[str, ...]:
    """Check class names that were read from a file; returns them.

    Raises:
        InputError: they are no list of texts, too many, too long, or cannot be written as UTF-8.
    """
    if not isinstance(names, (list, tuple)):
        raise InputError(f"class names must be a list, got {type(names).__name__}")
    if len(names) > MOST_CLASSES:
        raise InputError(f"expected at most {MOST_CLASSES:,} class names, got {len(names):,}")
    for position, name in enumerate(names):
        if not isinstance(name, str):
            raise InputError(f"class name {position} must be a text, got {type(name).__name__}")
        if len(name) > LONGEST_LABEL:
            raise InputError(f"class name {position} has {len(name):,} characters, expected at most {LONGEST_LABEL:,}")
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        raise InputError("the class names cannot be written as UTF-8") from None
    return tuple(names)
