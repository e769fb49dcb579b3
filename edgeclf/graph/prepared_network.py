"""The network without its input scaling, in the form that TFMOT can quantize, prune and cluster whole.

A pure scale such as `Rescaling(1/255)` costs nothing in an integer graph: it is the input tensor's own quantization
(scale 1/255, zero point 0 for uint8). A scaling with an offset becomes a frozen 1x1 depthwise convolution, which every
tool knows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tf_keras

from edgeclf.errors import ModelError
from edgeclf.graph.flatten import flattened
from edgeclf.graph.rewire import rewired

layers = tf_keras.layers
SCALING_LAYER = "edgeclf_scaling"
SCALING_KINDS = (layers.Rescaling, layers.Normalization)
IDLE_AT_INFERENCE = (
    *(layers.RandomBrightness, layers.RandomContrast, layers.RandomFlip, layers.RandomHeight, layers.RandomRotation),
    *(layers.RandomTranslation, layers.RandomWidth, layers.RandomZoom, layers.GaussianDropout, layers.GaussianNoise),
    *(layers.AlphaDropout, layers.ActivityRegularization),
)
"""Layers that change their input in training alone. Dropout is none of them: fine-tuning keeps it."""


@dataclass(frozen=True)
class Core:
    """A network on scaled pixels.

    Attributes:
        model: from `float32[N, H, W, 3]`, 0..`high`, to `float32[N, C]`; functional, without `Rescaling`.
        high: what pixel value 255 becomes; 0 stays 0.
    """

    model: tf_keras.Model
    high: float

    def on_pixels(self, pixels: Any) -> Any:
        """Run on raw pixels `[N, H, W, 3]`, 0..255, of any type."""
        import tensorflow as tf

        return self.model(tf.cast(pixels, tf.float32) * np.float32(self.high / 255), training=False)


def prepare_core(network: tf_keras.Model, input_range: tuple[float, float] | None = None) -> Core:
    """Make a network flat, leave out what does nothing at inference, and take the input scaling out.

    Args:
        network: functional or sequential, on raw pixels, or on `input_range` where it scales nothing inside.
        input_range: what pixel values 0 and 255 must become before they enter `network`; None: they enter raw.

    Raises:
        ModelError: the network is neither functional nor sequential.
    """
    if not isinstance(network, tf_keras.Sequential) and not getattr(network, "_is_graph_network", False):
        raise ModelError(f"a functional or sequential network was expected, got {type(network).__name__}")
    flat = flattened(network)
    idle = {layer.name for layer in flat.layers if type(layer) in IDLE_AT_INFERENCE}
    model = rewired(tf_keras.Model(flat.inputs, flat.outputs), removed=idle)
    low, high = input_range or (0.0, 255.0)
    scale, offset = np.float64((high - low) / 255), np.float64(low)
    scalings = _scalings(model)
    for layer in scalings:
        inner_scale, inner_offset = scale_and_offset(layer)
        scale, offset = scale * inner_scale, offset * inner_scale + inner_offset
    removed = [layer.name for layer in scalings]
    if not np.any(offset) and np.ndim(scale) == 0 and scale > 0:
        return Core(rewired(model, removed=removed), float(scale * 255))
    scaling = layers.DepthwiseConv2D(1, use_bias=True, name=SCALING_LAYER, trainable=False)
    weights = [np.broadcast_to(scale * 255, 3).reshape(1, 1, 3, 1), np.broadcast_to(offset, 3)]
    return Core(
        rewired(model, removed=removed, behind_input=(scaling, [w.astype(np.float32) for w in weights])), high=1.0
    )


def _scalings(model: tf_keras.Model) -> list[Any]:
    """The scaling layers, one behind the other, that all of the input goes through first."""
    found: list[Any] = []
    behind = model.inputs[0]._keras_history.layer
    while True:
        readers = [node.layer for node in behind._outbound_nodes]
        if len(readers) != 1 or not isinstance(readers[0], SCALING_KINDS) or len(readers[0]._inbound_nodes) != 1:
            return found
        behind = readers[0]
        found.append(behind)


def scale_and_offset(layer: Any) -> tuple[Any, Any]:
    """What a `Rescaling` or `Normalization` multiplies by and adds: float64 numbers, or one for each channel."""
    if isinstance(layer, layers.Rescaling):
        scale, offset = np.array(layer.scale, np.float64), np.array(layer.offset, np.float64)
        return (scale if scale.size > 1 else scale.item()), (offset if offset.size > 1 else offset.item())
    mean, variance = (np.ravel(np.asarray(value, np.float64)) for value in (layer.mean, layer.variance))
    deviation = np.maximum(np.sqrt(variance), tf_keras.backend.epsilon())
    return (deviation, mean) if layer.invert else (1 / deviation, -mean / deviation)


def wrapped(model: tf_keras.Model, wanted: Callable[[Any], bool], wrap: Callable[[Any], Any]) -> tf_keras.Model:
    """A copy in which `wrap` is put around the layers that are `wanted`."""
    names = {layer.name for layer in model.layers if wanted(layer)}
    return tf_keras.models.clone_model(
        model, clone_function=lambda layer: wrap(layer) if layer.name in names else layer
    )
