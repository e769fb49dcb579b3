"""Intervals and paired tests on correct and wrong predictions, in NumPy and the standard library alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
Interval = tuple[float, float]

Z_95 = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""

_EXACT_UP_TO = 4096
"""Discordant pairs up to which the binomial tail is summed in whole numbers."""


def wilson_interval(successes: int, trials: int, z: float = Z_95) -> Interval:
    """Compute the score interval of a proportion.

    Unlike the textbook's `p ± z·s` it stays inside 0..1 and holds near both ends.

    Args:
        successes: images predicted correctly.
        trials: images, at least 1.
        z: normal quantile; the default gives 95 %.

    Returns:
        Lower and upper bound, as fractions.

    Raises:
        ValueError: `trials` is below 1 or `successes` outside 0..trials.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"successes must lie in 0..trials with trials >= 1, got {successes} of {trials}")
    fraction = successes / trials
    scale = 1.0 / (1.0 + z * z / trials)
    centre = scale * (fraction + z * z / (2 * trials))
    half = scale * z * math.sqrt(fraction * (1 - fraction) / trials + z * z / (4.0 * trials * trials))
    # At both ends the bound is exact in theory, and rounding must not push it to the wrong side of the fraction.
    low = 0.0 if successes == 0 else min(max(0.0, centre - half), fraction)
    high = 1.0 if successes == trials else max(min(1.0, centre + half), fraction)
    return low, high


def mcnemar_p(lost: int, gained: int) -> float:
    """Compute the exact two-sided p of McNemar's test: could the changed predictions be the throws of a fair coin?

    Args:
        lost: images that the first classifier predicts correctly and the second wrongly.
        gained: images the other way round. Images on which both are right or both wrong carry no information.

    Returns:
        The probability, under a fair coin, of a split at least as uneven as this one; 1.0 where nothing changed.

    Raises:
        ValueError: a count is negative.

    Source: Q. McNemar, Psychometrika 12 (1947); the exact (binomial) form, not the chi-squared approximation.
    """
    if lost < 0 or gained < 0:
        raise ValueError(f"counts must not be negative, got {lost} and {gained}")
    pairs, fewer = lost + gained, min(lost, gained)
    if lost == gained:
        return 1.0
    if pairs <= _EXACT_UP_TO:
        # Python divides whole numbers of any length with one correct rounding.
        return min(1.0, 2 * _binomial_head(pairs, fewer) / (1 << pairs))
    terms = [math.lgamma(pairs + 1) - math.lgamma(k + 1) - math.lgamma(pairs - k + 1) for k in range(fewer + 1)]
    largest = max(terms)
    log_tail = largest + math.log(math.fsum(math.exp(t - largest) for t in terms))
    return min(1.0, math.exp(math.log(2) + log_tail - pairs * math.log(2)))


def paired_difference(baseline: BoolArray, model: BoolArray) -> float:
    """Subtract accuracies, `model` minus `baseline`: a fraction. Both bool[N], right or wrong on the same images."""
    lost, gained = discordant(baseline, model)
    return (gained - lost) / len(baseline)


def discordant(baseline: BoolArray, model: BoolArray) -> tuple[int, int]:
    """Count the images lost and those gained from `baseline` to `model`, both bool[N].

    Raises:
        ValueError: the two are not about the same images, or there are none.
    """
    baseline, model = np.asarray(baseline, bool), np.asarray(model, bool)
    if baseline.shape != model.shape or baseline.ndim != 1 or not len(baseline):
        raise ValueError(f"expected two bool[N] of the same images, got shapes {baseline.shape} and {model.shape}")
    return int(np.sum(baseline & ~model)), int(np.sum(~baseline & model))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjust p-values for having asked several questions at once, in the order given.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statistics 6 (1979).
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return tuple(adjusted)


def holm_levels(p_values: Sequence[float], alpha: float = 0.05) -> tuple[float, ...]:
    """Find the level at which Holm's procedure tests each p-value, in the order given.

    A p-value is below its level exactly where its `holm` adjustment is below `alpha`. Those that are not rejected are
    all held against the level at which the procedure stops.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    levels = [alpha] * len(p_values)
    level, stopped = alpha, False
    for rank, index in enumerate(order):
        if not stopped:
            level = alpha / (len(p_values) - rank)
            stopped = (len(p_values) - rank) * p_values[index] >= alpha
        levels[index] = level
    return tuple(levels)


def _binomial_head(trials: int, last: int) -> int:
    term = total = 1
    for k in range(1, last + 1):
        term = term * (trials - k + 1) // k
        total += term
    return total
