"""Gives batch normalizations the statistics of given images without changing what a network computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

_BATCH = 16


def restore_statistics(network: tf_keras.Model, tensors: npt.NDArray[np.float32]) -> int:
    """Set mean and variance of each batch normalization to those of its input, and gamma and beta so that it computes
    what it did.

    A network read from a file for inference has its batch normalizations folded into the convolutions. Put back as
    identities they normalize, in training, by statistics that have nothing to do with those of inference; with the
    statistics of the data at hand both agree.

    Args:
        network: functional; its weights are changed in place.
        tensors: `float32[N, H, W, C]`, as the network takes them; about a hundred images are enough.

    Returns:
        the number of batch normalizations.
    """
    found = [layer for layer in network.layers if isinstance(layer, tf_keras.layers.BatchNormalization)]
    if not found:
        return 0
    probe = tf_keras.Model(network.inputs, [layer.input for layer in found])

    def measure(batch: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
        return [
            tf.nn.moments(tf.cast(values, tf.float32), axes=list(range(values.shape.rank - 1)))
            for values in tf.nest.flatten(probe(batch, training=False))
        ]

    compiled, moments = tf.function(measure, reduce_retracing=True), [_Moments() for _ in found]
    for start in range(0, len(tensors), _BATCH):
        batch = tensors[start : start + _BATCH]
        for moment, (mean, variance) in zip(moments, compiled(tf.constant(batch)), strict=True):
            moment.add(len(batch), np.asarray(mean, np.float64), np.asarray(variance, np.float64))
    for layer, moment in zip(found, moments, strict=True):
        _renormalize(layer, *moment.result())
    return len(found)


class _Moments:
    """Mean and variance of images, put together from those of batches."""

    def __init__(self) -> None:
        self.images = 0
        self.mean: Any = 0.0
        self.squares: Any = 0.0

    def add(self, images: int, mean: npt.NDArray[np.float64], variance: npt.NDArray[np.float64]) -> None:
        """Add a batch by the update of Chan et al. (1983, The American Statistician 37), which subtracts no squares."""
        self.images += images
        apart = mean - self.mean
        self.mean = self.mean + apart * images / self.images
        self.squares = self.squares + variance * images + apart**2 * images * (self.images - images) / self.images

    def result(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        return self.mean, self.squares / self.images


def _renormalize(layer: Any, mean: npt.NDArray[np.float64], variance: npt.NDArray[np.float64]) -> None:
    channels = len(mean)
    gamma = np.asarray(layer.gamma, np.float64) if layer.scale else np.ones(channels)
    beta = np.asarray(layer.beta, np.float64) if layer.center else np.zeros(channels)
    slope = gamma / np.sqrt(np.asarray(layer.moving_variance, np.float64) + layer.epsilon)
    offset = beta - slope * np.asarray(layer.moving_mean, np.float64)
    weights = []
    if layer.scale:
        weights.append(slope * np.sqrt(variance + layer.epsilon))
    if layer.center:
        weights.append(offset + slope * mean)
    layer.set_weights([part.astype(np.float32) for part in (*weights, mean, variance)])


def scale_and_offset(layer: Any) -> tuple[Any, Any]:
    """Return what a batch normalization multiplies by and adds at inference: float64[C], or one number each."""
    mean, variance = (np.asarray(value, np.float64) for value in (layer.moving_mean, layer.moving_variance))
    gamma = np.asarray(layer.gamma, np.float64) if layer.scale else 1.0
    scale = gamma / np.sqrt(variance + layer.epsilon)
    return scale, (np.asarray(layer.beta, np.float64) if layer.center else 0.0) - mean * scale


def normalized_axes(layer: Any, rank: int = 4) -> list[int]:
    """List the axes that a layer of normalization has numbers of its own for.

    Args:
        layer: the layer.
        rank: of what it takes; 4 is that of images, `[N, H, W, C]`.
    """
    axes = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    return [axis % rank for axis in axes if axis is not None]
