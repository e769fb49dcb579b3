"""The input range that a pretrained network expects, estimated from its first batch normalization.

`edgeclf.inference.input_range` measures the same from predictions, which needs photos of the classes that the network
knows. Transfer learning has other photos: on clothing, a network for person detection is surest of itself with inputs
255 times too large, while the statistics of its batch normalization still fit 0..1 best.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras

from edgeclf.artifact.normalization import Normalization
from edgeclf.image.decoding import resize
from edgeclf.inference.input_range import InputRange
from edgeclf.inference.range_measurement import CANDIDATES, NETWORK_CONVENTION, normalize_images

_IMAGES = 32
_ALIKE = 1.1
"""Of the least misfit: two scalings whose variances differ fourfold are further apart where one of them is right."""
NORMALIZATION, ASSUMED = "batch normalization", "assumed"


def estimate_input_range(network: tf_keras.Model, images: npt.NDArray[np.uint8]) -> InputRange:
    """Find the range under which the first batch normalization gets the mean and variance that it remembers.

    Args:
        network: functional, with one input `[N, H, W, 3]`.
        images: uint8[N, H, W, 3]; the first 32 are looked at.

    Returns:
        the normalization; its source is `batch normalization`, or `assumed` (0..1) where the network has none, or one
        that still has the statistics that it was made with. Its
        scores are misfits: the lowest is the best. Where several fit alike, the most common of them, not `decided`.
    """
    kind = tf_keras.layers.BatchNormalization
    first = next((layer for layer in network.layers if isinstance(layer, kind)), None)
    if first is None:
        return InputRange(CANDIDATES["0..1"], ASSUMED, decided=False)
    probe = tf_keras.Model(network.inputs, first.input)
    height, width = (side or 128 for side in network.inputs[0].shape[1:3])
    batch = np.stack([resize(image, height, width) for image in images[:_IMAGES]])
    mean, variance = np.asarray(first.moving_mean), np.asarray(first.moving_variance) + first.epsilon
    if not mean.any() and (variance == variance[0]).all():  # never trained: zeros and ones
        return InputRange(CANDIDATES["0..1"], ASSUMED, decided=False)

    def misfit(candidate: Normalization) -> float:
        found: npt.NDArray[Any] = np.asarray(probe(normalize_images(batch, candidate)))
        found = found.reshape(-1, found.shape[-1])
        of_variance = np.abs(np.log((found.var(0) + 1e-6) / variance))
        return float(np.mean(of_variance + np.abs(found.mean(0) - mean) / variance**0.5))

    misfits = {name: misfit(candidate) for name, candidate in CANDIDATES.items()}
    if not np.isfinite(list(misfits.values())).any():  # weights that are not finite, which training will notice
        return InputRange(CANDIDATES["0..1"], ASSUMED, decided=False)
    remaining = [name for name in NETWORK_CONVENTION if misfits[name] <= _ALIKE * np.nanmin(list(misfits.values()))]
    scores = {name: round(value, 4) for name, value in misfits.items()}
    if len(remaining) == 1:
        return InputRange(CANDIDATES[remaining[0]], NORMALIZATION, scores)
    return InputRange(CANDIDATES[remaining[0]], NORMALIZATION, scores, decided=False, remaining=tuple(remaining))
