"""ResNet-9: a wide and shallow residual network for small images, which trains in few epochs; a teacher for others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeclf.training.networks.network import Network, Tensor

if TYPE_CHECKING:
    from edgeclf.training.networks.building import Blocks


def _build(x: Tensor, width: float, blocks: Blocks) -> Tensor:
    def scale(filters: int) -> int:
        return max(8, int(filters * width))

    def convolve_and_pool(x: Tensor, filters: int) -> Tensor:
        return blocks.layers.MaxPooling2D(2)(blocks.convolution(x, scale(filters)))

    x = blocks.convolution(x, scale(64))
    x = _residual_block(convolve_and_pool(x, 128), scale(128), blocks)
    x = convolve_and_pool(x, 256)
    x = _residual_block(convolve_and_pool(x, 512), scale(512), blocks)
    return blocks.layers.GlobalAveragePooling2D()(x)


def _residual_block(x: Tensor, filters: int, blocks: Blocks) -> Tensor:
    """Add two convolutions to what went into them, each with its activation before the sum."""
    return blocks.layers.Add()([x, blocks.convolution(blocks.convolution(x, filters), filters)])


RESNET9 = Network(
    _build,
    "Page, 2018 (How to train your ResNet), with global average pooling",
    default_width=0.5,
    stem_filters=64,
    bfloat16_faster=True,
)
