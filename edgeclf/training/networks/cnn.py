"""The two-layer network of the classic tutorials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeclf.training.networks.network import Network, Tensor

if TYPE_CHECKING:
    from edgeclf.training.networks.building import Blocks


def _build(x: Tensor, width: float, blocks: Blocks) -> Tensor:
    layers = blocks.layers
    for filters in (32, 64):
        x = layers.Conv2D(filters, 3, activation="relu", kernel_initializer="he_normal")(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    return layers.Dense(128, activation="relu")(x)


CNN = Network(
    _build,
    "LeCun et al., 1998, in the form of the classic two-layer tutorial",
    any_size=False,
    smallest=16,
    bfloat16_faster=True,
)
