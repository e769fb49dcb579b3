"""Knows the layers that scale a network's input inside, so that it takes raw pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeclf.graph.private_apis import all_layers, entering, following

SCALING = "edgeclf_rescaling"
"""Name of the layer that edgeclf itself puts behind the input: a 1x1 convolution where blue comes first."""
PREPARED_SCALING = "edgeclf_scaling"
"""Name of the layer that `prepare_network` puts there, of what the input's quantization cannot carry."""
_SCALING = frozenset({"Rescaling", "Normalization"})
_ARITHMETIC = frozenset({"Add", "Subtract", "Multiply", "TrueDivide", "Divide", "Negative"})
"""Operations of Keras 3; its layers of these names are others."""


def unfreeze(model: Any) -> None:
    """Make all layers of a tf-keras model trainable, but edgeclf's own scaling: a step that trains trains them all.

    Networks are saved with the layers frozen that a training left as they were; pruned or shrunk, those need it most.
    """
    model.trainable = True  # with all layers inside
    freeze_scaling(model)


def freeze_scaling(model: Any) -> None:
    """Let edgeclf's own scaling, and a reversal of the colors, be as they are in training."""
    for layer in all_layers(model):
        if is_input_scaling(layer):
            layer.trainable = False


def is_input_scaling(layer: Any) -> bool:
    """Return whether a tf-keras layer only scales or reverses colors, so that it has nothing to learn or to lose."""
    return layer.name in (SCALING, PREPARED_SCALING) or is_reversal(layer)


def is_reversal(layer: Any) -> bool:
    """Return whether a layer is the convolution that stands for a reversal of the colors (`standardize`)."""
    weights = list(getattr(layer, "weights", None) or ())
    if len(weights) != 1 or tuple(weights[0].shape) != (1, 1, 3, 3):
        return False
    return np.array_equal(np.asarray(weights[0])[0, 0], np.eye(3)[::-1])


def scales_input(model: Any) -> bool:
    """Return whether pixels are scaled before they meet weights of more than one dimension.

    Args:
        model: a network of tf-keras (`standardize`) or Keras 3, with others inside or not; anything else has no graph
            that could be looked at.
    """
    waiting = [after for layer in entering(model) for after in following(layer)]
    seen: set[int] = set()
    while waiting:
        layer = waiting.pop()
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        name, module = type(layer).__name__, type(layer).__module__
        arithmetic = name in _ARITHMETIC and module.startswith("keras.src.ops")
        if name in _SCALING or arithmetic or getattr(layer, "name", "") == SCALING:
            return True
        if entering(layer) and scales_input(layer):
            return True
        if is_reversal(layer) or not any(len(weight.shape) > 1 for weight in getattr(layer, "weights", ())):
            waiting += following(layer)
    return False
