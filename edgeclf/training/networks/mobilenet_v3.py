"""MobileNetV3: inverted residuals with squeeze-and-excite and hard-swish.

Convolutions have the shapes and the order of those in `tf_keras.applications`, so that a file of its weights is
recognized.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeclf.training.networks.mobilenet_v2 import make_divisible
from edgeclf.training.networks.network import Builder, Network, PublishedFigures, Tensor
from edgeclf.training.networks.sizes import size_for_five_strides
from edgeclf.training.starts.published import PUBLISHED

if TYPE_CHECKING:
    from edgeclf.training.networks.building import Blocks

_Row = tuple[float, int, int, int, bool, str]
"""Expansion, filters at width 1, kernel, stride, squeeze-and-excite, activation."""
_RELU, _SWISH = "relu", "hard-swish"
_SMALL: tuple[_Row, ...] = (
    (1, 16, 3, 2, True, _RELU),
    (72 / 16, 24, 3, 2, False, _RELU),
    (88 / 24, 24, 3, 1, False, _RELU),
    (4, 40, 5, 2, True, _SWISH),
    *[(6, 40, 5, 1, True, _SWISH)] * 2,
    *[(3, 48, 5, 1, True, _SWISH)] * 2,
    (6, 96, 5, 2, True, _SWISH),
    *[(6, 96, 5, 1, True, _SWISH)] * 2,
)
"""Table 2 of the paper."""
_LARGE: tuple[_Row, ...] = (
    (1, 16, 3, 1, False, _RELU),
    (4, 24, 3, 2, False, _RELU),
    (3, 24, 3, 1, False, _RELU),
    *[(3, 40, 5, stride, True, _RELU) for stride in (2, 1, 1)],
    (6, 80, 3, 2, False, _SWISH),
    (2.5, 80, 3, 1, False, _SWISH),
    *[(2.3, 80, 3, 1, False, _SWISH)] * 2,
    *[(6, 112, 3, 1, True, _SWISH)] * 2,
    *[(6, 160, 5, stride, True, _SWISH) for stride in (2, 1, 1)],
)
"""Table 1 of the paper."""


def _builder(rows: tuple[_Row, ...], head: int) -> Builder:
    def build(x: Tensor, width: float, blocks: Blocks) -> Tensor:
        channels = 16
        x = blocks.convolution(x, channels, stride=2, activation=_SWISH)
        for number, row in enumerate(rows):
            filters = make_divisible(row[1] * width)
            y = _inverted_residual(x, row, channels, filters, blocks, expand=number > 0)
            x = blocks.layers.Add()([x, y]) if row[3] == 1 and filters == channels else y
            channels = filters
        x = blocks.convolution(x, make_divisible(channels * 6), 1, activation=_SWISH)
        x = blocks.layers.GlobalAveragePooling2D(keepdims=True)(x)
        x = blocks.layers.Conv2D(make_divisible(head * max(1.0, width)), 1, kernel_regularizer=blocks.penalty)(x)
        return blocks.layers.Flatten()(blocks.activate(x, _SWISH))

    return build


def _inverted_residual(x: Tensor, row: _Row, channels: int, filters: int, blocks: Blocks, *, expand: bool) -> Tensor:
    expansion, _, kernel, stride, squeeze, activation = row
    wide = make_divisible(channels * expansion)
    y = blocks.convolution(x, wide, 1, activation=activation) if expand else x
    y = blocks.depthwise(y, stride, activation, kernel)
    if squeeze:
        y = blocks.squeeze_and_excite(y, wide, make_divisible(wide / 4), hard=True)
    return blocks.convolution(y, filters, 1, activation=None)


MOBILENET_V3_SMALL = Network(
    _builder(_SMALL, 1024),
    "Howard et al., 2019 (arXiv:1905.02244)",
    default_width=1.0,
    multiple=32,
    default_size=size_for_five_strides,
    starts=PUBLISHED["mobilenet-v3-small"],
    published=PublishedFigures(224, 2_500_000, 56_000_000),
)
MOBILENET_V3_LARGE = Network(
    _builder(_LARGE, 1280),
    "Howard et al., 2019 (arXiv:1905.02244)",
    default_width=1.0,
    multiple=32,
    default_size=size_for_five_strides,
    starts=PUBLISHED["mobilenet-v3-large"],
    published=PublishedFigures(224, 5_400_000, 219_000_000),
)
