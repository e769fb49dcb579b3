"""Chooses from which probability on, and up to which distance of features, the class of an image is named."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeclf.measure.calibration import most_events, upper_bound
from edgeclf.measure.paired_interval import clopper_pearson_interval

MOST_REFUSED = 0.05
"""Fraction of known images that may be called unknown, at most, with a confidence of 95 %, as if one score refused
them. Where probability and features both do, a little more is promised (`refused_bound`)."""
_MARGIN = 1e-6
_TRIALS = 20
"""Thresholds that are tried for a precision, besides the least strict one."""
_ONE_SIDED = 0.025
"""Probability of a promise that does not hold."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Thresholds:
    """When images are unknown, and what of known images that refuses.

    Attributes:
        threshold: least probability of the best class.
        limit: largest distance; None: distances are not used.
        shown: bool[N], images whose class is named: neither refused, nor taken for none of the classes.
        refused_bound: at most so many known images are refused, with a confidence of 95 %.
        notes: what cannot be promised, one line each.
        promised: the precision that was asked for is reached.
    """

    threshold: float
    limit: float | None
    shown: npt.NDArray[np.bool_]
    refused_bound: float
    notes: tuple[str, ...] = ()
    promised: bool = False


def choose_thresholds(
    confidence: Floats,
    distances: Floats | None,
    correct: npt.NDArray[np.bool_],
    precision: float | None = None,
    *,
    known: npt.NDArray[np.bool_] | None = None,
    named: npt.NDArray[np.bool_] | None = None,
) -> Thresholds:
    """Choose the strictest rule that refuses few enough known images, or one that is right often enough.

    Both parts of the rule refuse equally many images where they act alone, so that neither is given more weight than
    the other by a guess at what unknown images are like. Where both act, the bound counts one more image as refused
    than is: the rule is set by two of the images, and each of them takes one of the equally likely parts that n images
    divide all others into (Wilks, 1941, and Tukey, 1947, on tolerance regions).

    Args:
        confidence: float64[N], probability of the best class of images.
        distances: float64[N] of their features; None: there is no check of features.
        correct: bool[N], whether the best class is right.
        precision: fraction of shown images that must be right, at the lower end of a 95 % interval (Clopper-Pearson),
            however many are refused; None: as many are refused as `MOST_REFUSED` allows.
        known: bool[N], images that show one of the classes, and not what stands for none of them; None: all do.
        named: bool[N], images whose best class is not what stands for none of them, so that it would be named; None:
            all are.

    Raises:
        ValueError: there are no known images.
    """
    everything = np.ones(len(confidence), np.bool_)
    known, named = everything if known is None else known, everything if named is None else named
    count, notes = int(known.sum()), []
    if not count:
        raise ValueError("thresholds need at least one image")
    further = 0 if distances is None else 1
    allowed = most_events(count, MOST_REFUSED)
    bound = upper_bound(further, count)
    if allowed is None or bound > MOST_REFUSED:
        notes.append(
            f"{count} validation images cannot show that at most {MOST_REFUSED:.0%} of known photos are refused: even "
            f"with none refused it may be {bound:.1%}"
            + ("; the threshold refuses none of them" if allowed is None else "")
        )
        allowed = allowed or 0
    by_confidence = np.sort(confidence[known])
    by_distance = None if distances is None else np.sort(distances[known])[::-1]

    def rule(rank: int) -> tuple[float, float | None]:
        return float(by_confidence[rank]), None if by_distance is None else float(by_distance[rank])

    low, high = 0, allowed + 1
    while high - low > 1:
        middle = (low + high) // 2
        kept = _shown(confidence, distances, *rule(min(middle, count - 1))) & named
        low, high = (middle, high) if int((~kept[known]).sum()) <= allowed else (low, middle)
    threshold, limit = rule(min(low, count - 1))
    promised = False
    if precision is not None:
        near = _shown(confidence, distances, 0, limit) & named
        threshold, promised = _raise_threshold(threshold, confidence, near, correct, precision)
        if not promised:
            notes.append(
                f"none of the thresholds that were tried shows with a confidence of 95 % that {precision:.1%} of the "
                "images above it are right; the threshold is chosen by the share of refused photos alone"
            )
    threshold = _just_below(threshold, confidence)
    if limit is not None:
        limit *= 1 + _MARGIN
    shown = _shown(confidence, distances, threshold, limit) & named
    bound = upper_bound(min(count, int((~shown[known]).sum()) + further), count)
    return Thresholds(threshold, limit, shown, bound, tuple(notes), promised)


def _just_below(threshold: float, confidence: Floats) -> float:
    """Lower a threshold by what the same image may differ elsewhere, and not as far as to the next image."""
    below = confidence[confidence < threshold]
    nearest = float(below.max()) if len(below) else 0.0
    return max(0.0, threshold - _MARGIN, (threshold + nearest) / 2)


def _shown(
    confidence: Floats, distances: Floats | None, threshold: float, limit: float | None
) -> npt.NDArray[np.bool_]:
    kept = confidence >= threshold
    return kept if distances is None or limit is None else kept & (distances <= limit)


def _raise_threshold(
    threshold: float, confidence: Floats, near: npt.NDArray[np.bool_], correct: npt.NDArray[np.bool_], wanted: float
) -> tuple[float, bool]:
    """Find a low threshold from which on shown images are right often enough; False: none of those tried is.

    Half of the probability of a promise that does not hold is spent on `threshold` itself. The other half is for
    stricter ones, which are set by the number of images that they show and not by which of these are right: the
    strictest is tried first, and the first that fails ends the search. So none is promised for having been the luckiest
    of many.

    Source: fixed sequence testing, as in Angelopoulos et al., "Learn then Test", 2021, arXiv:2110.01052.
    """
    shown = near & (confidence >= threshold)
    ranked = np.sort(confidence[shown])[::-1]
    if not len(ranked):
        return threshold, False

    def holds(least: float) -> bool:
        kept = shown & (confidence >= least)
        # of an interval with two ends, each of which gets half
        return clopper_pearson_interval(int(correct[kept].sum()), int(kept.sum()), _ONE_SIDED)[0] >= wanted

    if holds(threshold):
        return threshold, True
    fewest = min(len(ranked), _least_images(wanted))
    counts = np.unique(np.linspace(fewest, len(ranked), _TRIALS).astype(np.int64))
    found = None
    for candidate in dict.fromkeys(ranked[counts - 1].tolist()):
        if not holds(candidate):
            break
        found = float(candidate)
    return (threshold, False) if found is None else (found, True)


def _least_images(wanted: float) -> int:
    """Return how many images show `wanted` with some of them wrong: twice as many as do with none wrong."""
    return 1 if wanted <= 0 else math.ceil(2 * math.log(_ONE_SIDED / 2) / math.log(min(wanted, 1 - 1e-9)))
