"""What a network's output is: what its last activation makes, in front of layers that only shape it; and its loss."""

from __future__ import annotations

from typing import Any

import tf_keras

from edgeclf.graph.private_apis import operands, producer

layers = tf_keras.layers

_SHAPE_ONLY = (layers.Flatten, layers.Reshape, layers.Dropout)
"""Layers that change no number when a network predicts."""
_AVERAGES = (layers.GlobalAveragePooling2D, layers.AveragePooling2D, layers.Average)


def find_activated(model: Any) -> Any:
    """Return the layer whose activation the output ends in, in front of layers that only shape it.

    Layers may be wrapped, as for quantization-aware training; that of the activation is returned without its wrapper.
    """
    return _inner(find_activated_tensor(model.outputs[0]))


def find_activated_tensor(tensor: Any) -> Any:
    """Return the symbolic tensor that the layer of `find_activated` makes, behind which layers only shape it."""
    while True:
        layer = _inner(tensor)
        linear = isinstance(layer, layers.Activation) and name_activation(layer) == "linear"
        before = operands(tensor)
        if not before or not (linear or isinstance(layer, _SHAPE_ONLY)):
            return tensor
        tensor = before[0]


def _inner(tensor: Any) -> Any:
    layer = producer(tensor)
    return getattr(layer, "layer", layer)


def gives_probabilities(model: Any) -> bool:
    """Return whether a network ends in a softmax, in a sigmoid a class, or in averages of such."""
    return name_output(model) in ("softmax", "sigmoid")


def loss_of(model: Any) -> Any:
    """Return the loss of a network's outputs `float32[N, C]` against targets from 0 to 1 of the same shape.

    Scores that are independent of each other, a sigmoid a class, are each compared with their target; all others with
    what a softmax over the classes would be.
    """
    last = name_output(model)
    if last == "sigmoid":
        return tf_keras.losses.BinaryCrossentropy()
    return tf_keras.losses.CategoricalCrossentropy(from_logits=last != "softmax")


def name_output(model: Any) -> str:
    """Return the name of the activation that a network's scores come from, through averages of one kind, or empty."""
    return _name_scores(model.outputs[0])


def _name_scores(tensor: Any) -> str:
    tensor = find_activated_tensor(tensor)
    layer = _inner(tensor)
    if isinstance(layer, _AVERAGES):
        names = {_name_scores(one) for one in operands(tensor)}
        return names.pop() if names in ({"softmax"}, {"sigmoid"}) else ""
    return "softmax" if isinstance(layer, layers.Softmax) else name_activation(layer)


def name_activation(layer: Any) -> str:
    """Return the name of a layer's activation function; empty: it has none."""
    activation = getattr(layer, "activation", None)
    activation = getattr(activation, "activation", activation)  # TFMOT's wrapper of one
    return str(getattr(activation, "__name__", ""))
