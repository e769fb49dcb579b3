"""Muon: optimizer steps of which all singular values are about one.

The matrix of a step of gradient descent has a few large singular values and many small ones, so that few directions of
a kernel learn and the others wait. Muon (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon) replaces the
matrix by the nearest one with orthogonal rows or columns. What batch normalization follows is the same whatever a
kernel is multiplied by, so that here a step turns a kernel by an angle and keeps its norm, and weight decay has no
part in it.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras

from edgeclf.errors import InputError
from edgeclf.graph.private_apis import readers

ANGLE = 0.15
"""Radians that a step at the learning rate 1 turns a kernel by."""
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_TINY = 1e-7


def find_turned(model: tf_keras.Model) -> frozenset[str]:
    """Name the kernels whose norm has no effect: of convolutions that batch normalization alone follows.

    Those of depthwise convolutions are no matrices from all inputs to all outputs, and are not among them.

    Raises:
        InputError: there are none.
    """
    found = frozenset(
        layer.kernel.name
        for layer in model.layers
        if type(layer) is tf_keras.layers.Conv2D
        and layer.trainable
        and layer.groups == 1
        and layer.activation is tf_keras.activations.linear
        and (following := readers(layer))
        and all(isinstance(one, tf_keras.layers.BatchNormalization) for one in following)
    )
    if not found:
        raise InputError(
            f"optimizer=muon is for convolutions that batch normalization follows, and {model.name} has none to train; "
            "leave it out"
        )
    return found


def orthogonalize(matrix: tf.Tensor) -> tf.Tensor:
    """Return a matrix with the singular vectors of `matrix`, float32[M, N], and singular values of about 0.7 to 1.2.

    Five steps of a Newton-Schulz iteration, with the coefficients of Jordan et al.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    found = tf.transpose(matrix) if tall else matrix
    found /= tf.norm(found) + _TINY
    first, third, fifth = _COEFFICIENTS
    for _ in range(_ITERATIONS):
        square = tf.matmul(found, found, transpose_b=True)
        found = first * found + tf.matmul(third * square + fifth * tf.matmul(square, square), found)
    return tf.transpose(found) if tall else found


def turn(kernel: Any, direction: tf.Tensor, angle: tf.Tensor) -> tf.Tensor:
    """Turn a kernel against a direction, and keep its norm.

    Args:
        kernel: float32[H, W, I, O].
        direction: of its shape, such as the averaged gradient.
        angle: radians, small.
    """
    step = tf.reshape(orthogonalize(tf.reshape(direction, (-1, kernel.shape[-1]))), kernel.shape)
    norm = tf.norm(kernel)
    turned = kernel - angle * norm / (tf.norm(step) + _TINY) * step
    return turned * (norm / (tf.norm(turned) + _TINY))
