"""A small network with strides, padding, a depthwise layer, a shortcut and a dense layer; nobody trains it."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import tf_keras

from edgeclf.artifact.normalization import RAW
from edgeclf.graph.float_network import FloatNetwork, InputSpec
from edgeclf.graph.prepared_network import prepare_network

IMAGES = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), dtype=np.uint8)


@functools.cache
def build(widen: float = 1.0) -> Any:
    """The prepared network, for classes a to d.

    Args:
        widen: makes one channel of the shortcut as many times larger, and its readers as many times smaller.
    """
    tf_keras.utils.set_random_seed(3)
    layers = tf_keras.layers
    inputs = layers.Input((16, 16, 3))
    x = layers.Rescaling(1 / 255)(inputs)
    x = shortcut = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="first")(x)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu6", name="depthwise")(x)
    x = layers.Add()([layers.Conv2D(8, 1, name="linear")(x), shortcut])
    x = layers.Conv2D(6, 3, dilation_rate=2, activation="relu", name="reader")(x)
    outputs = layers.Dense(4, activation="softmax", name="dense")(layers.Flatten()(x))
    model = tf_keras.Model(inputs, outputs)
    random = np.random.default_rng(1)
    model.set_weights([w + 0.1 * random.standard_normal(w.shape) for w in model.get_weights()])  # no two biases equal
    for name in ("first", "linear"):
        _scale(model.get_layer(name), (..., 5), (5,), widen)
    _scale(model.get_layer("reader"), (slice(None), slice(None), 5), None, 1 / widen)
    _scale(model.get_layer("depthwise"), (slice(None), slice(None), 5), None, 1 / widen)
    spec = InputSpec(16, 16, RAW)
    return prepare_network(FloatNetwork(model, lambda x: model(x, training=False), model, spec, tuple("abcd")))


def _scale(layer: Any, part: Any, bias: Any, factor: float) -> None:
    kernel, offsets = layer.get_weights()
    kernel[part] *= factor
    if bias is not None:
        offsets[bias] *= factor
    layer.set_weights([kernel, offsets])
