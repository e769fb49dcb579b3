"""Magnitude pruning (Zhu and Gupta, 2017, arXiv:1710.01878): small weights become zero in training."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras

from edgeclf.compression.recipe import Recipe
from edgeclf.compression.steps.fine_tune import Lessons, automatic_epochs, fine_tune
from edgeclf.errors import InputError
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.graph.prepared_network import SCALING_LAYER, wrap_layers

layers = tf_keras.layers
TARGET_STEPS = 1800
RISING = 0.6
"""Share of the training during which sparsity rises; the rest lets the network recover."""
HIGHEST = 0.98


def prune(network: FloatNetwork, recipe: Recipe, lessons: Lessons) -> tuple[FloatNetwork, tuple[str, ...]]:
    """A sparse copy of `network`, and what a person should know about it.

    Depthwise kernels and biases stay dense: they are few, and losing them costs much. Where there are depthwise kernels
    the others are pruned a little more, so that the share asked for is that of all weights.

    Raises:
        InputError: the share asked for cannot be reached without pruning depthwise kernels.
    """
    share, notes = float(recipe.prune or 0), []
    chosen = {layer.name: layer for layer in network.model.layers if _prunable(layer, recipe.pattern)}
    if not chosen:
        raise InputError("the network has no convolution or dense layer that could be pruned")
    total = sum(int(np.prod(kernel.shape)) for kernel in _kernels(network.model))
    dense = total - sum(int(np.prod(layer.kernel.shape)) for layer in chosen.values())
    if recipe.pattern is None:
        goal = share * total / (total - dense)
        if goal > HIGHEST:
            raise InputError(
                f"prune {share:g}: {dense:,} of {total:,} weights are depthwise and stay dense; ask for less"
            )
    else:
        goal = share
        if dense:
            notes.append(f"{recipe.pattern} needs input channels in fours; {dense:,} other weights stay dense")
    epochs = automatic_epochs(recipe.prune_epochs, lessons.steps, TARGET_STEPS)
    last = max(1, int(RISING * epochs * lessons.steps))
    schedule: Any = tfmot.sparsity.keras.PolynomialDecay(0.0, goal, 0, last, frequency=max(1, min(100, last // 10)))
    kinds: dict[str, Any] = {"pruning_schedule": schedule}
    if recipe.pattern is not None:
        kinds = {
            "pruning_schedule": tfmot.sparsity.keras.ConstantSparsity(share, 0, frequency=max(1, min(100, last // 10))),
            "sparsity_m_by_n": tuple(int(part) for part in recipe.pattern.split(":")),
        }
    model = wrap_layers(
        copied(network.model),
        lambda layer: layer.name in chosen,
        lambda layer: tfmot.sparsity.keras.prune_low_magnitude(layer, **kinds),
    )
    fine_tune(
        model,
        lessons,
        label=f"pruning to {recipe.pattern or f'{share:.0%}'}",
        epochs=epochs,
        learning_rate=recipe.prune_learning_rate,
        callbacks=[tfmot.sparsity.keras.UpdatePruningStep()],
        keep_from=min(epochs, math.ceil(last / lessons.steps) + 1),
    )
    bare = tfmot.sparsity.keras.strip_pruning(model)
    for name in chosen:
        _finish(bare.get_layer(name), goal, recipe.pattern)
    return network.with_model(copied(bare)), tuple(notes)


def copied(model: tf_keras.Model) -> tf_keras.Model:
    """A copy with layers of its own, so that training one leaves the other as it is.

    It is also a graph of its own: what TFMOT strips keeps the connections of the wrapped model beside the new ones.
    """
    copy = tf_keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def _prunable(layer: Any, pattern: str | None) -> bool:
    if layer.name == SCALING_LAYER or isinstance(layer, layers.DepthwiseConv2D):
        return False
    if not isinstance(layer, (layers.Conv2D, layers.Dense)):
        return False
    return pattern is None or int(layer.kernel.shape[-2]) % 4 == 0


def _kernels(model: tf_keras.Model) -> list[Any]:
    """What counts as weights in the file: everything of two dimensions and more."""
    return [weight for layer in model.layers for weight in layer.weights if len(weight.shape) >= 2]


def _finish(layer: Any, goal: float, pattern: str | None) -> None:
    """Zero the few weights that TFMOT's rounding leaves, so that no tensor has less than asked for."""
    values, *rest = layer.get_weights()
    if pattern is None:
        wanted = math.ceil(goal * values.size)
        order = np.argsort(np.abs(values), axis=None, kind="stable")
        values.reshape(-1)[order[:wanted]] = 0
    else:
        zeros, of = (int(part) for part in pattern.split(":"))
        groups = np.moveaxis(values, -2, -1)
        blocks = np.ascontiguousarray(groups).reshape(-1, of)
        smallest = np.argsort(np.abs(blocks), axis=1, kind="stable")[:, :zeros]
        np.put_along_axis(blocks, smallest, 0, axis=1)
        values = np.moveaxis(blocks.reshape(groups.shape), -1, -2)
    layer.set_weights([values, *rest])
