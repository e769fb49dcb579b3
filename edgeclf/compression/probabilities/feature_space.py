"""Describes where the features of training images lie, in a few kilobytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.fitted_probabilities import FeatureArrays
from edgeclf.inference.novelty import fold

DIMENSIONS = 128
"""Chosen on validation photos and held-out unknown ones: 64 missed noise that 128 finds, 256 finds no more."""
DIRECTIONS = 4
"""Likewise: 8 and 16 find no more, and refuse more known photos of the test split than of validation."""
MOST_CENTER_VALUES = 4096
"""Numbers of all class means; with more classes there is a single mean."""
LEAST_IMAGES_A_CLASS = 3


def describe_features(
    features: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], classes: int, none: Sequence[int] = ()
) -> FeatureArrays | None:
    """Compute class means and the directions of the largest shared variance, as a file keeps them.

    Args:
        features: float32[N, D] of training images.
        labels: int64[N].
        classes: number of classes.
        none: classes that stand for none of the others, which may have no images.

    Returns:
        the arrays, rounded to float16; None: there are too few images, or their features do not vary.
    """
    present, rows, counts = np.unique(labels, return_inverse=True, return_counts=True)
    folded = fold(features, min(DIMENSIONS, features.shape[1])).astype(np.float64)
    dimensions = folded.shape[1]
    complete = len(present) > 0 and {*present.tolist(), *none} >= set(range(classes))
    if complete and classes * dimensions <= MOST_CENTER_VALUES and counts.min() >= LEAST_IMAGES_A_CLASS:
        centers = np.stack([folded[labels == label].mean(axis=0) for label in present])
        offsets = folded - centers[rows]
    else:
        centers = folded.mean(axis=0, keepdims=True)
        offsets = folded - centers
    freedom = len(folded) - len(centers)
    directions = min(DIRECTIONS, dimensions - 1)
    if freedom <= 2 * directions or directions < 1:
        return None
    variances, axes = np.linalg.eigh(offsets.T @ offsets / freedom)
    rest = float(variances[:-directions].mean())
    if not rest > 1e-12:
        return None
    # the part of a direction is 1/rest - 1/variance of it; in units of `rest` that is 1 - rest/variance
    strength = np.sqrt(np.maximum(0.0, 1 - rest / variances[-directions:]))
    scaled = (axes[:, -directions:] * strength).T[::-1]
    return FeatureArrays(centers.astype(np.float32), scaled.astype(np.float32)).rounded()
