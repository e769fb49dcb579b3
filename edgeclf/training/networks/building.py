"""Building a network: input and scaling in front, classifier behind, and the blocks that networks are made of.

Every network takes raw RGB (`uint8` or `float32[N, H, W, 3]`, 0..255), scales it inside (`Rescaling`) and ends in a
softmax.
Convolutions that batch normalization follows carry no bias, which the normalization would cancel.
"""

from __future__ import annotations

import tf_keras

from edgeclf.training.networks import check_network, find_network
from edgeclf.training.networks.network import NetworkSettings, Tensor


class Blocks:
    """What the networks are made of; all kernels carry the same penalty.

    Args:
        settings: of the network that is built.

    Attributes:
        layers: `tf_keras.layers`.
    """

    layers = tf_keras.layers

    def __init__(self, settings: NetworkSettings) -> None:
        penalized = settings.l1 or settings.l2
        self.penalty = tf_keras.regularizers.L1L2(settings.l1, settings.l2) if penalized else None

    def convolution(
        self,
        x: Tensor,
        filters: int,
        kernel: int = 3,
        stride: int = 1,
        activation: str | None = "relu",
        normalize: bool = True,
    ) -> Tensor:
        """Add a convolution, batch normalization and an activation (`relu`, `relu6` or None)."""
        x = self.layers.Conv2D(
            filters,
            kernel,
            stride,
            "same",
            use_bias=False,
            kernel_initializer="he_normal",
            kernel_regularizer=self.penalty,
        )(x)
        return self._activate(self._normalize(x) if normalize else x, activation)

    def depthwise(self, x: Tensor, stride: int, activation: str) -> Tensor:
        """Add a depthwise convolution of 3x3, batch normalization and an activation."""
        x = self.layers.DepthwiseConv2D(3, stride, "same", use_bias=False, depthwise_initializer="he_normal")(x)
        return self._activate(self._normalize(x), activation)

    def _normalize(self, x: Tensor) -> Tensor:
        return self.layers.BatchNormalization(momentum=0.97)(x)

    def _activate(self, x: Tensor, activation: str | None) -> Tensor:
        if activation is None:
            return x
        return self.layers.ReLU(6.0)(x) if activation == "relu6" else self.layers.ReLU()(x)


def build_network(name: str, settings: NetworkSettings) -> tf_keras.Model:
    """Build the network `name`, freshly initialized.

    Returns:
        a model from `float32[N, H, W, 3]`, 0..255, to `float32[N, classes]`, probabilities.

    Raises:
        UnknownNameError: no such network.
        InputError: the network has no width multiplier, or the image size does not fit.
    """
    network, width = find_network(name), settings.width
    check_network(name, width, settings.image_size)
    blocks = Blocks(settings)
    inputs = tf_keras.Input((*settings.input_size, 3))
    x = blocks.layers.Rescaling(*settings.rescaling)(inputs)
    x = network.build(x, width or network.default_width or 1.0, blocks)
    outputs = add_classifier(x, settings, penalty=blocks.penalty)
    return tf_keras.Model(inputs, outputs, name=name.replace("-", "_"))


def add_classifier(x: Tensor, settings: NetworkSettings, *, name: str | None = None, penalty: object = None) -> Tensor:
    """Add dropout and a softmax over `settings.classes` to the features `x`, `[N, C]`.

    Args:
        x: features.
        settings: number of classes, dropout and its seed.
        name: of the classifier's layer; None: chosen by Keras.
        penalty: on its kernel.
    """
    if settings.dropout:
        # A generator of its own, reset at the start of each epoch, so that a resumed run draws the same masks.
        dropout = tf_keras.layers.Dropout(
            settings.dropout, seed=settings.seed, rng_type="stateful", name=name and f"{name}_dropout"
        )
        x = dropout(x)
    # Probabilities have 32 bits in mixed precision too.
    dense = tf_keras.layers.Dense(
        settings.classes, activation="softmax", kernel_regularizer=penalty, dtype="float32", name=name
    )
    return dense(x)
