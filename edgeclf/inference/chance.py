"""Tests whether right predictions could be those of guessing."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

LEVEL = 0.05


def could_be_chance(right: int, labels: npt.NDArray[np.int64], classes: int) -> bool:
    """Return whether guessing, or always naming the most frequent class, is right as often in 1 of 20 cases.

    Args:
        right: number of right predictions.
        labels: int64[N], the true ones; -1 where the model has no output for it.
        classes: that the model distinguishes.
    """
    count, chance = len(labels), chance_level(labels, classes)
    return count == 0 or chance >= 1 or _upper_tail(right, count, chance) > LEVEL


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
