"""The interval of a paired difference in accuracy, in agreement with the exact test that stands beside it."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.measure.statistics import Interval, mcnemar_p

WIDENING = 1.01
"""Factor of the half width, which keeps the coverage above 93 % at the ends of intervals too, where it is lowest."""

FloatArray = npt.NDArray[np.floating[Any]]


def difference_interval(lost: int, gained: int, total: int, alpha: float = 0.05) -> Interval:
    """Compute an interval of a paired difference in accuracy, second classifier minus first.

    It is Bonett and Price's, made 1 % wider. It holds its coverage where few images differ, as a bootstrap does not:
    between 93.2 % and 100 % for 95 %, for 100 to 10,000 images of which 0.1 to 20 % differ, at every true difference
    (`tools/benchmarks/paired_interval.py`); without the 1 % it falls to 92.9 % at the worst. It excludes zero exactly
    where `mcnemar_p(lost, gained)` is below `alpha`: where it would not, its bound next to zero is that of
    `exact_interval`, which inverts the test. At 95 % that only ever widens it.

    Args:
        lost: images that the first classifier predicts correctly and the second wrongly.
        gained: images the other way round.
        total: all images, changed or not, at least 1.
        alpha: level of the test; 0.05 gives 95 %.

    Returns:
        Lower and upper bound, as fractions. The difference lies between them.

    Raises:
        ValueError: a count is negative, or more images changed than there are.

    Source: D. Bonett, R. Price, "Adjusted Wald confidence interval for a difference of binomial proportions based on
    paired data", J. Educational and Behavioral Statistics 37 (2012).
    """
    if lost < 0 or gained < 0 or total < max(1, lost + gained):
        raise ValueError(f"expected counts of 0 or more within the total, got {lost} and {gained} of {total}")
    bounds = bonett_price_bounds(np.array(lost), np.array(gained), total, alpha, WIDENING)
    low, high = max(-1.0, float(bounds[0])), min(1.0, float(bounds[1]))
    significant = mcnemar_p(lost, gained) < alpha
    if significant == (low > 0 or high < 0):
        return low, high
    exact_low, exact_high = exact_interval(lost, gained, total, alpha)
    if significant:
        return (exact_low, high) if gained > lost else (low, exact_high)
    return min(low, exact_low), max(high, exact_high)


def bonett_price_bounds(
    lost: FloatArray | npt.NDArray[np.integer[Any]],
    gained: FloatArray | npt.NDArray[np.integer[Any]],
    total: int,
    alpha: float,
    widening: float = 1.0,
) -> tuple[FloatArray, FloatArray]:
    """Compute the adjusted Wald interval of many pairs of counts at once; its ends may lie beyond -1 and 1.

    One image is added to those lost and one to those gained. `widening` is a factor of the half width.

    Source: as `difference_interval`.
    """
    z, size = NormalDist().inv_cdf(1 - alpha / 2), total + 2
    centre = (gained - lost) / size
    half = widening * z * np.sqrt(((lost + gained + 2) / size - centre * centre) / size)
    return centre - half, centre + half


def exact_interval(lost: int, gained: int, total: int, alpha: float) -> Interval:
    """Compute an interval of a paired difference that inverts McNemar's exact test at the level `alpha`.

    The difference is the fraction of images that changed sides, times (2 q - 1), where q is the fraction of gained ones
    among those. The bounds are the smallest and largest product over Clopper and Pearson's exact intervals of both, at
    `alpha`. That of q inverts the exact test: the interval excludes zero exactly where `mcnemar_p(lost, gained)` is
    below `alpha`. It is conservative: wider than its coverage needs.

    Args:
        lost: as `difference_interval`.
        gained: as `difference_interval`.
        total: as `difference_interval`.
        alpha: level of the test, such as 0.05.

    Returns:
        Lower and upper bound, as fractions.

    Source: C. Clopper, E. Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26 (1934); R. Newcombe, "Improved confidence intervals for the difference between binomial proportions
    based on paired data", Statistics in Medicine 17 (1998), on conditional intervals.
    """
    changed = clopper_pearson_interval(lost + gained, total, alpha)
    directions = tuple(2 * q - 1 for q in clopper_pearson_interval(gained, lost + gained, alpha))
    products = [rate * direction for rate in changed for direction in directions]
    low, high = min(products), max(products)
    if mcnemar_p(lost, gained) >= alpha:
        # Rounding must not push a bound that is zero to the wrong side.
        low, high = min(low, 0.0), max(high, 0.0)
    return low, high


def clopper_pearson_interval(successes: int, trials: int, alpha: float) -> Interval:
    """Compute the exact interval of a proportion at the level `alpha`; 0 to 1 where there are no trials.

    Source: as `exact_interval`.
    """
    low = 0.0 if successes == 0 else _solve(successes, trials, alpha / 2)
    high = 1.0 if successes == trials else 1 - _solve(trials - successes, trials, alpha / 2)
    return low, high


def _solve(successes: int, trials: int, tail: float) -> float:
    """Find the probability of success at which `successes` or more among `trials` have the probability `tail`."""
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, trials + 1)))])
    counts = np.arange(successes, trials + 1)
    ways = factorials[trials] - factorials[counts] - factorials[trials - counts]
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        terms = ways + counts * math.log(middle) + (trials - counts) * math.log1p(-middle)
        if float(np.exp(terms).sum()) < tail:
            low = middle
        else:
            high = middle
    return (low + high) / 2
