"""Which split an image belongs to, decided by its content alone."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

# Fixed and apart from the training seed: whoever splits the same photos, whenever, gets the same test images.
SPLIT_SEED = 20240517

LARGE_SET = 40_000
"""From this many training images on, validation takes a smaller share."""

OWN_SHARES: tuple[tuple[str, float], ...] = (("test", 0.15), ("validation", 0.15), ("train", 0.70))


def validation_shares(images: int) -> tuple[tuple[str, float], ...]:
    """What is split off `images` of training for validation, where a source brings its own test split.

    A tenth; of a large set less, since more than about two thousand images tell little more about the training, and the
    network learns from them otherwise. A set that grows past the line gives validation images back to training; none
    comes near test.
    """
    share = 0.10 if images < LARGE_SET else 0.04
    return ("validation", share), ("train", 1 - share)


def position(content: str, seed: int = SPLIT_SEED) -> float:
    """Where a content hash falls in [0, 1); uniform over contents, fixed for each."""
    digest = hashlib.blake2b(f"{seed}:{content}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def assign_splits(
    labels: Sequence[str],
    contents: Sequence[str],
    shares: Sequence[tuple[str, float]] = OWN_SHARES,
    seed: int = SPLIT_SEED,
) -> list[str]:
    """The split of each image, from the hash of its content.

    Within a class the contents are ordered by their position, and the order is cut where the shares say. A cut that
    would leave a split empty is moved by as little as fills it: the lowest positions of the next split are lent. Hence:

    - equal contents share a split, also across classes;
    - adding images moves no image that stands where its position puts it; one on loan can only go back there;
    - each class has an image in each split, if it has as many different images as there are splits that no other class
      has too. With fewer, the later splits (`train` last) are served first.

    Args:
        labels: class of each image.
        contents: content hash of each image.
        shares: (split, share) in the order of the cuts; the shares add up to 1.
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
            split_of[content] = _natural(at[content], shares)
        for label in classes:
            members[label].add(content)
    for class_members in members.values():
        fixed = {split_of[c] for c in class_members if len(classes_of[c]) > 1}
        free = sorted((at[c], c) for c in class_members if len(classes_of[c]) == 1)
        needs = [0 if split in fixed else 1 for split, _ in shares]
        start = 0
        for (split, _), end in zip(shares, _cuts([p for p, _ in free], [s for _, s in shares], needs), strict=True):
            split_of.update((content, split) for _, content in free[start:end])
            start = end
    return [split_of[content] for content in contents]


def split_problems(class_names: Sequence[str], splits: Sequence[str], pairs: Iterable[tuple[str, str]]) -> list[str]:
    """What stands in the way of using these splits: one line for each class without an image in one of them.

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


def _natural(place: float, shares: Sequence[tuple[str, float]]) -> str:
    below = 0.0
    for split, share in shares[:-1]:
        below += share
        if place < below:
            return split
    return shares[-1][0]


def _cuts(places: Sequence[float], shares: Sequence[float], needs: Sequence[int]) -> list[int]:
    """End of each split in the sorted `places`, each split at least as long as its need where the number allows."""
    ends: list[int] = []
    below = 0.0
    for share, need in zip(shares[:-1], needs[:-1], strict=True):
        below += share
        natural = sum(place < below for place in places)
        ends.append(max(natural, (ends[-1] if ends else 0) + need))
    ends.append(len(places))
    for index in range(len(ends) - 2, -1, -1):
        ends[index] = max(0, min(ends[index], ends[index + 1] - needs[index + 1]))
    return ends
