"""Measures how far the features of an image lie from those of images that a model knows.

The pooled features are scaled to unit length, folded into a few dozen dimensions, and compared with class means under a
shared covariance: Lee et al., 2018, arXiv:1807.03888. The covariance is that of probabilistic principal components
(Tipping and Bishop, 1999): a few directions in which known images vary, and one variance for all others. Folding adds
up every so many features with signs from an integer formula (feature hashing, Weinberger et al., 2009,
arXiv:0902.2206): nothing of it need be stored, and unlike principal components it keeps directions in which known
images hardly vary, where unknown ones stand out.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.fitted_probabilities import FeatureArrays

Floats = npt.NDArray[np.float32]
_SMALLEST_LENGTH = 1e-12
_AT_ONCE = 256


def fold(features: npt.NDArray[Any], dimensions: int) -> Floats:
    """Scale features to unit length and fold them into fewer dimensions.

    Args:
        features: real numbers [..., D].
        dimensions: at most D; D itself leaves the features as they are but for their length.

    Returns:
        float32[..., dimensions].
    """
    if np.ndim(features) == 2 and len(features) > _AT_ONCE:
        # of tens of thousands of features a photo, the copies in float64 would take gigabytes
        parts = range(0, len(features), _AT_ONCE)
        return np.concatenate([fold(features[start : start + _AT_ONCE], dimensions) for start in parts])
    wide = np.asarray(features, np.float64)
    wide = wide / np.maximum(np.linalg.norm(wide, axis=-1, keepdims=True), _SMALLEST_LENGTH)
    size = wide.shape[-1]
    if dimensions == size:
        return np.asarray(wide, np.float32)
    rows = -(-size // dimensions)
    padded = np.zeros((*wide.shape[:-1], rows * dimensions))
    padded[..., :size] = wide * fold_signs(size)
    return np.asarray(padded.reshape(*wide.shape[:-1], rows, dimensions).sum(axis=-2), np.float32)


@functools.lru_cache(maxsize=8)
def fold_signs(size: int) -> npt.NDArray[np.int64]:
    """Return +1 or -1 for each of `size` features, the same on every machine."""
    mixed = (np.arange(1, size + 1, dtype=np.uint64) * np.uint64(2654435761)) & np.uint64(0xFFFFFFFF)
    mixed = ((mixed ^ (mixed >> np.uint64(15))) * np.uint64(2246822519)) & np.uint64(0xFFFFFFFF)
    return np.asarray(1 - 2 * ((mixed >> np.uint64(16)) & np.uint64(1)).astype(np.int64), np.int64)


def distances(folded: Floats, arrays: FeatureArrays) -> Floats:
    """Compute the squared Mahalanobis distance to the nearest center.

    It is in units of the variance in all directions but the stored ones, which are scaled such that their part is to be
    subtracted: `|z - m|² - |A (z - m)|²`.

    Args:
        folded: float32[..., dimensions].
        arrays: centers `m` and directions `A`.

    Returns:
        float32[...].
    """
    offsets = folded[..., None, :] - arrays.centers
    squares = np.square(offsets).sum(axis=-1) - np.square(offsets @ arrays.directions.T).sum(axis=-1)
    return np.asarray(squares.min(axis=-1), np.float32)
