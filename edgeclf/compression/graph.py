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

layers = tf_keras.layers
SCALING_LAYER = "edgeclf_scaling"


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
    """Take the input scaling out of a network.

    Args:
        network: functional or sequential, on raw pixels, or on `input_range` where it scales nothing inside.
        input_range: what pixel values 0 and 255 must become before they enter `network`; None: they enter raw.

    Raises:
        ModelError: the network is neither functional nor sequential.
    """
    if not isinstance(network, tf_keras.Sequential) and not getattr(network, "_is_graph_network", False):
        raise ModelError(f"a functional or sequential network was expected, got {type(network).__name__}")
    model = tf_keras.Model(network.inputs, network.outputs)
    found = _first_scaling(model)
    low, high = input_range or (0.0, 255.0)
    scale, offset = np.float64((high - low) / 255), np.float64(low)
    if found is not None:
        inner_scale, inner_offset = _scale_and_offset(found)
        scale, offset = scale * inner_scale, offset * inner_scale + inner_offset
    if not np.any(offset) and np.ndim(scale) == 0 and scale > 0:
        return Core(_rewired(model, found, None), float(scale * 255))
    scaling = layers.DepthwiseConv2D(1, use_bias=True, name=SCALING_LAYER, trainable=False)
    core = _rewired(model, found, scaling)
    weights = [np.broadcast_to(scale * 255, 3).reshape(1, 1, 3, 1), np.broadcast_to(offset, 3)]
    core.get_layer(SCALING_LAYER).set_weights([w.astype(np.float32) for w in weights])
    return Core(core, 1.0)


def _first_scaling(model: tf_keras.Model) -> Any:
    """The scaling layer right behind the input, if that is where all of the input goes."""
    nodes = model.inputs[0]._keras_history.layer._outbound_nodes
    consumers = [node.layer for node in nodes if node.layer in model.layers]
    if len(consumers) == 1 and isinstance(consumers[0], (layers.Rescaling, layers.Normalization)):
        return consumers[0]
    return None


def _scale_and_offset(layer: Any) -> tuple[Any, Any]:
    if isinstance(layer, layers.Rescaling):
        scale, offset = np.array(layer.scale, np.float64), np.array(layer.offset, np.float64)
        return (scale if scale.size > 1 else scale.item()), (offset if offset.size > 1 else offset.item())
    mean, variance = (np.ravel(np.asarray(value, np.float64)) for value in (layer.mean, layer.variance))
    deviation = np.maximum(np.sqrt(variance), tf_keras.backend.epsilon())
    return (deviation, mean) if layer.invert else (1 / deviation, -mean / deviation)


def _rewired(model: tf_keras.Model, removed: Any, inserted: Any) -> tf_keras.Model:
    """A copy with `removed` taken out and `inserted` put behind the input; weights are taken over by layer name."""
    config = model.get_config()
    entry = config["input_layers"][0][0]
    source = entry if inserted is None else inserted.name
    renames = {removed.name: source} if removed is not None else {entry: source}
    kept = []
    for layer in config["layers"]:
        if removed is not None and layer["name"] == removed.name:
            continue
        if layer["name"] != entry:
            layer["inbound_nodes"] = _renamed(layer["inbound_nodes"], renames)
        kept.append(layer)
    if inserted is not None:
        node = {"class_name": "DepthwiseConv2D", "config": inserted.get_config(), "name": inserted.name}
        kept.insert(1, node | {"inbound_nodes": [[[entry, 0, 0, {}]]]})
    config["layers"] = kept
    # Tensors in the file are named after the network; an automatic name counts up with each network of the process.
    config["name"] = "network"
    copy = tf_keras.Model.from_config(config)
    for layer in copy.layers:
        if layer.name != SCALING_LAYER and layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return copy


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, (list, tuple)):
        return [_renamed(part, names) for part in value]
    if isinstance(value, dict):
        return {key: _renamed(part, names) for key, part in value.items()}
    return names.get(value, value) if isinstance(value, str) else value


def check_quantizable(core: Core) -> None:
    """Name the layers that quantization-aware training cannot take, before any training starts.

    Raises:
        ModelError: there are some.
    """
    from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
        default_8bit_quantize_registry as registry,
    )

    known = registry.Default8BitQuantizeRegistry()
    fused = _fused_normalizations(core.model)
    bad = []
    for layer in core.model.layers:
        if isinstance(layer, layers.InputLayer) or layer.name in fused:
            continue
        if isinstance(layer, tf_keras.Model) or not (known.supports(layer) or _separable(layer)):
            bad.append(f"{layer.name} ({type(layer).__name__})")
        elif isinstance(layer, layers.Activation) and layer.activation.__name__ not in ("linear", "relu", "softmax"):
            bad.append(f"{layer.name} (activation {layer.activation.__name__})")
    if bad:
        listed = ", ".join(bad[:5]) + (f" and {len(bad) - 5} more" if len(bad) > 5 else "")
        raise ModelError(f"quantization-aware training cannot take the layers {listed}; use --int8 without --qat")


def _separable(layer: Any) -> bool:
    return isinstance(layer, (layers.SeparableConv1D, layers.SeparableConv2D))


def _fused_normalizations(model: tf_keras.Model) -> set[str]:
    """Batch normalizations right behind a convolution or dense layer: TFMOT fuses them."""
    before = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense, layers.SeparableConv2D, layers.Reshape)
    found = set()
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            behind = layer.input._keras_history.layer
            if isinstance(behind, before) and len(behind._outbound_nodes) == 1:
                found.add(layer.name)
    return found


def wrapped(model: tf_keras.Model, wanted: Callable[[Any], bool], wrap: Callable[[Any], Any]) -> tf_keras.Model:
    """A copy in which `wrap` is put around the layers that are `wanted`."""
    names = {layer.name for layer in model.layers if wanted(layer)}
    return tf_keras.models.clone_model(
        model, clone_function=lambda layer: wrap(layer) if layer.name in names else layer
    )
