"""Fits how the probabilities of an ensemble's members are combined.

A multinomial logistic regression on their logarithms (Wolpert, "Stacked generalization", Neural Networks 5, 1992). It
is fitted on images that the members were not trained on; where these are also to be judged, it is cross-fitted: each of
them is predicted by a regression that was fitted on the others.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from edgeclf.artifact.ensemble_folder import Stacking
from edgeclf.errors import DataError
from edgeclf.inference.ensemble import Probabilities, stacking_features

FOLDS = 5
STRENGTHS = (0.001, 0.01, 0.1, 1.0)
"""Inverse strengths of the L2 penalty, of which cross-validation chooses one."""
_MOST_STEPS = 500

Labels = npt.NDArray[np.int64]


def fit_stacking(probabilities: Probabilities, labels: Labels) -> Stacking:
    """Fit a regression on all images.

    Args:
        probabilities: float32[M, N, C] of the members, for images that they were not trained on.
        labels: int64[N], indices into the classes.

    Raises:
        DataError: a class has too few images.
    """
    classes = probabilities.shape[2]
    search = _make_search(labels, classes)
    with _quiet_and_single():
        fitted = search.fit(stacking_features(probabilities), labels).best_estimator_
    coefficients, intercepts = fitted.coef_, fitted.intercept_
    if classes == 2:
        # one row for two classes: half of it each way is the same softmax
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    rows = tuple(tuple(float(value) for value in row) for row in coefficients)
    return Stacking(rows, tuple(float(value) for value in intercepts), len(labels))


def cross_fit(probabilities: Probabilities, labels: Labels) -> Probabilities:
    """Predict each image by a regression that was fitted without it, its penalty chosen without it.

    Args:
        probabilities: float32[M, N, C].
        labels: int64[N].

    Returns:
        float32[N, C].

    Raises:
        DataError: a class has too few images.
    """
    search = _make_search(labels, probabilities.shape[2], nested=True)
    folds = _make_folds(labels, probabilities.shape[2])
    with _quiet_and_single():
        found = cross_val_predict(search, stacking_features(probabilities), labels, cv=folds, method="predict_proba")
    return np.asarray(found, np.float32)


def check_fewest(images: int) -> None:
    """Refuse validation images that are too few to be stacked on.

    Args:
        images: of the class that has the fewest.

    Raises:
        DataError: they are.
    """
    if images < 4:
        raise DataError(
            f"stacking is cross-fitted on validation images, at least 4 of each class, got {images} of one; add "
            "photos, or take --combine average (--resume keeps the members that are trained)"
        )


@contextlib.contextmanager
def _quiet_and_single() -> Iterator[None]:
    """Fit on one thread: these are many small fits, which wait for each other's threads seven times as long."""
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _make_search(labels: Labels, classes: int, *, nested: bool = False) -> Any:
    folds = _make_folds(labels, classes, nested=nested)
    return GridSearchCV(
        LogisticRegression(max_iter=_MOST_STEPS), {"C": list(STRENGTHS)}, scoring="neg_log_loss", cv=folds
    )


def _make_folds(labels: Labels, classes: int, *, nested: bool = False) -> StratifiedKFold:
    """Make folds that each have every class; `nested`: within what is left of another fold."""
    fewest = int(np.bincount(labels, minlength=classes).min())
    check_fewest(fewest)
    folds = min(FOLDS, fewest)
    return StratifiedKFold(min(folds, fewest - -(-fewest // folds)) if nested else folds, shuffle=True, random_state=0)
