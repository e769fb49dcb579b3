"""Fits heads on frozen features, each on a part of the images, and predicts the others."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from edgeclf.progress import SILENT, Progress

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

FOLDS = 5
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1)
"""Inverse strengths of the L2 penalty that are tried, on features of unit variance (those of `train --quick`)."""
DIMENSIONS = 256
"""Directions of largest variance that are kept of standardized features; a fit takes time in proportion."""
_MOST_STEPS = 200
_TOLERANCE = 1e-3


def one_thread() -> AbstractContextManager[object]:
    """Keep linear algebra on one thread: fits this small take longer with several, which wait for each other."""
    return cast(AbstractContextManager[object], threadpool_limits(1))


def reduce_features(features: Floats) -> Floats:
    """Standardize features, and turn them to their `DIMENSIONS` directions of largest variance.

    Labels play no part, so that what is held out later may be among them.

    Args:
        features: float32[N, D].

    Returns:
        float32[N, min(D, DIMENSIONS)].
    """
    wide: npt.NDArray[np.float64] = features.astype(np.float64)
    scale = wide.std(axis=0)
    wide = (wide - wide.mean(axis=0)) / np.where(scale > 1e-6, scale, 1.0)
    if wide.shape[1] <= DIMENSIONS:
        return np.asarray(wide, np.float32)
    _, directions = np.linalg.eigh(wide.T @ wide / len(wide))
    return np.asarray(wide @ directions[:, ::-1][:, :DIMENSIONS], np.float32)


def assign_folds(labels: Integers, contents: Sequence[str], count: int = FOLDS) -> Integers:
    """Deal the images of each class to folds, in the order of their contents: int64[N], 0 to `count` - 1.

    Images of one content come into one fold, whatever their labels are.

    Args:
        labels: int64[N].
        contents: a text an image; those that show the same thing have the same.
        count: number of folds.
    """
    folds: dict[str, int] = {}
    dealt = np.zeros((int(labels.max(initial=0)) + 1, count), np.int64)
    for row in np.lexsort((np.array(contents), labels)).tolist():
        label = int(labels[row])
        fold = folds.setdefault(contents[row], int(dealt[label].argmin()))
        dealt[label, fold] += 1
    return np.array([folds[content] for content in contents], np.int64)


def find_in_one_fold(labels: Integers, folds: Integers, classes: int) -> list[int]:
    """List the classes whose images lie in fewer than two folds, so that a head without that fold does not know them.

    Args:
        labels: int64[N].
        folds: int64[N].
        classes: number of classes.
    """
    return [label for label in range(classes) if len(np.unique(folds[labels == label])) < 2]


@dataclass(frozen=True)
class FrozenFeatures:
    """Images as a head sees them.

    Attributes:
        values: float32[N, D], as `reduce_features` makes them.
        labels: int64[N].
        folds: int64[N].
        classes: number of classes.
    """

    values: Floats
    labels: Integers
    folds: Integers
    classes: int

    def fit(self, rows: Mask, strength: float) -> LogisticRegression:
        """Fit multinomial logistic regression on some images.

        Args:
            rows: bool[N].
            strength: inverse strength of the L2 penalty.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            regression = LogisticRegression(C=strength, max_iter=_MOST_STEPS, tol=_TOLERANCE)
            return regression.fit(self.values[rows], self.labels[rows])

    def predict(self, fitted: LogisticRegression, rows: Mask) -> Floats:
        """Compute probabilities float32[n, K] of some images; a class that the fit has not seen gets none."""
        found = np.zeros((int(rows.sum()), self.classes), np.float32)
        found[:, fitted.classes_] = fitted.predict_proba(self.values[rows])
        return found

    def choose_strength(self, progress: Progress = SILENT) -> float:
        """Choose the penalty by the cross-entropy of the first fold under heads fitted on the others."""
        held = self.folds == 0
        losses = []
        with one_thread(), progress.task("choosing the penalty", len(STRENGTHS)) as task:
            for strength in STRENGTHS:
                chances = self.predict(self.fit(~held, strength), held)
                own = chances[np.arange(len(chances)), self.labels[held]]
                losses.append(float(-np.log(np.maximum(own, 1e-6)).mean()))
                task.advance()
        return STRENGTHS[int(np.argmin(losses))]

    def predict_out_of_fold(self, strength: float, kept: Mask | None = None, progress: Progress = SILENT) -> Floats:
        """Compute probabilities float32[N, K], each of a head that was fitted without the image's fold.

        Args:
            strength: of the penalty.
            kept: bool[N], images that heads are fitted on; None: all.
            progress: where a bar is shown.
        """
        found = np.zeros((len(self.labels), self.classes), np.float32)
        numbers = np.unique(self.folds).tolist()
        with one_thread(), progress.task("predicting out of fold", len(numbers)) as task:
            for number in numbers:
                held = self.folds == number
                rows = ~held if kept is None else ~held & kept
                found[held] = self.predict(self.fit(rows, strength), held)
                task.advance()
        return found
