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

from edgeclf.image.decoding import resize
from edgeclf.inference.input_range import CANDIDATES, InputRange

_IMAGES = 32
NORMALIZATION, ASSUMED = "batch normalization", "assumed"


def estimate_input_range(network: tf_keras.Model, images: npt.NDArray[np.uint8]) -> InputRange:
    """Find the range under which the first batch normalization gets the mean and variance that it remembers.

    Args:
        network: functional, with one input `[N, H, W, 3]`.
        images: uint8[N, H, W, 3]; the first 32 are looked at.

    Returns:
        the range; its source is `batch normalization`, or `assumed` (0..1) where the network has none.
    """
    kind = tf_keras.layers.BatchNormalization
    first = next((layer for layer in network.layers if isinstance(layer, kind)), None)
    if first is None:
        return InputRange(*CANDIDATES["0..1"], ASSUMED)
    probe = tf_keras.Model(network.inputs, first.input)
    height, width = (side or 128 for side in network.inputs[0].shape[1:3])
    batch = np.stack([resize(image, height, width) for image in images[:_IMAGES]]).astype(np.float32)
    mean, variance = np.asarray(first.moving_mean), np.asarray(first.moving_variance) + first.epsilon

    def misfit(low: float, high: float) -> float:
        found: npt.NDArray[Any] = np.asarray(probe(batch * ((high - low) / 255) + low))
        found = found.reshape(-1, found.shape[-1])
        of_variance = np.abs(np.log((found.var(0) + 1e-6) / variance))
        return float(np.mean(of_variance + np.abs(found.mean(0) - mean) / variance**0.5))

    best = min(CANDIDATES.values(), key=lambda ends: misfit(*ends))
    return InputRange(*best, NORMALIZATION)
