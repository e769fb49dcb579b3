"""The class «none of these»: trained and counted like any other, and never shown as a label.

A class is one where its name is `none`, in small letters or capitals, wherever the name is from: a folder, a manifest,
a model file from anywhere, a list of labels. Where all classes of a network are called so, none of them is one.
"""

from __future__ import annotations

from collections.abc import Sequence

UNKNOWN = "unknown"
"""What is shown as the label where nothing was recognized: the best class is none of these, or not probable enough."""

_NAME = "none"


def find_none_classes(labels: Sequence[str]) -> tuple[str, ...]:
    """Return those of the class names that stand for none of these, each once; empty where no other class is left."""
    found = tuple(dict.fromkeys(label for label in labels if label.strip().casefold() == _NAME))
    return () if set(found) == set(labels) else found


def none_indices(labels: Sequence[str]) -> tuple[int, ...]:
    """Return the places of the classes that stand for none of these."""
    found = find_none_classes(labels)
    return tuple(place for place, label in enumerate(labels) if label in found)


def hide_none_classes(labels: Sequence[str]) -> tuple[str, ...]:
    """Return what is shown for each class: its name, or `unknown` where it stands for none of these."""
    hidden = set(find_none_classes(labels))
    return tuple(UNKNOWN if label in hidden else label for label in labels)


def describe_none_classes(labels: Sequence[str]) -> str:
    """Describe in one line how classes that stand for none of these are treated; empty where there is none."""
    found = find_none_classes(labels)
    if not found:
        return ""
    if len(found) == 1:
        stand, are, place = f"class {found[0]!r} stands", "it is", "in its place"
    else:
        stand, are, place = f"classes {' and '.join(map(repr, found))} stand", "they are", "in their place"
    return (
        f"{stand} for none of these: {are} trained and counted like any class, and predict and live show {UNKNOWN} "
        f"{place}"
    )
