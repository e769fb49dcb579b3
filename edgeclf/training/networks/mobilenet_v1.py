"""MobileNetV1: depthwise separable convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeclf.training.networks.network import Network, PublishedFigures, Tensor
from edgeclf.training.networks.sizes import size_for_five_strides
from edgeclf.training.starts.published import PUBLISHED

if TYPE_CHECKING:
    from edgeclf.training.networks.building import Blocks

_STAGES = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
"""Filters at width 1 and stride of each pair of a depthwise and a pointwise convolution."""


def _build(x: Tensor, width: float, blocks: Blocks) -> Tensor:
    x = blocks.convolution(x, max(8, int(32 * width)), stride=2)
    for filters, stride in _STAGES:
        x = blocks.depthwise(x, stride, "relu")
        x = blocks.convolution(x, max(8, int(filters * width)), 1)
    return blocks.layers.GlobalAveragePooling2D()(x)


MOBILENET_V1 = Network(
    _build,
    "Howard et al., 2017 (arXiv:1704.04861)",
    default_width=0.25,
    stem_filters=32,
    multiple=32,
    default_size=size_for_five_strides,
    automatic_for="photos",
    starts=PUBLISHED["mobilenet-v1"],
    published=PublishedFigures(224, 4_200_000, 569_000_000),
)
