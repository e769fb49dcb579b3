"""Measures whether probabilities mean what they say, and how well one score separates two kinds of images."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from edgeclf.measure.paired_interval import clopper_pearson_interval

BINS = 15

Array = npt.NDArray[np.floating]
BoolArray = npt.NDArray[np.bool_]


def calibration_error(confidence: Array, correct: BoolArray, bins: int = BINS, *, equal_mass: bool = False) -> float:
    """Compute the expected calibration error, a fraction.

    Images are put into bins by the probability of their best class; it is the mean distance between that probability
    and the fraction of right predictions, weighted by the images of a bin. The estimate is too high by chance, the more
    the fewer images there are: about 2 points with 400 images and 15 bins.

    Args:
        confidence: float[N], probability of the best class.
        correct: bool[N].
        bins: number of bins.
        equal_mass: bins of as many images each, instead of equal width between 0 and 1.

    Raises:
        ValueError: there are no images.

    Source: Naeini et al., AAAI 2015; Guo et al., ICML 2017, arXiv:1706.04599; equal mass: Nixon et al., CVPR workshops
    2019, arXiv:1904.01685.
    """
    confidence, correct = np.asarray(confidence, np.float64), np.asarray(correct, bool)
    if not len(confidence) or confidence.shape != correct.shape:
        raise ValueError(f"expected as many probabilities as predictions, got {confidence.shape} and {correct.shape}")
    if equal_mass:
        ranks = np.empty(len(confidence), np.int64)
        ranks[np.argsort(confidence, kind="stable")] = np.arange(len(confidence))
        places = ranks * bins // len(confidence)
    else:
        places = np.clip((confidence * bins).astype(np.int64), 0, bins - 1)
    gaps = np.bincount(places, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def auroc(known: Array, unknown: Array) -> float:
    """Compute the area under the receiver operating characteristic: how often a score is higher for the unknown image.

    Ties count half; NaN is not allowed.

    Args:
        known: float[N], scores of known images.
        unknown: float[M], of unknown ones.

    Source: Mann and Whitney, 1947.
    """
    ordered = np.sort(np.asarray(known, np.float64))
    below = np.searchsorted(ordered, unknown, side="left") + np.searchsorted(ordered, unknown, side="right")
    return float(below.mean() / (2 * len(ordered)))


def upper_bound(events: int, trials: int, confidence: float = 0.95) -> float:
    """Compute the one-sided upper bound of a proportion; 1.0 without trials.

    Source: as `clopper_pearson_interval`.
    """
    return clopper_pearson_interval(events, trials, 2 * (1 - confidence))[1] if trials else 1.0


def most_events(trials: int, bound: float, confidence: float = 0.95) -> int | None:
    """Find the most events of `trials` whose upper bound is at most `bound`; None: not even none at all.

    Args:
        trials: number of independent trials.
        bound: of the proportion.
        confidence: one-sided.
    """
    if upper_bound(0, trials, confidence) > bound:
        return None
    low, high = 0, math.floor(bound * trials) + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if upper_bound(middle, trials, confidence) <= bound else (low, middle)
    return low
