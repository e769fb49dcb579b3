"""The networks of the registry, each built once for all tests, at its size for images of 32 or of 96 pixels."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from edgeclf.artifact.normalization import RAW
from edgeclf.graph.float_network import FloatNetwork, InputSpec
from edgeclf.training.networks import NETWORKS, NetworkSettings
from edgeclf.training.networks.building import build_network

NAMES = tuple("abcdefghij")


def size_of(name: str) -> int:
    """The side of the input for small images, or for photos where a network halves it too often for small ones."""
    network = NETWORKS[name]
    return network.default_size(96 if network.multiple == 32 or network.smallest > 32 else 32)


@functools.cache
def built(name: str) -> Any:
    """The network with its default width and size, for ten classes; nobody trains it."""
    return build_network(name, NetworkSettings(size_of(name), len(NAMES)))


def float_network(model: Any) -> FloatNetwork:
    """The network as `compress` finds it."""
    spec = InputSpec(*model.input_shape[1:3], RAW)
    return FloatNetwork(model, lambda x: model(x, training=False), model, spec, NAMES[: model.output_shape[-1]])


def images(size: int, count: int = 2) -> Any:
    """Noise, uint8[count, size, size, 3]."""
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def trainable_parameters(model: Any) -> int:
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def count_macs(model: Any) -> int:
    """Multiply-accumulates of convolutions, dense layers and attention, for one image."""
    return sum(_layer_macs(layer) for layer in model.layers)


def _layer_macs(layer: Any) -> int:
    kind = type(layer).__name__
    if kind == "Attention":  # scores and weighted sums: [heads, patches, size] with [heads, size, patches], and back
        heads, patches, size = layer.output.shape[1:]
        return 2 * int(heads) * int(patches) ** 2 * int(size)
    if kind not in ("Conv2D", "DepthwiseConv2D", "Dense"):
        return 0
    weights = layer.get_weights()[0]
    made = math.prod(layer.output.shape[1:])
    return made * (weights.shape[0] * weights.shape[1] if kind == "DepthwiseConv2D" else weights[..., 0].size)
