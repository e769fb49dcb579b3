"""Measures whether probabilities mean what they say."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeclf.measure.paired_interval import clopper_pearson_interval
from edgeclf.records import Record

BINS = 15
RESAMPLES = 500

Array = npt.NDArray[np.floating]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class CalibrationResult(Record):
    """Calibration error of a model on a split, as fractions; 95 % intervals by `calibration_interval`.

    Attributes:
        error: of the probabilities that `predict` shows.
        interval: of it.
        before: of the model's own output, where probabilities were fitted; else None.
        before_interval: of it.
        bins: of equal width.
    """

    error: float
    interval: tuple[float, float]
    before: float | None = None
    before_interval: tuple[float, float] | None = None
    bins: int = BINS


def measure_calibration(shown: Array, plain: Array, correct: BoolArray) -> CalibrationResult:
    """Measure the calibration error of a model's probabilities, and of its own output where that differs.

    Args:
        shown: float[N], probability of the predicted class as `predict` shows it.
        plain: float[N], the same of the model's own output.
        correct: bool[N].

    Raises:
        ValueError: there are no images.
    """
    error, interval = calibration_error(shown, correct), calibration_interval(shown, correct)
    if np.array_equal(shown, plain):
        return CalibrationResult(error, interval)
    return CalibrationResult(error, interval, calibration_error(plain, correct), calibration_interval(plain, correct))


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
    places, gaps = _bin(confidence, correct, bins, equal_mass)
    return float(np.abs(np.bincount(places, weights=gaps, minlength=bins)).sum() / len(gaps))


def calibration_interval(
    confidence: Array, correct: BoolArray, bins: int = BINS, *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Compute a 95 % interval of the calibration error that a model has on all images like these.

    The estimate is too high by chance, and more so on images that are drawn anew from the drawn ones. The upper end is
    the 97.5th percentile over such draws. The lower end is the estimate less that percentile of the distance between
    the gaps of all bins in a draw and those that were estimated, which no error of the estimate exceeds. Both are
    conservative: in simulations with 100 to 2,000 images the interval held the true error 95 % of the time or more.

    Args:
        confidence: as `calibration_error`.
        correct: as `calibration_error`.
        bins: of equal width.
        resamples: number of draws.
        seed: of the draws.

    Source: B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13, for the upper end; the
    triangle inequality for the lower one.
    """
    places, gaps = _bin(confidence, correct, bins, False)
    count, random = len(gaps), np.random.default_rng(seed)
    found = np.bincount(places, weights=gaps, minlength=bins)
    errors, distances = np.empty(resamples), np.empty(resamples)
    for number in range(resamples):
        rows = random.integers(0, count, count)
        drawn = np.bincount(places[rows], weights=gaps[rows], minlength=bins)
        errors[number], distances[number] = np.abs(drawn).sum() / count, np.abs(drawn - found).sum() / count
    estimate = float(np.abs(found).sum() / count)
    low, high = estimate - float(np.quantile(distances, 0.975)), float(np.quantile(errors, 0.975))
    return max(0.0, low), min(1.0, max(estimate, high))


def _bin(
    confidence: Array, correct: BoolArray, bins: int, equal_mass: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return by image the number of its bin, and how far its probability was off: right (1) or wrong (0) less that."""
    confidence, correct = np.asarray(confidence, np.float64), np.asarray(correct, bool)
    if not len(confidence) or confidence.shape != correct.shape:
        raise ValueError(f"expected as many probabilities as predictions, got {confidence.shape} and {correct.shape}")
    if equal_mass:
        ranks = np.empty(len(confidence), np.int64)
        ranks[np.argsort(confidence, kind="stable")] = np.arange(len(confidence))
        places = ranks * bins // len(confidence)
    else:
        places = np.clip((confidence * bins).astype(np.int64), 0, bins - 1)
    return places, correct - confidence


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
