"""Assigns images to splits by their content alone."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence

# Fixed and apart from the training seed: whoever splits the same photos, whenever, gets the same test images.
SPLIT_SEED = 20240517

LARGE_SET = 40_000
"""From this many training images on, validation takes a smaller fraction."""

OWN_FRACTIONS: tuple[tuple[str, float], ...] = (("test", 0.15), ("validation", 0.15), ("train", 0.70))


def validation_fractions(images: int) -> tuple[tuple[str, float], ...]:
    """Return the fractions that `images` training images are split by where a source has test but no validation.

    A tenth for validation; of a large set less, since more than about two thousand images hardly make the estimate
    better, and are worth more in training. A set that grows past the line gives validation images back to training;
    none ever moves to test.
    """
    fraction = 0.10 if images < LARGE_SET else 0.04
    return ("validation", fraction), ("train", 1 - fraction)


def position(content: str, seed: int = SPLIT_SEED) -> float:
    """Map a content hash to [0, 1): uniform over contents, fixed for each."""
    digest = hashlib.blake2b(f"{seed}:{content}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def split_by_content(
    labels: Sequence[str],
    contents: Sequence[str],
    fractions: Sequence[tuple[str, float]] = OWN_FRACTIONS,
    seed: int = SPLIT_SEED,
) -> list[str]:
    """Return the split of each image, from the hash of its content.

    Within a class the contents are ordered by their position, and the order is cut at the fractions. A cut that would
    leave a split empty is moved by as little as fills it: the lowest positions of the next split are lent. Hence:

    - equal contents are in one split, also across classes;
    - adding images moves no image that stands where its position puts it, and one on loan only back there, in classes
      that had as many different images as there are splits that no other class has. The exceptions: where an earlier
      split lent to a later one, a training image may be lent to validation instead; and where an image comes to be of
      several classes, cuts of each of them move. No rule that sees the contents alone can avoid all of this for every
      order in which images come;
    - each class has an image in each split, if it has as many different images as there are splits that no other class
      has too. With fewer, the later splits (`train` last) are served first.

    Args:
        labels: class of each image.
        contents: content hash of each image.
        fractions: (split, fraction) in the order of the cuts; they add up to 1.
        seed: recorded with every model.
    """
    classes_of: dict[str, set[str]] = defaultdict(set)
    for label, content in zip(labels, contents, strict=True):
        classes_of[content].add(label)
    at = {content: position(content, seed) for content in classes_of}
    members: dict[str, set[str]] = defaultdict(set)
    split_of: dict[str, str] = {}
    for content, classes in classes_of.items():
        if len(classes) > 1:
            # Two classes could lend it to different splits, so neither may: it stays where its position is.
            split_of[content] = _natural(at[content], fractions)
        for label in classes:
            members[label].add(content)
    for class_members in members.values():
        fixed = {split_of[c] for c in class_members if len(classes_of[c]) > 1}
        free = sorted((at[c], c) for c in class_members if len(classes_of[c]) == 1)
        needs = [0 if split in fixed else 1 for split, _ in fractions]
        ends = _cuts([place for place, _ in free], [fraction for _, fraction in fractions], needs)
        start = 0
        for (split, _), end in zip(fractions, ends, strict=True):
            split_of.update((content, split) for _, content in free[start:end])
            start = end
    return [split_of[content] for content in contents]


def split_problems(class_names: Sequence[str], splits: Sequence[str], pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Return what keeps these splits from being used: one line for each class without an image in one of them.

    Args:
        class_names: all classes.
        splits: all splits that should hold each class.
        pairs: (class, split) of each usable image.
    """
    present = set(pairs)
    problems = []
    for name in class_names:
        missing = [split for split in splits if (name, split) not in present]
        if len(missing) == len(splits):
            problems.append(f"class {name!r} has no usable image")
        elif missing:
            problems.append(f"class {name!r} has no usable image in {' and '.join(missing)}")
    return problems


def _natural(place: float, fractions: Sequence[tuple[str, float]]) -> str:
    below = 0.0
    for split, fraction in fractions[:-1]:
        below += fraction
        if place < below:
            return split
    return fractions[-1][0]


def _cuts(places: Sequence[float], fractions: Sequence[float], needs: Sequence[int]) -> list[int]:
    """Return the end of each split in the sorted `places`, each as long as its need where there are enough."""
    ends: list[int] = []
    below = 0.0
    for fraction, need in zip(fractions[:-1], needs[:-1], strict=True):
        below += fraction
        natural = bisect_left(places, below)
        ends.append(max(natural, (ends[-1] if ends else 0) + need))
    ends.append(len(places))
    for index in range(len(ends) - 2, -1, -1):
        ends[index] = max(0, min(ends[index], ends[index + 1] - needs[index + 1]))
    return ends
