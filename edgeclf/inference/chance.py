"""Tests whether right predictions could be those of guessing."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

LEVEL = 0.05
_RECALL_Z = 2.33
"""One-sided, 1 %: of what is looked at where the first test finds nothing."""


def could_be_chance(correct: npt.NDArray[np.bool_], labels: npt.NDArray[np.int64], classes: int) -> bool:
    """Return whether predictions could be those of somebody who does not look at the images.

    Guessing, or always naming the most frequent class, would be right as often in 1 of 20 cases; and, for classes of
    very different sizes, the fractions of each class that are right add up to no more than those of somebody who names
    classes at random, however often each of them: 1 in the mean.

    Args:
        correct: bool[N], which predictions are right.
        labels: int64[N], the true ones; -1 where the model has no output for it.
        classes: that the model distinguishes.
    """
    count, chance = len(labels), chance_level(labels, classes)
    if count == 0 or chance >= 1:
        return True
    return _upper_tail(int(correct.sum()), count, chance) > LEVEL and not _finds_classes(correct, labels)


def _finds_classes(correct: npt.NDArray[np.bool_], labels: npt.NDArray[np.int64]) -> bool:
    """Return whether the recalls of classes of different sizes add up to surely more than 1 (normal approximation)."""
    known = labels >= 0
    sizes = np.bincount(labels[known])
    hits = np.bincount(labels[known], weights=correct[known], minlength=len(sizes))[sizes > 0]
    recalls, sizes = hits / sizes[sizes > 0], sizes[sizes > 0]
    # of equal sizes the recalls say no more than all predictions together
    total, even = float(recalls.sum()), sizes.max() == sizes.min()
    # half a prediction of the smallest class, since few of them are right or wrong in steps
    surplus = total - 1 - 0.5 / float(sizes.min())
    if even or surplus <= 0:
        return False
    # how often each class would be named at random, where the recalls are in this proportion
    named = recalls / total
    return surplus > _RECALL_Z * math.sqrt(float((named * (1 - named) / sizes).sum()))


def chance_level(labels: npt.NDArray[np.int64], classes: int) -> float:
    """Return the fraction that guessing gets right, or always naming the most frequent class if that is more."""
    known = labels[labels >= 0]
    return max(1 / classes, float(np.bincount(known).max()) / len(labels)) if len(known) else 1 / classes


def _upper_tail(least: int, count: int, chance: float) -> float:
    """Return the probability of `least` or more of `count` independent events, each of probability `chance`."""
    # by logarithms: the binomial coefficients of a few thousand images exceed every float
    whole, hit, miss = math.lgamma(count + 1), math.log(chance), math.log1p(-chance)
    return sum(
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(count - k + 1) + k * hit + (count - k) * miss)
        for k in range(max(least, 0), count + 1)
    )
