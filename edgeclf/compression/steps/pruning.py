"""How `Prune` works: TFMOT's wrappers around the layers that are pruned, and exact zeros at the end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras

from edgeclf.compression.step import StepContext
from edgeclf.compression.steps.fine_tune import FineTuningData, automatic_epochs, copy_model, fine_tune
from edgeclf.compression.steps.prune import RISING, first_kept
from edgeclf.errors import InputError
from edgeclf.graph import quantizable
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.graph.inner_scaling import is_input_scaling
from edgeclf.graph.prepared_network import wrap_layers
from edgeclf.measure.formatting import percent

if TYPE_CHECKING:
    from edgeclf.compression.steps.prune import Prune

layers = tf_keras.layers
HIGHEST = 0.98


def prune(network: FloatNetwork, step: Prune, context: StepContext) -> FloatNetwork:
    """Return a sparse copy of `network`.

    Raises:
        InputError: the network cannot be pruned so far.
    """
    data = FineTuningData.from_step(step, context)
    chosen, goal, notes = choose_layers(network.model, step)
    epochs = automatic_epochs(step.training.epochs, data.steps, step.target_steps)
    last = max(1, int(RISING * epochs * data.steps))
    settings = _wrapper_settings(step, goal, last)
    model = wrap_layers(
        copy_model(network.model),
        lambda layer: layer.name in chosen,
        lambda layer: tfmot.sparsity.keras.prune_low_magnitude(layer, **settings),
    )
    fine_tune(
        model,
        data,
        label=f"pruning to {step.pattern or percent(step.fraction, 0)}",
        epochs=epochs,
        learning_rate=step.training.learning_rate,
        callbacks=[tfmot.sparsity.keras.UpdatePruningStep()],
        keep_from=first_kept(epochs),
    )
    bare = tfmot.sparsity.keras.strip_pruning(model)
    for name in chosen:
        _finish(bare.get_layer(name), goal, step.pattern)
    made = copy_model(bare)
    masks = {name: np.asarray(made.get_layer(name).kernel) != 0 for name in chosen}
    invariants = replace(network.invariants, masks=MappingProxyType(masks), pattern=step.pattern)
    return network.with_model(made, invariants=invariants, notes=notes)


def choose_layers(model: Any, step: Prune) -> tuple[frozenset[str], float, tuple[str, ...]]:
    """Choose what is pruned.

    Returns:
        names of the layers, the fraction of zeros in each of them, and remarks for the user.

    Raises:
        InputError: there is nothing to prune, or not enough without depthwise kernels.
    """
    chosen = {layer.name: layer for layer in model.layers if _prunable(layer, step.pattern)}
    if not chosen:
        raise InputError("the network has no convolution or dense layer that could be pruned")
    total = sum(int(np.prod(kernel.shape)) for kernel in _kernels(model))
    dense = total - sum(int(np.prod(layer.kernel.shape)) for layer in chosen.values())
    if step.pattern is not None:
        note = f"{step.pattern} needs input channels in fours; {dense:,} other weights stay dense"
        return frozenset(chosen), step.fraction, (note,) if dense else ()
    # Quantization-aware training behind this step makes dense kernels of loose batch normalizations, which count too.
    later = sum(quantizable.find_loose_scalings(model).values())
    goal = step.fraction * (total + later) / (total - dense)
    if goal > HIGHEST:
        stay = f"{dense:,} of {total:,} weights stay dense ({_name_dense(model, chosen)}), and " if dense else ""
        raise InputError(
            f"prune {step.fraction:g}: {stay}{percent(HIGHEST, 0)} of a layer's weights can go at most; ask for less"
        )
    return frozenset(chosen), goal, ()


def _wrapper_settings(step: Prune, goal: float, last: int) -> dict[str, Any]:
    frequency = max(1, min(100, last // 10))
    if step.pattern is None:
        return {"pruning_schedule": tfmot.sparsity.keras.PolynomialDecay(0.0, goal, 0, last, frequency=frequency)}
    return {
        "pruning_schedule": tfmot.sparsity.keras.ConstantSparsity(step.fraction, 0, frequency=frequency),
        "sparsity_m_by_n": tuple(int(part) for part in step.pattern.split(":")),
    }


def _prunable(layer: Any, pattern: str | None) -> bool:
    if is_input_scaling(layer) or isinstance(layer, layers.DepthwiseConv2D):
        return False
    if not isinstance(layer, (layers.Conv2D, layers.Dense)):
        return False
    return pattern is None or int(layer.kernel.shape[-2]) % 4 == 0


def _name_dense(model: Any, chosen: Mapping[str, Any]) -> str:
    """Name the kinds of layers whose weights stay dense."""
    with_weights = (
        type(layer).__name__ for layer in model.layers if layer.name not in chosen and _layer_kernels(layer)
    )
    return ", ".join(dict.fromkeys(with_weights))


def _kernels(model: Any) -> list[Any]:
    """List what counts as weights in the file: everything of two dimensions and more."""
    return [weight for layer in model.layers for weight in _layer_kernels(layer)]


def _layer_kernels(layer: Any) -> list[Any]:
    if isinstance(layer, layers.PReLU):  # slopes, however many axes they have
        return []
    return [weight for weight in layer.weights if len(weight.shape) >= 2]


def _finish(layer: Any, goal: float, pattern: str | None) -> None:
    """Zero the few weights that TFMOT's rounding leaves, so that no tensor has less than asked for."""
    values, *rest = layer.get_weights()
    if pattern is None:
        order = np.argsort(np.abs(values), axis=None, kind="stable")
        values.reshape(-1)[order[: math.ceil(goal * values.size)]] = 0
    else:
        zeros, of = (int(part) for part in pattern.split(":"))
        groups = np.moveaxis(values, -2, -1)
        blocks = np.ascontiguousarray(groups).reshape(-1, of)
        smallest = np.argsort(np.abs(blocks), axis=1, kind="stable")[:, :zeros]
        np.put_along_axis(blocks, smallest, 0, axis=1)
        values = np.moveaxis(blocks.reshape(groups.shape), -1, -2)
    layer.set_weights([values, *rest])
