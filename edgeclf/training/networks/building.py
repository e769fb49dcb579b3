"""Building a network: input and scaling in front, classifier behind, and the blocks that networks are made of.

Every network takes raw RGB (`uint8` or `float32[N, H, W, 3]`, 0..255), scales it inside (`Rescaling`) and ends in a
softmax.
Convolutions that batch normalization follows carry no bias, which the normalization would cancel.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from edgeclf.training.networks import check_network, find_network
from edgeclf.training.networks.network import NetworkSettings, Tensor

if TYPE_CHECKING:
    import tf_keras


class Blocks:
    """What the networks are made of; all kernels carry the same penalty, but for those of depthwise convolutions.

    Args:
        settings: of the network that is built.
        layers: what stands for `tf_keras.layers`, such as layers that only count; None: the layers themselves.

    Attributes:
        layers: `tf_keras.layers`.
    """

    def __init__(self, settings: NetworkSettings, layers: Any = None) -> None:
        self.penalty = None
        self.momentum = settings.batch_norm_momentum or 0.97
        if layers is None:
            import tf_keras

            layers = tf_keras.layers
            if settings.l1 or settings.l2:
                self.penalty = tf_keras.regularizers.L1L2(settings.l1, settings.l2)
        self.layers = layers

    def require_layers(self, what: str) -> None:
        """Refuse `what`, a network that is not made of these blocks, where their layers only count."""

    def convolution(
        self,
        x: Tensor,
        filters: int,
        kernel: int = 3,
        stride: int = 1,
        activation: str | None = "relu",
        normalize: bool = True,
        name: str | None = None,
    ) -> Tensor:
        """Add a convolution, batch normalization and an activation (see `activate`).

        The layers are called `NAME_conv` and `NAME_bn` where a name is given.
        """
        x = self.layers.Conv2D(
            filters,
            kernel,
            stride,
            "same",
            use_bias=False,
            kernel_initializer="he_normal",
            kernel_regularizer=self.penalty,
            name=name and f"{name}_conv",
        )(x)
        return self.activate(self.normalize(x, name) if normalize else x, activation)

    def depthwise(self, x: Tensor, stride: int, activation: str, kernel: int = 3, name: str | None = None) -> Tensor:
        """Add a depthwise convolution, batch normalization and an activation; `NAME_dwconv` and `NAME_bn`."""
        x = self.layers.DepthwiseConv2D(
            kernel,
            stride,
            "same",
            use_bias=False,
            depthwise_initializer="he_normal",
            name=name and f"{name}_dwconv",
        )(x)
        return self.activate(self.normalize(x, name), activation)

    def normalize(self, x: Tensor, name: str | None = None) -> Tensor:
        """Add a batch normalization, called `NAME_bn` where a name is given."""
        return self.layers.BatchNormalization(momentum=self.momentum, name=name and f"{name}_bn")(x)

    def application(self, x: Tensor, name: str, **options: object) -> Tensor:
        """Add the features of a network of `tf_keras.applications`, pooled, without its weights.

        Its convolutions get the penalty of the others, its batch normalizations their momentum: running averages that
        take a thousand steps lag behind in a short training.

        Args:
            x: the scaled input.
            name: of the function of `tf_keras.applications`.
            options: arguments of the function.
        """
        self.require_layers(name)
        import tf_keras

        make = getattr(tf_keras.applications, name)
        made = make(include_top=False, weights=None, input_tensor=x, pooling="avg", **options)
        for layer in made.layers:
            if isinstance(layer, self.layers.BatchNormalization):
                layer.momentum = self.momentum
            elif isinstance(layer, self.layers.Conv2D) and self.penalty is not None:
                layer.kernel_regularizer = self.penalty
                layer.add_loss(lambda layer=layer: self.penalty(layer.kernel))
        return made.output

    def hard_sigmoid(self, x: Tensor) -> Tensor:
        """Add min(max(x + 3, 0), 6) / 6 (Howard et al., 2019, arXiv:1905.02244, section 5.2)."""
        return self.layers.Rescaling(1 / 6)(self.layers.ReLU(6.0)(self.layers.Rescaling(1.0, 3.0)(x)))

    def squeeze_and_excite(self, x: Tensor, channels: int, squeezed: int, *, hard: bool) -> Tensor:
        """Scale each channel by what two layers make of the means of all (Hu et al., 2018, arXiv:1709.01507).

        Args:
            x: `[N, H, W, channels]`.
            channels: of `x`.
            squeezed: filters of the first of the two layers.
            hard: whether the factors come from a hard sigmoid.
        """
        layers = self.layers
        y = layers.GlobalAveragePooling2D(keepdims=True)(x)
        y = layers.Conv2D(squeezed, 1, activation="relu", kernel_regularizer=self.penalty)(y)
        y = layers.Conv2D(channels, 1, kernel_regularizer=self.penalty)(y)
        return layers.Multiply()([x, self.hard_sigmoid(y) if hard else layers.Activation("sigmoid")(y)])

    def activate(self, x: Tensor, activation: str | None) -> Tensor:
        """Add an activation: `relu`, `relu6`, `swish` (Ramachandran et al., 2017), `hard-swish` or None."""
        if activation is None:
            return x
        if activation == "swish":
            return self.layers.Activation("swish")(x)
        if activation == "hard-swish":
            return self.layers.Multiply()([x, self.hard_sigmoid(x)])
        return self.layers.ReLU(6.0)(x) if activation == "relu6" else self.layers.ReLU()(x)


def build_network(name: str, settings: NetworkSettings) -> tf_keras.Model:
    """Build the network `name`, freshly initialized.

    Returns:
        a model from `float32[N, H, W, 3]`, 0..255, to `float32[N, classes]`, probabilities.

    Raises:
        UnknownNameError: no such network.
        InputError: the network has no width multiplier, or the image size does not fit.
    """
    import tf_keras

    network, width = find_network(name), settings.width
    check_network(name, width, settings.image_size)
    blocks = Blocks(settings)
    inputs = tf_keras.Input((*settings.input_size, 3))
    x = blocks.layers.Rescaling(*settings.rescaling)(inputs)
    with _resettable_masks():
        x = network.build(x, width or network.default_width or 1.0, blocks)
    outputs = add_classifier(x, settings, penalty=blocks.penalty)
    return tf_keras.Model(inputs, outputs, name=name.replace("-", "_"))


@contextlib.contextmanager
def _resettable_masks() -> Iterator[None]:
    """Give each `Dropout` that is made inside a generator of its own, which `dropout.reset_dropout` can reset."""
    from tf_keras.backend import experimental

    before = experimental.is_tf_random_generator_enabled()
    experimental.enable_tf_random_generator()
    try:
        yield
    finally:
        if not before:
            experimental.disable_tf_random_generator()


def add_classifier(x: Tensor, settings: NetworkSettings, *, name: str | None = None, penalty: object = None) -> Tensor:
    """Add dropout and a softmax over `settings.classes` to the features `x`, `[N, C]`.

    Args:
        x: features.
        settings: number of classes, dropout and its seed.
        name: of the classifier's layer; None: chosen by Keras.
        penalty: on its kernel.
    """
    import tf_keras

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
