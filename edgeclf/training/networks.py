"""The networks: flat functional tf-keras graphs that TFMOT can quantize, prune and cluster whole.

Every network takes raw RGB (`uint8` or `float32[N, H, W, 3]`, 0..255), scales it inside (`Rescaling`) and ends in a
softmax.
Convolutions that batch normalization follows carry no bias, which the normalization would cancel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import tf_keras

from edgeclf.errors import InputError, UnknownNameError

layers = tf_keras.layers
Tensor = object
UNIT_RANGE = (1 / 255, 0.0)
"""Scale and offset of the `Rescaling` layer: 0..255 becomes 0..1."""


@dataclass(frozen=True)
class Network:
    """One entry of the zoo of architectures.

    Args:
        build: adds the layers between the scaled input and the pooled features.
        paper: where it comes from.
        default_width: width multiplier when none is given; None: the network has no such knob.
        multiple: the input's side must be a multiple of this, pixels.
        any_size: it can be built without a fixed input size.
        depthwise: it has depthwise convolutions.
    """

    build: Callable[[Tensor, float, Callable[..., Tensor]], Tensor]
    paper: str
    default_width: float | None
    multiple: int
    any_size: bool = True
    depthwise: bool = False


def build_network(
    name: str,
    *,
    image_size: int | None,
    classes: int,
    width: float | None = None,
    dropout: float = 0.0,
    l1: float = 0.0,
    l2: float = 0.0,
    rescaling: tuple[float, float] = UNIT_RANGE,
    seed: int = 0,
) -> tf_keras.Model:
    """Build the network `name` for `classes` classes, freshly initialized.

    Args:
        name: key of `NETWORKS`.
        image_size: side of the square input, pixels; None: any (not every network can).
        classes: number of classes.
        width: width multiplier (Howard et al., 2017); None: the network's own default.
        dropout: rate before the classifier.
        l1: L1 penalty on kernels.
        l2: L2 penalty on kernels.
        rescaling: scale and offset of the `Rescaling` layer.
        seed: of the dropout layer.

    Returns:
        a model from `float32[N, image_size, image_size, 3]`, 0..255, to `float32[N, classes]`, probabilities.

    Raises:
        UnknownNameError: no such network.
        InputError: the network has no width, or the image size does not fit.
    """
    if name not in NETWORKS:
        raise UnknownNameError("model", name, NETWORKS)
    network = NETWORKS[name]
    if width is not None and network.default_width is None:
        wide = ", ".join(n for n, e in NETWORKS.items() if e.default_width is not None)
        raise InputError(f"{name} has no width multiplier, got --width {width:g}; those that have one: {wide}")
    if image_size is not None and image_size % network.multiple:
        raise InputError(f"{name} wants an image size that is a multiple of {network.multiple}, got {image_size}")
    penalty = tf_keras.regularizers.L1L2(l1, l2) if l1 or l2 else None

    def convolution(
        x: Tensor,
        filters: int,
        kernel: int = 3,
        stride: int = 1,
        activation: str | None = "relu",
        normalize: bool = True,
    ) -> Tensor:
        x = layers.Conv2D(
            filters, kernel, stride, "same", use_bias=False, kernel_initializer="he_normal", kernel_regularizer=penalty
        )(x)
        return _activated(_normalized(x) if normalize else x, activation)

    inputs = tf_keras.Input((image_size, image_size, 3))
    x = layers.Rescaling(*rescaling)(inputs)
    x = network.build(x, width or network.default_width or 1.0, convolution)
    if dropout:
        # A generator of its own, set anew at the start of each epoch, so that a resumed run draws the same masks.
        x = layers.Dropout(dropout, seed=seed, rng_type="stateful")(x)
    # In mixed precision too, probabilities are told apart in 32 bits.
    outputs = layers.Dense(classes, activation="softmax", kernel_regularizer=penalty, dtype="float32")(x)
    return tf_keras.Model(inputs, outputs, name=name.replace("-", "_"))


def _normalized(x: Tensor) -> Tensor:
    return layers.BatchNormalization(momentum=0.97)(x)


def _activated(x: Tensor, activation: str | None) -> Tensor:
    if activation is None:
        return x
    return layers.ReLU(6.0)(x) if activation == "relu6" else layers.ReLU()(x)


def _cnn(x: Tensor, width: float, convolution: Callable[..., Tensor]) -> Tensor:
    for filters in (32, 64):
        x = layers.Conv2D(filters, 3, activation="relu", kernel_initializer="he_normal")(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    return layers.Dense(128, activation="relu")(x)


def _resnet(x: Tensor, convolution: Callable[..., Tensor], blocks: int) -> Tensor:
    x = convolution(x, 16)
    for filters in (16, 32, 64):
        for block in range(blocks):
            stride = 2 if filters > 16 and block == 0 else 1
            y = convolution(x, filters, stride=stride)
            y = convolution(y, filters, activation=None)
            if stride > 1:
                x = convolution(x, filters, 1, stride, activation=None, normalize=False)
            x = layers.ReLU()(layers.Add()([x, y]))
    return layers.GlobalAveragePooling2D()(x)


def _resnet8(x: Tensor, width: float, convolution: Callable[..., Tensor]) -> Tensor:
    return _resnet(x, convolution, blocks=1)


def _resnet20(x: Tensor, width: float, convolution: Callable[..., Tensor]) -> Tensor:
    return _resnet(x, convolution, blocks=3)


def _depthwise(x: Tensor, stride: int, activation: str) -> Tensor:
    x = layers.DepthwiseConv2D(3, stride, "same", use_bias=False, depthwise_initializer="he_normal")(x)
    return _activated(_normalized(x), activation)


def _mobilenet_v1(x: Tensor, width: float, convolution: Callable[..., Tensor]) -> Tensor:
    x = convolution(x, max(8, int(32 * width)), stride=2)
    for filters, stride in (
        [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + [(512, 1)] * 5 + [(1024, 2), (1024, 1)]
    ):
        x = _depthwise(x, stride, "relu")
        x = convolution(x, max(8, int(filters * width)), 1)
    return layers.GlobalAveragePooling2D()(x)


def _divisible(channels: float) -> int:
    """Round to a multiple of 8, never by more than 10 % down (Sandler et al., 2018, reference implementation)."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _mobilenet_v2(x: Tensor, width: float, convolution: Callable[..., Tensor]) -> Tensor:
    x = convolution(x, _divisible(32 * width), stride=2, activation="relu6")
    channels = _divisible(32 * width)
    settings = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    for expansion, filters, repeats, first_stride in settings:
        for repeat in range(repeats):
            stride, shortcut = (first_stride if repeat == 0 else 1), x
            y = convolution(x, channels * expansion, 1, activation="relu6") if expansion > 1 else x
            y = _depthwise(y, stride, "relu6")
            wide = _divisible(filters * width)
            x = convolution(y, wide, 1, activation=None)
            if stride == 1 and wide == channels:
                x = layers.Add()([shortcut, x])
            channels = wide
    x = convolution(x, _divisible(1280 * max(1.0, width)), 1, activation="relu6")
    return layers.GlobalAveragePooling2D()(x)


NETWORKS: dict[str, Network] = {
    "cnn": Network(_cnn, "LeCun et al., 1998, in the form of the classic two-layer tutorial", None, 8, any_size=False),
    "resnet8": Network(_resnet8, "He et al., 2016 (arXiv:1512.03385); MLPerf Tiny, Banbury et al., 2021", None, 8),
    "resnet20": Network(_resnet20, "He et al., 2016 (arXiv:1512.03385), section 4.2", None, 8),
    "mobilenet-v1": Network(_mobilenet_v1, "Howard et al., 2017 (arXiv:1704.04861)", 0.25, 32, depthwise=True),
    "mobilenet-v2": Network(_mobilenet_v2, "Sandler et al., 2018 (arXiv:1801.04381)", 0.25, 32, depthwise=True),
}
