"""Finds out whether a network scales its input inside, so that it takes raw pixels."""

from __future__ import annotations

from typing import Any

from edgeclf.graph.private_apis import all_layers, entering, following

SCALING = "edgeclf_rescaling"
"""Name of the layer that edgeclf itself puts behind the input: a 1x1 convolution where blue comes first."""
_SCALING = frozenset({"Rescaling", "Normalization"})
_ARITHMETIC = frozenset({"Add", "Subtract", "Multiply", "TrueDivide", "Divide", "Negative"})
"""Operations of Keras 3; its layers of these names are others."""


def unfreeze(model: Any) -> None:
    """Make all layers of a tf-keras model trainable, but edgeclf's own scaling: a step that trains trains them all.

    Networks are saved with the layers frozen that a training left as they were; pruned or shrunk, those need it most.
    """
    for layer in all_layers(model):
        if layer.name != SCALING:
            layer.trainable = True


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
        if not any(len(weight.shape) > 1 for weight in getattr(layer, "weights", ())):
            waiting += following(layer)
    return False
