"""MobileNetV2: inverted residuals with linear bottlenecks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeclf.training.networks.network import Network, PublishedFigures, Tensor
from edgeclf.training.networks.sizes import size_for_five_strides
from edgeclf.training.starts.published import PUBLISHED

if TYPE_CHECKING:
    from edgeclf.training.networks.building import Blocks

_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, filters at width 1, number of blocks, stride of the first one."""


def make_divisible(channels: float) -> int:
    """Round to a multiple of 8, never by more than 10 % down (Sandler et al., 2018, reference implementation)."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _build(x: Tensor, width: float, blocks: Blocks) -> Tensor:
    channels = make_divisible(32 * width)
    x = blocks.convolution(x, channels, stride=2, activation="relu6")
    for expansion, filters, repeats, first_stride in _STAGES:
        for repeat in range(repeats):
            stride, shortcut = (first_stride if repeat == 0 else 1), x
            y = blocks.convolution(x, channels * expansion, 1, activation="relu6") if expansion > 1 else x
            y = blocks.depthwise(y, stride, "relu6")
            wide = make_divisible(filters * width)
            x = blocks.convolution(y, wide, 1, activation=None)
            if stride == 1 and wide == channels:
                x = blocks.layers.Add()([shortcut, x])
            channels = wide
    x = blocks.convolution(x, make_divisible(1280 * max(1.0, width)), 1, activation="relu6")
    return blocks.layers.GlobalAveragePooling2D()(x)


MOBILENET_V2 = Network(
    _build,
    "Sandler et al., 2018 (arXiv:1801.04381)",
    default_width=0.25,
    stem_filters=32,
    multiple=32,
    default_size=size_for_five_strides,
    automatic_for="photos",
    starts=PUBLISHED["mobilenet-v2"],
    published=PublishedFigures(224, 3_400_000, 300_000_000),
)
