"""Finds the layers that TFMOT cannot train with rounding in the loop, and replaces what can be replaced.

TFMOT knows a batch normalization only right behind a linear convolution or dense layer, and no scaling at all. Both are
one multiplication and one addition a channel: a 1x1 depthwise convolution, which every tool knows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras

from edgeclf.errors import ModelError
from edgeclf.graph import batch_norm
from edgeclf.graph.batch_norm import normalized_axes
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.graph.prepared_network import SCALING_KINDS, scale_and_offset, scales_by_channel
from edgeclf.graph.private_apis import calls_of, default_8bit_registry, producer, quantizable_activations, readers
from edgeclf.graph.rewire import rewire

layers = tf_keras.layers


class NoQuantizerError(ModelError):
    """A network that TFMOT cannot train with rounding in the loop."""


def make_quantizable(network: FloatNetwork) -> FloatNetwork:
    """Turn each loose batch normalization and inner scaling of a prepared network into a depthwise convolution.

    Returns:
        a copy that computes the same, or `network` itself where nothing had to change.

    Raises:
        NoQuantizerError: there are layers that TFMOT has no rule for; they are named.
    """
    loose = find_loose_scalings(network.model)
    if loose:
        replaced = {name: _as_convolution(network.model.get_layer(name), channels) for name, channels in loose.items()}
        network = network.with_model(rewire(network.model, replaced=replaced))
    _check(network.model)
    return network


def find_loose_scalings(model: Any) -> dict[str, int]:
    """Find the layers that `make_quantizable` turns into depthwise convolutions: number of channels by name."""
    fused = _fused_normalizations(model)
    found = {}
    for layer in model.layers:
        if isinstance(layer, (layers.BatchNormalization, *SCALING_KINDS)) and layer.name not in fused:
            shape = layer.get_input_shape_at(0)
            scales = isinstance(layer, SCALING_KINDS)
            if len(shape) == 4 and (scales_by_channel(layer) if scales else normalized_axes(layer) == [3]):
                found[layer.name] = int(shape[3])
    return found


def _check(model: Any) -> None:
    known, fused = default_8bit_registry(), _fused_normalizations(model)
    bad = []
    for layer in model.layers:
        if isinstance(layer, layers.InputLayer) or layer.name in fused:
            continue
        activation = _refused_activation(layer, known)
        if not known.supports(layer):
            bad.append(f"{layer.name} ({type(layer).__name__})")
        elif activation is not None:
            bad.append(f"{layer.name} (activation {activation})")
    if bad:
        listed = ", ".join(bad[:5]) + (f" and {len(bad) - 5} more" if len(bad) > 5 else "")
        raise NoQuantizerError(f"TFMOT has no rule for the layers {listed}")


def _refused_activation(layer: Any, known: Any) -> str | None:
    """Name the layer's activation function where TFMOT has no rule for it."""
    function = getattr(layer, "activation", None)
    if function is None:
        return None
    name = str(getattr(function, "__name__", type(function).__name__))
    if isinstance(layer, layers.Activation):
        try:
            known.get_quantize_config(layer).get_output_quantizers(layer)
        except ValueError:
            return name
        return None
    return None if name in quantizable_activations() else name


def _fused_normalizations(model: Any) -> set[str]:
    """Name the batch normalizations right behind a linear convolution or dense layer: TFMOT fuses them."""
    before = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)
    found = set()
    for layer in model.layers:
        if not isinstance(layer, layers.BatchNormalization) or calls_of(layer) != 1:
            continue
        behind = producer(layer.input)
        if (
            isinstance(behind, before)
            and not isinstance(behind, layers.Conv2DTranspose)
            and len(readers(behind)) == 1
            and getattr(behind.activation, "__name__", "") == "linear"
        ):
            found.add(layer.name)
    return found


def _as_convolution(layer: Any, channels: int) -> tuple[Any, list[npt.NDArray[np.float32]]]:
    scaling = isinstance(layer, SCALING_KINDS)
    scale, offset = scale_and_offset(layer) if scaling else batch_norm.scale_and_offset(layer)
    weights = [np.broadcast_to(scale, channels).reshape(1, 1, channels, 1), np.broadcast_to(offset, channels)]
    made = layers.DepthwiseConv2D(1, use_bias=True, trainable=isinstance(layer, layers.BatchNormalization))
    return made, [weight.astype(np.float32) for weight in weights]
