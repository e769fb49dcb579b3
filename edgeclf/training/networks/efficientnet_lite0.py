"""EfficientNet-Lite0: inverted residuals without squeeze-and-excitation, made for integer arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeclf.training.networks.network import Network, PublishedFigures, Tensor
from edgeclf.training.networks.sizes import size_for_imagenet_weights
from edgeclf.training.starts.published import PUBLISHED

if TYPE_CHECKING:
    from edgeclf.training.networks.building import Blocks

_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
"""Expansion, filters, number of blocks, stride of the first one, side of the depthwise kernel."""


def _build(x: Tensor, width: float, blocks: Blocks) -> Tensor:
    channels = 32
    x = blocks.convolution(x, channels, stride=2, activation="relu6")
    for expansion, filters, repeats, first_stride, kernel in _STAGES:
        for repeat in range(repeats):
            stride, shortcut = (first_stride if repeat == 0 else 1), x
            y = blocks.convolution(x, channels * expansion, 1, activation="relu6") if expansion > 1 else x
            y = blocks.depthwise(y, stride, "relu6", kernel)
            x = blocks.convolution(y, filters, 1, activation=None)
            if stride == 1 and filters == channels:
                x = blocks.layers.Add()([shortcut, x])
            channels = filters
    x = blocks.convolution(x, 1280, 1, activation="relu6")
    return blocks.layers.GlobalAveragePooling2D()(x)


EFFICIENTNET_LITE0 = Network(
    _build,
    "Tan and Le, 2019 (arXiv:1905.11946); the variant Lite0 of Liu, 2020 (github.com/tensorflow/tpu)",
    multiple=32,
    default_size=size_for_imagenet_weights,
    automatic_for="photos",
    starts=PUBLISHED["efficientnet-lite0"],
    published=PublishedFigures(224, 4_652_008, 407_000_000),
)
