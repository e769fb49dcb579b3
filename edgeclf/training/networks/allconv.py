"""All-convolutional network for small images: a stack of 3x3 convolutions with strides in place of poolings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeclf.training.networks.network import Network, Tensor

if TYPE_CHECKING:
    from edgeclf.training.networks.building import Blocks

_LAYERS = ((16, 2), (32, 1), (64, 2), (64, 1), (96, 2), (96, 1))
"""Filters and stride of each convolution.

The first one has a stride already: at full resolution it and the second layer would cost four times as much.
"""


def _build(x: Tensor, width: float, blocks: Blocks) -> Tensor:
    for filters, stride in _LAYERS:
        x = blocks.convolution(x, filters, stride=stride)
    return blocks.layers.GlobalAveragePooling2D()(x)


ALLCONV = Network(
    _build,
    "Springenberg et al., 2015 (arXiv:1412.6806), smaller, with batch normalization and a stride in the first layer",
)
