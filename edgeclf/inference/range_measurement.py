"""Measures which of the usual normalizations a network expects, and says so where that cannot be decided.

With labels the evidence is which predictions are right, compared image by image (the sign test of McNemar 1947).
Without, it is the mutual information between image and prediction (Bridle, Heading and MacKay 1991), high where each
prediction is confident and the predictions differ; how much of it is due to the choice of images, a bootstrap over them
shows (Efron and Tibshirani 1993). It is weak evidence: a network that gets numbers too large is confident of
everything. So

- 0..255 and caffe are only chosen where 0..1 and -1..1 leave the network almost without information: to a network that
  expects large numbers all pictures of small numbers are the same;
- between scalings of similar size, one that makes the numbers larger must give half as much information again;
- where the best gives little information, as it does when all pictures show one class, nothing is chosen.

Tried on five networks, each made to expect each of the five by folding in, over photos of many classes and of one:
nothing was decided wrongly, with labels or without.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.normalization import NORMALIZATIONS, Normalization
from edgeclf.artifact.pixels import apply_table, pixel_table
from edgeclf.errors import InputError
from edgeclf.inference.chance import could_be_chance
from edgeclf.inference.input_range import InputRange

CANDIDATES: Mapping[str, Normalization] = MappingProxyType(
    {
        "0..1": NORMALIZATIONS["0..1"],
        "-1..1": NORMALIZATIONS["tf"],
        "0..255": NORMALIZATIONS["raw"],
        "torch": NORMALIZATIONS["torch"],
        "caffe": NORMALIZATIONS["caffe"],
    }
)
MODEL_CONVENTION = ("-1..1", "0..1", "torch", "0..255", "caffe")
"""The most common first, for model files: Teachable Machine, Model Maker, and TensorFlow's MobileNets and Inceptions
export for -1..1."""
NETWORK_CONVENTION = ("0..1", "-1..1", "torch", "0..255", "caffe")
"""The same for Keras files without a scaling layer: most tutorials divide by 255 before the network."""
FIRST_LOOK = 64
FEWEST_IMAGES = 6
"""Images that a choice without labels needs: a bootstrap over fewer means nothing."""
SIGNIFICANT = 0.05
_ABOUT_EQUAL = 0.2
"""p-value from which on a more common candidate is taken in place of the best: two images of difference are nothing."""

_SMALL, _LARGE = ("0..1", "-1..1", "torch"), ("0..255", "caffe")
_STEEPNESS = {"0..1": 1.0, "-1..1": 2.0, "torch": 4.4, "0..255": 255.0, "caffe": 255.0}
_STEEPER_NEEDS = 1.5
_ALMOST_NONE = 0.02
"""Of the information under large numbers: what a network that expects them has under small ones. Seen: at most 0.008;
at least 0.037 in networks that expect small ones."""
_TOO_LITTLE = 0.3
"""Of the most information possible, the logarithm of the number of classes: below, nothing is chosen."""
_RESAMPLES = 200

Predict = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
Labels = npt.NDArray[np.int64]


def measure_input_range(
    predict: Predict,
    images: npt.NDArray[np.uint8],
    labels: Labels | None = None,
    convention: Sequence[str] = MODEL_CONVENTION,
) -> InputRange:
    """Try the usual normalizations on images; take the one under which the network predicts best, if there is one.

    Args:
        predict: takes normalized float32[N, H, W, C], returns probabilities float32[N, K].
        images: uint8[N, H, W, C]; gray ones are tried with the candidates that have one number for all channels.
        labels: int64[N], where they are known, as indices into the outputs; -1: no output stands for it. 64 images are
            looked at then, and all of them only where these do not decide.
        convention: candidates, the most common first: the first one that remains is taken where nothing decides.

    Returns:
        the normalization; `decided` is False where it is a convention.

    Raises:
        InputError: there are no images.
    """
    if len(images) == 0:
        raise InputError("to measure the input range, images are needed; or give it with --normalize or --input-range")
    if labels is not None and len(images) > FIRST_LOOK:
        rows = np.linspace(0, len(images) - 1, FIRST_LOOK).astype(np.int64)
        first = measure_input_range(predict, images[rows], labels[rows], convention)
        if first.decided:
            return first
    candidates = [name for name in convention if images.shape[-1] == 3 or CANDIDATES[name].pair is not None]
    if labels is None and len(images) < FEWEST_IMAGES:
        return assume_input_range(candidates)
    found = {name: predict(normalize_images(images, CANDIDATES[name])) for name in candidates}
    chosen = choose_by_information(found, convention)
    if labels is None:
        return chosen
    right = {name: predictions.argmax(axis=1) == labels for name, predictions in found.items()}
    best, classes = max(right.values(), key=lambda hits: int(hits.sum())), next(iter(found.values())).shape[1]
    if could_be_chance(best, labels, classes):
        doubt = (
            f"at best {int(best.sum())} of {len(labels)} labels are right, which could be chance: the network may "
            "number its classes in another order than these photos (--labels FILE names them)"
        )
        return dataclasses.replace(chosen, doubt=doubt)
    return _choose_by_labels(candidates, right, Information(found))


def choose_by_information(
    predictions: Mapping[str, npt.NDArray[np.float32]], convention: Sequence[str] = MODEL_CONVENTION
) -> InputRange:
    """Choose by what the predictions alone say.

    Args:
        predictions: float32[N, K] by candidate.
        convention: candidates, the most common first.
    """
    information = Information(predictions)
    remaining = [name for name in convention if name in information.remaining()]
    return _choose(remaining, information.scores(), remaining[0])


def assume_input_range(convention: Sequence[str] = MODEL_CONVENTION) -> InputRange:
    """Return the most common normalization, where there is nothing to measure on."""
    return InputRange(CANDIDATES[convention[0]], "assumed", decided=False, remaining=tuple(convention))


def mutual_information(probabilities: npt.NDArray[np.float32]) -> float:
    """Compute the mutual information between image and prediction: entropy of the mean minus mean entropy.

    Args:
        probabilities: float32[N, K].

    Returns:
        nats; 0 of a single image.
    """
    wide = _as_distributions(probabilities)
    return max(0.0, float(_entropy(wide.mean(axis=0)) - _entropy(wide).mean()))


class Information:
    """What the predictions alone say about the candidates.

    Args:
        predictions: float32[N, K] by candidate.
    """

    def __init__(self, predictions: Mapping[str, npt.NDArray[np.float32]]) -> None:
        self._wide = {name: _as_distributions(found) for name, found in predictions.items()}
        count, classes = next(iter(self._wide.values())).shape
        self._count, self._most = count, math.log(max(2, min(count, classes)))
        weights = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), _RESAMPLES) / count
        # the images themselves come first
        self._weights = np.concatenate([np.full((1, count), 1 / count), weights])
        self._information = {name: self._resample(wide) for name, wide in self._wide.items()}

    def scores(self) -> dict[str, float]:
        """Return the mutual information in nats by candidate."""
        return {name: float(values[0]) for name, values in self._information.items()}

    def remaining(self) -> tuple[str, ...]:
        """List the candidates that the information does not rule out."""
        known, everything = self.scores(), tuple(self._information)
        if self._count < FEWEST_IMAGES:
            return everything
        small = max(known["0..1"], known["-1..1"])
        large = max(known[name] for name in _LARGE if name in known)
        if max(known.values()) < _ALMOST_NONE:
            return everything
        if large > 0 and small < _ALMOST_NONE * large:
            group: tuple[str, ...] = _LARGE
        elif large > small / _TOO_LITTLE:
            return everything
        else:
            group = _SMALL
        group = tuple(name for name in group if name in known)
        if max(known[name] for name in group) < _TOO_LITTLE * self._most:
            return group
        return tuple(name for name in group if not any(self.beats(other, name) for other in group))

    def beats(self, one: str, other: str) -> bool:
        """Return whether `one` gives more information than `other`, whichever of such images were taken."""
        if one == other:
            return False
        factor = 1.0 if _STEEPNESS[one] < _STEEPNESS[other] else _STEEPER_NEEDS
        won = self._information[one] > factor * self._information[other]
        return bool(won[0]) and float(won[1:].mean()) >= 1 - SIGNIFICANT

    def _resample(self, wide: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(_entropy(self._weights @ wide) - self._weights @ _entropy(wide), np.float64)


def _choose_by_labels(
    order: Sequence[str], right: Mapping[str, npt.NDArray[np.bool_]], information: Information
) -> InputRange:
    """Choose the candidate that is significantly better than all others, or has more information than its equals."""
    best = max(order, key=lambda name: int(right[name].sum()))

    def p_value(name: str) -> float:
        return _sign_test(int((right[best] & ~right[name]).sum()), int((right[name] & ~right[best]).sum()))

    equal = [name for name in order if p_value(name) > SIGNIFICANT]
    scores = {name: float(hits.mean()) for name, hits in right.items()}
    most = [name for name in equal if scores[name] == scores[best]]
    winners = [one for one in most if all(information.beats(one, other) for other in equal if other != one)]
    likely = next(name for name in equal if p_value(name) > _ABOUT_EQUAL)
    return _choose(winners or equal, scores, (winners or [likely])[0])


def _sign_test(more: int, less: int) -> float:
    """Compute the one-sided p-value of `more` against `less` discordant pairs."""
    count = more + less
    return float(sum(math.comb(count, k) for k in range(more, count + 1)) / 2**count)


def _choose(remaining: Sequence[str], scores: Mapping[str, float], taken: str) -> InputRange:
    rounded = {name: round(scores[name], 4) for name in CANDIDATES if name in scores}
    if len(remaining) == 1:
        return InputRange(CANDIDATES[taken], "measured", rounded)
    return InputRange(CANDIDATES[taken], "assumed", rounded, decided=False, remaining=tuple(remaining))


def normalize_images(images: npt.NDArray[np.uint8], normalization: Normalization) -> npt.NDArray[np.float32]:
    """Make the numbers float32[N, H, W, C] that enter a network."""
    return apply_table(pixel_table("float32", 0.0, 0, normalization), images, normalization.channel_order)


def _as_distributions(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    wide = np.nan_to_num(probabilities.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    return np.asarray(wide / np.maximum(wide.sum(axis=1, keepdims=True), 1e-12))


def _entropy(p: npt.NDArray[np.float64]) -> Any:
    return -(p * np.log(np.maximum(p, 1e-12))).sum(axis=-1)
