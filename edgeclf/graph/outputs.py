"""What a network's output is: what its last activation makes, in front of layers that only shape it; and its loss."""

from __future__ import annotations

from typing import Any

import tf_keras

from edgeclf.graph.private_apis import operands, producer

layers = tf_keras.layers

_SHAPE_ONLY = (layers.Flatten, layers.Reshape, layers.Dropout)
"""Layers that change no number when a network predicts."""


def find_activated(model: Any) -> Any:
    """Return the layer whose activation the output ends in, in front of layers that only shape it.

    Layers may be wrapped, as for quantization-aware training; that of the activation is returned without its wrapper.
    """
    tensor = model.outputs[0]
    while True:
        layer = producer(tensor)
        inner = getattr(layer, "layer", layer)
        linear = isinstance(inner, layers.Activation) and name_activation(inner) == "linear"
        before = operands(tensor)
        if not before or not (linear or isinstance(inner, _SHAPE_ONLY)):
            return inner
        tensor = before[0]


def gives_probabilities(model: Any) -> bool:
    """Return whether a network ends in a softmax, or in a sigmoid a class."""
    return _name_last(model) in ("softmax", "sigmoid")


def loss_of(model: Any) -> Any:
    """Return the loss of a network's outputs `float32[N, C]` against targets from 0 to 1 of the same shape.

    Scores that are independent of each other, a sigmoid a class, are each compared with their target; all others with
    what a softmax over the classes would be.
    """
    last = _name_last(model)
    if last == "sigmoid":
        return tf_keras.losses.BinaryCrossentropy()
    return tf_keras.losses.CategoricalCrossentropy(from_logits=last != "softmax")


def _name_last(model: Any) -> str:
    layer = find_activated(model)
    return "softmax" if isinstance(layer, layers.Softmax) else name_activation(layer)


def name_activation(layer: Any) -> str:
    """Return the name of a layer's activation function; empty: it has none."""
    activation = getattr(layer, "activation", None)
    activation = getattr(activation, "activation", activation)  # TFMOT's wrapper of one
    return str(getattr(activation, "__name__", ""))
