"""Fits the classifier of a network on its frozen features, which takes one pass over the images."""

from __future__ import annotations

import copy
import hashlib
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from edgeclf.dataset.types import Split
from edgeclf.progress import SILENT, Progress
from edgeclf.training.balancing import class_weights
from edgeclf.training.divergence import DivergedError
from edgeclf.training.inference import predict_probabilities

STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1)
"""Inverse strengths of the L2 penalty that are tried, on features of unit variance."""
MOST_IMAGES = 20_000
"""Images that the classifier is fitted on at most: their features are held in memory."""
_MOST_STEPS = 500
_COMPARED = 64


@dataclass(frozen=True)
class FittedHead:
    """A classifier on frozen features.

    Args:
        strength: inverse strength of the L2 penalty, the one with the lowest validation loss of `STRENGTHS`.
        images: that it was fitted on.
        train_top1: fraction.
        train_loss: mean cross-entropy, nats.
        validation_top1: fraction.
        validation_loss: mean cross-entropy, nats.
    """

    strength: float
    images: int
    train_top1: float
    train_loss: float
    validation_top1: float
    validation_loss: float


class FeatureCache:
    """Features of frozen networks, the last ones in memory, for several trainings on the same photos.

    Args:
        most_bytes: that are kept.
    """

    def __init__(self, most_bytes: int = 512 * 1024**2) -> None:
        self._most = most_bytes
        self._held: dict[str, npt.NDArray[np.float32]] = {}

    def compute(self, body: tf_keras.Model, split: Split, progress: Progress) -> npt.NDArray[np.float32]:
        """Return what a network computes for the images of a split, float32[N, D], computed at the first call.

        Networks are known by their layers and weights, images by their contents and the pixels of some of them.
        """
        key = _identify(body, split)
        if key not in self._held:
            self._held[key] = predict_probabilities(body, split.images, progress)
        found = self._held[key] = self._held.pop(key)
        while len(self._held) > 1 and sum(one.nbytes for one in self._held.values()) > self._most:
            del self._held[next(iter(self._held))]
        return found


def _identify(body: tf_keras.Model, split: Split) -> str:
    digest = hashlib.sha256(repr([layer.get_config() for layer in body.layers]).encode())
    for values in body.get_weights():
        digest.update(np.ascontiguousarray(values).data)
    digest.update("".join(split.hashes).encode())
    # photos of one content differ where they came to the size of the network in another way
    digest.update(repr(split.images.shape).encode())
    spread = np.unique(np.linspace(0, len(split) - 1, min(len(split), _COMPARED)).astype(np.int64))
    digest.update(np.ascontiguousarray(split.images[spread]).data)
    return digest.hexdigest()


def fit_head(
    model: tf_keras.Model,
    train: Split,
    validation: Split,
    balance: str = "none",
    progress: Progress = SILENT,
    features_of: FeatureCache | None = None,
) -> FittedHead:
    """Fit the last layer of `model` by multinomial logistic regression on what it takes, with all other layers frozen.

    Args:
        model: that ends in a dense softmax over the classes; its weights are changed in place.
        train: images and labels; of more than `MOST_IMAGES`, a sample spread over them and at least one of each class.
        validation: chooses the strength of the penalty.
        balance: `none`: each image counts alike; otherwise each class.
        progress: where the bar goes.
        features_of: features of earlier calls, which this one adds to; None: they are computed.

    Raises:
        ValueError: the network does not end so.
        DivergedError: the features are not finite.
    """
    head = model.layers[-1]
    if not isinstance(head, tf_keras.layers.Dense):
        raise ValueError(f"{model.name} ends in {type(head).__name__}, not in a dense layer")
    every_label = train.labels
    spread = np.linspace(0, len(train) - 1, min(len(train), MOST_IMAGES)).astype(np.int64)
    train = train.subset(np.union1d(spread, np.unique(every_label, return_index=True)[1]))
    labels, cache = train.labels, features_of or FeatureCache()
    # What predicts probabilities runs any network over images: here the one that ends before the classifier.
    body = tf_keras.Model(model.inputs, head.input)
    features, unseen = (cache.compute(body, split, progress) for split in (train, validation))
    if not (np.isfinite(features).all() and np.isfinite(unseen).all()):
        raise DivergedError("the features of the pretrained network are not finite; another --weights is needed")
    mean, scale = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    scale = np.where(scale > 1e-6, scale, 1.0)
    features, unseen = (((part - mean) / scale).astype(np.float32) for part in (features, unseen))
    weights = None if balance == "none" else class_weights(every_label, head.units)[labels]
    fits = []
    with progress.task("classifier (penalties)", len(STRENGTHS)) as task, warnings.catch_warnings():
        # A fit that has not converged fully is judged by its validation loss like the others.
        warnings.simplefilter("ignore", ConvergenceWarning)
        # From the strongest penalty on, each fit begins where the one before it ended.
        regression = LogisticRegression(max_iter=_MOST_STEPS, warm_start=True)
        for strength in STRENGTHS:
            regression.set_params(C=strength).fit(features, labels, weights)
            fitted = copy.deepcopy(regression)
            fits.append((_loss(fitted, unseen, validation.labels), strength, fitted))
            task.advance(1)
    loss, strength, fitted = min(fits, key=lambda fit: fit[0])
    _set_head(head, fitted, mean, scale)
    return FittedHead(
        strength=strength,
        images=len(train),
        train_top1=float(fitted.score(features, labels)),
        train_loss=_loss(fitted, features, labels),
        validation_top1=float(fitted.score(unseen, validation.labels)),
        validation_loss=loss,
    )


def _loss(fitted: LogisticRegression, features: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> float:
    return float(log_loss(labels, fitted.predict_proba(features), labels=fitted.classes_))


def _set_head(
    head: Any, fitted: LogisticRegression, mean: npt.NDArray[np.float64], scale: npt.NDArray[np.float64]
) -> None:
    """Put a regression on standardized features into a dense layer, which takes them as they are."""
    coefficients, intercept = fitted.coef_, fitted.intercept_
    if len(fitted.classes_) == 2:
        # One row for two classes: half of it each way is the same softmax.
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercept = np.concatenate([-intercept, intercept]) / 2
    kernel = coefficients.T / scale[:, None]
    bias = intercept - mean @ kernel
    head.set_weights([kernel.astype(np.float32), bias.astype(np.float32)])
