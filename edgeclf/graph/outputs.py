"""What a network's output is: what its last activation makes, in front of layers that only shape it."""

from __future__ import annotations

from typing import Any

import tf_keras

from edgeclf.graph.private_apis import operands, producer

layers = tf_keras.layers

SHAPE_ONLY = (layers.Flatten, layers.Reshape, layers.Dropout)
"""Layers that change no number when a network predicts."""


def gives_probabilities(model: Any) -> bool:
    """Return whether a network ends in a softmax; its layers may be wrapped for quantization-aware training."""
    tensor = model.outputs[0]
    while True:
        layer = producer(tensor)
        inner = getattr(layer, "layer", layer)
        activation = _activation(inner)
        if isinstance(inner, layers.Softmax) or activation == "softmax":
            return True
        passes_on = isinstance(inner, SHAPE_ONLY) or (isinstance(inner, layers.Activation) and activation == "linear")
        before = operands(tensor)
        if not passes_on or not before:
            return False
        tensor = before[0]


def _activation(layer: Any) -> str:
    activation = getattr(layer, "activation", None)
    activation = getattr(activation, "activation", activation)
    return str(getattr(activation, "__name__", ""))
