"""Rebuilds tf-keras networks from standard layers in float32, whatever their precision, input type or arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import tf_keras

from edgeclf.graph.arithmetic import OPERATION_LAYERS, rewrite_arithmetic
from edgeclf.graph.flatten import flatten
from edgeclf.graph.private_apis import all_layers, calls_of, has_graph, readers
from edgeclf.graph.rewire import rewire

layers = tf_keras.layers
_CHANNEL_BY_CHANNEL = (
    *(layers.ZeroPadding2D, layers.Cropping2D, layers.CenterCrop, layers.Resizing, layers.UpSampling2D, layers.Dropout),
    *(layers.AveragePooling2D, layers.MaxPooling2D, layers.RandomFlip, layers.RandomRotation, layers.RandomZoom),
    *(layers.RandomTranslation, layers.RandomCrop, layers.RandomHeight, layers.RandomWidth, layers.RandomBrightness),
    *(layers.RandomContrast, layers.GaussianNoise),
)
"""Layers that treat all channels alike, each apart from the others."""


def standardize(model: Any) -> Any:
    """Rebuild a network in float32, with arithmetic as standard layers; it takes float32 pixels.

    A reversal of the channels goes into the weights of the first convolution.

    Args:
        model: a functional or sequential tf-keras network; networks inside it are flattened.

    Returns:
        a flat copy, or `model` itself where it is made so already, or has no graph.

    Raises:
        ModelError: it calls a known function in a way that no layer can; see `rewrite_arithmetic`.
    """
    if not has_graph(model) or not _is_unusual(model):
        return model
    flat = flatten(model)
    flat = tf_keras.Model(flat.inputs, flat.outputs)
    rewritten = rewrite_arithmetic(flat.get_config())
    config = {**rewritten.config, "layers": [_in_float32(layer) for layer in rewritten.config["layers"]]}
    copy = tf_keras.Model.from_config(config)
    for layer in copy.layers:
        if layer.name in rewritten.reversals:
            layer.set_weights([np.eye(3, dtype=np.float32)[::-1].reshape(1, 1, 3, 3)])
        elif layer.weights:
            layer.set_weights(flat.get_layer(layer.name).get_weights())
    if rewritten.idle:
        copy = rewire(copy, removed=rewritten.idle)
    for name in rewritten.reversals:
        copy = _fold_reversal(copy, copy.get_layer(name))
    return copy


def _is_unusual(model: Any) -> bool:
    if any(tensor.dtype != "float32" for tensor in model.inputs):
        return True
    return any(type(layer).__name__ in OPERATION_LAYERS or _is_half(layer) for layer in all_layers(model))


def _is_half(layer: Any) -> bool:
    return layer.compute_dtype in ("float16", "bfloat16", "float64") or layer.dtype in ("float16", "bfloat16")


def _in_float32(layer: dict[str, Any]) -> dict[str, Any]:
    return {**layer, "config": {**layer["config"], "dtype": "float32"}} if "dtype" in layer["config"] else layer


def _fold_reversal(model: Any, reversal: Any) -> Any:
    """Take a reversal of the channels out, with the weights of the convolution behind it reversed.

    Between them may stand layers that treat the channels apart: their values for each channel are reversed too. Where
    something else comes first, the reversal stays the convolution that it is.
    """
    layer = reversal
    reversed_settings: dict[str, tuple[Any, list[Any]]] = {}
    while len(readers(layer)) == 1 and calls_of(readers(layer)[0]) == 1:
        layer = readers(layer)[0]
        if type(layer) is layers.Conv2D and layer.groups == 1:
            kernel, *rest = layer.get_weights()
            layer.set_weights([kernel[:, :, ::-1], *rest])
            return rewire(model, removed=[reversal.name], replaced=reversed_settings)
        if isinstance(layer, layers.Rescaling):
            values = [np.asarray(part).reshape(-1)[::-1].tolist() for part in (layer.scale, layer.offset)]
            scale, offset = (part if len(part) > 1 else part[0] for part in values)
            reversed_settings[layer.name] = (layers.Rescaling(scale, offset), [])
        elif not isinstance(layer, _CHANNEL_BY_CHANNEL):
            break
    return model
