"""Compares a network of a file with one of the registry that the user names as well."""

from __future__ import annotations

import math

import tf_keras

from edgeclf.errors import InputError
from edgeclf.graph.inner_scaling import SCALING
from edgeclf.training.networks import NETWORKS, NetworkSettings
from edgeclf.training.networks.building import build_network
from edgeclf.training.transfer import take_features

layers = tf_keras.layers
USUAL_WIDTHS = (0.1, 0.15, 0.25, 0.3, 0.35, 0.5, 0.6, 0.75, 1.0, 1.3, 1.4, 2.0)
STEM_ROUNDING = 8
"""Filters that rounding may add to a first convolution or take from it; of some widths it has the same number."""


def check_architecture(network: tf_keras.Model, name: str, width: float | None, origin: str) -> None:
    """Raise InputError where `network` is not the network `name` that the user asked for as well.

    The shapes of the convolutions in front of pooling and head are compared with those of the network, built with
    `width`, or with each usual width that could have the first convolution of `network`.
    """
    convolutions = (layer for layer in network.layers if isinstance(layer, layers.Conv2D) and layer.name != SCALING)
    first = next(convolutions, None)
    if name not in NETWORKS or first is None:
        return
    network = take_features(network, origin)
    widths = (width,) if width else _possible_widths(name, first.filters)
    for one in widths:
        expected = _kernels(_build_features(name, one, origin))
        if _kernels(network) == expected:
            return
    text = f" of width {width:g}" if width else ""
    remedy = "leave --model and --width out to take both from the file"
    raise InputError(
        f"{origin} is not a {name}{text}: expected {len(expected)} convolutions of its shapes, got "
        f"{len(_kernels(network))} of other shapes; {remedy}{'' if width or len(widths) < 2 else ', or add --width'}"
    )


def _possible_widths(name: str, stem: int) -> tuple[float | None, ...]:
    """List the usual widths, and that of the first convolution's filters: they are rounded to a multiple of 8."""
    usual = NETWORKS[name].stem_filters
    if not usual:
        return (None,)
    near = [width for width in USUAL_WIDTHS if abs(usual * width - stem) <= STEM_ROUNDING]
    return tuple(dict.fromkeys((stem / usual, *near)))


def _build_features(name: str, width: float | None, origin: str) -> tf_keras.Model:
    multiple = NETWORKS[name].multiple
    settings = NetworkSettings(multiple * math.ceil(96 / multiple), classes=2, width=width)
    return take_features(build_network(name, settings), origin)


def _kernels(model: tf_keras.Model) -> list[tuple[int, ...]]:
    kinds = (layers.Conv2D, layers.DepthwiseConv2D)
    found = (layer for layer in model.layers if isinstance(layer, kinds) and layer.name != SCALING)
    return [tuple(layer.get_weights()[0].shape) for layer in found]
