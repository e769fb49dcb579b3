"""Several networks that predict together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.ensemble_folder import Stacking
from edgeclf.errors import ModelError
from edgeclf.image.decoding import resize
from edgeclf.inference.classifier import Classifier
from edgeclf.inference.predictor import Predictor
from edgeclf.inference.quantization import to_probabilities

Probabilities = npt.NDArray[np.float32]
_SUM_TOLERANCE = 0.01
_ROUNDING = 1 / 512
"""Of a probability in 8 bits: half of the smallest step of outputs from 0 to 1."""
_LARGEST_TOLERANCE = 0.5
_FLOOR = 1e-6
"""Probability below which logarithms are not taken: int8 outputs round to zero."""
_SHOWN = 5


class Ensemble:
    """Several predictors as one: a `Predictor`.

        Ensemble([first, second]).probabilities(images)

    Args:
        members: that agree on the classes and their order.
        stacking: how their probabilities are combined; None: their mean.
        name: for messages.

    Attributes:
        labels: class names in the order of the outputs.
        size: height and width of the images that it takes, pixels: those of the largest member. The others get them
            resized, which differs slightly from what they get of the photos themselves.

    Raises:
        ModelError: the members do not agree.
    """

    def __init__(self, members: Sequence[Predictor], *, stacking: Stacking | None = None, name: str = "") -> None:
        self.labels = check_members([(f"member {i + 1}", m.labels) for i, m in enumerate(members)], name)
        self.size = max((member.size for member in members), key=lambda size: size[0] * size[1])
        self._members, self._stacking = tuple(members), stacking

    def probabilities(self, images: npt.NDArray[np.uint8]) -> Probabilities:
        """Compute the combined probabilities float32[N, C] of raw RGB images uint8[N, H, W, 3] of this size."""
        found = [predict_probabilities(member, self._resize(images, member.size)) for member in self._members]
        return combine(np.stack(found), self._stacking)

    def _resize(self, images: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        if size == self.size:
            return images
        small = [resize(image, *size) for image in images]
        return np.stack(small) if small else np.empty((0, *size, 3), np.uint8)


def check_members(members: Sequence[tuple[str, tuple[str, ...]]], ensemble: str = "") -> tuple[str, ...]:
    """Return the class names that members agree on.

    Args:
        members: name and class names of each.
        ensemble: its name, for the message.

    Raises:
        ModelError: there are not two, or they do not agree.
    """
    if len(members) < 2:
        raise ModelError(f"an ensemble needs two members, got {len(members)}")
    first, names = members[0]
    for other, others in members[1:]:
        if others == names:
            continue
        alone = [name for name in (*names, *others) if (name in names) != (name in others)]
        problem = f"{_show(alone)} only in one of them" if alone else "the same ones in another order"
        raise ModelError(
            f"{ensemble + ': ' if ensemble else ''}{first} and {other} have different classes ({problem}); members of "
            "an ensemble must have learned the same classes in the same order"
        )
    return names


def predict_probabilities(predictor: Predictor, images: npt.NDArray[np.uint8]) -> Probabilities:
    """Compute the probabilities float32[N, C] of uint8[N, H, W, 3], where a network ends in logits by their softmax.

    A classifier of a model file knows from its graph what it ends in.
    """
    found = predictor.probabilities(images)
    return found if isinstance(predictor, Classifier) else as_probabilities(found)


def sum_tolerance(classes: int) -> float:
    """Return how far the sum of probabilities may be from 1, each of which may be rounded to 8 bits."""
    return min(_SUM_TOLERANCE + classes * _ROUNDING, _LARGEST_TOLERANCE)


def as_probabilities(found: npt.ArrayLike) -> Probabilities:
    """Return outputs float32[N, C] as probabilities, where a network ends in logits as their softmax.

    Probabilities of 8 bits need not add up to 1: each may be rounded by half a step.
    """
    values = np.asarray(found, np.float32)
    tolerance = sum_tolerance(values.shape[1])
    if (values < 0).any() or (values > 1 + _SUM_TOLERANCE).any() or (abs(values.sum(1) - 1) > tolerance).any():
        return to_probabilities(values, "logits")
    return values


def combine(probabilities: Probabilities, stacking: Stacking | None = None) -> Probabilities:
    """Combine the probabilities of members.

    Args:
        probabilities: float32[M, N, C].
        stacking: a regression on their logarithms; None: their mean.

    Returns:
        float32[N, C].
    """
    if stacking is None:
        mean: Probabilities = probabilities.mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean
    members, _, classes = probabilities.shape
    stacking.check(members, classes)
    scores = stacking_features(probabilities) @ np.array(stacking.coefficients).T + np.array(stacking.intercepts)
    return to_probabilities(scores.astype(np.float32), "logits")


def stacking_features(probabilities: Probabilities) -> npt.NDArray[np.float64]:
    """Return what the regression takes, float64[N, M * C]: logarithms of float32[M, N, C], zero in the mean of each."""
    members, images, classes = probabilities.shape
    logs = np.log(np.maximum(probabilities.astype(np.float64), _FLOOR))
    logs -= logs.mean(axis=2, keepdims=True)
    found: npt.NDArray[np.float64] = logs.transpose(1, 0, 2).reshape(images, members * classes)
    return found


def _show(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(name[:40]) for name in names[:_SHOWN]) + more
