"""VGG: a plain stack of 3x3 convolutions, here with batch normalization and without its large dense layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeclf.training.networks.network import Network, Tensor

if TYPE_CHECKING:
    from edgeclf.training.networks.building import Blocks

_STAGES = ((64,), (128,), (256, 256), (512, 512), (512, 512))
"""Filters at width 1 of the convolutions between two poolings: configuration A of the paper."""


def _build(x: Tensor, width: float, blocks: Blocks) -> Tensor:
    for number, stage in enumerate(_STAGES):
        if number:
            x = blocks.layers.MaxPooling2D(2)(x)
        for filters in stage:
            x = blocks.convolution(x, max(8, int(filters * width)))
    return blocks.layers.GlobalAveragePooling2D()(x)


VGG = Network(
    _build,
    "Simonyan and Zisserman, 2015 (arXiv:1409.1556), configuration A with batch normalization and global pooling",
    default_width=0.5,
    stem_filters=64,
    smallest=16,
)
