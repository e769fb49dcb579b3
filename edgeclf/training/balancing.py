"""What to do about classes of unequal size: weigh the loss, or draw some classes more or less often."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]


def class_weights(labels: Labels, classes: int) -> npt.NDArray[np.float32]:
    """Compute loss weights by inverse class frequency, float32[C], such that the mean over `labels` is 1.

    A class without images weighs 0.
    """
    counts = np.bincount(labels, minlength=classes)
    present = counts > 0
    weights = np.zeros(classes, np.float32)
    weights[present] = len(labels) / (present.sum() * counts[present])
    return weights


def epoch_length(labels: Labels, balance: str) -> int:
    """Return the number of images that `epoch_order` draws, M."""
    if balance not in ("over", "under"):
        return len(labels)
    _, sizes = np.unique(labels, return_counts=True)
    return len(sizes) * int(sizes.max() if balance == "over" else sizes.min())


def epoch_order(labels: Labels, balance: str, seed: Sequence[int]) -> npt.NDArray[np.int64]:
    """Draw the indices of the images of one epoch, shuffled, int64[M].

    Args:
        labels: int64[N].
        balance: `over` draws each class as often as the largest one (images of small classes repeat), `under` as often
            as the smallest one; anything else leaves the counts as they are.
        seed: of the draw.
    """
    random = np.random.default_rng(list(seed))
    if balance not in ("over", "under"):
        return random.permutation(len(labels))
    members = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    sizes = [len(m) for m in members]
    drawn = max(sizes) if balance == "over" else min(sizes)
    parts = []
    for member in members:
        whole, rest = divmod(drawn, len(member))
        parts += [np.tile(member, whole), random.choice(member, rest, replace=False)]
    return random.permutation(np.concatenate(parts))
