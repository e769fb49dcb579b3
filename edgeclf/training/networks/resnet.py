"""Residual networks for small images: with 6n + 2 layers, and two whose weights lie where they cost little time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeclf.training.networks.network import Builder, Network, PublishedFigures, Tensor

if TYPE_CHECKING:
    from edgeclf.training.networks.building import Blocks


def _builder(blocks_a_stage: int) -> Builder:
    def build(x: Tensor, width: float, blocks: Blocks) -> Tensor:
        x = blocks.convolution(x, 16)
        for stage, count in enumerate((16, 32, 64)):
            for block in range(blocks_a_stage):
                x = _residual_block(x, count, 2 if stage and not block else 1, blocks)
        return blocks.layers.GlobalAveragePooling2D()(x)

    return build


def _build_resnet10(x: Tensor, width: float, blocks: Blocks) -> Tensor:
    """Build two layers at full size, the residual blocks at half, where most weights pay off, and two layers behind."""
    for filters, stride in ((16, 1), (16, 1), (32, 2)):
        x = blocks.convolution(x, filters, stride=stride)
    for _ in range(2):
        x = _residual_block(x, 32, 1, blocks)
    x = blocks.convolution(x, 48)
    x = blocks.convolution(x, 56, stride=2)
    return blocks.layers.GlobalAveragePooling2D()(x)


def _build_resnet8_swish(x: Tensor, width: float, blocks: Blocks) -> Tensor:
    """Build one layer at full size, four at half and two at a quarter, with swish and squeeze-and-excite."""
    half, quarter, last = (4 * int(filters * width / 4 + 0.5) for filters in (32, 64, 48))
    for filters, stride in ((16, 1), (half, 2)):
        x = blocks.convolution(x, filters, stride=stride, activation="swish")
    x = _residual_block(x, half, 1, blocks, "swish")
    for filters, stride in ((half, 1), (quarter, 2), (last, 1)):
        x = blocks.convolution(x, filters, stride=stride, activation="swish")
    x = blocks.squeeze_and_excite(x, last, 16, hard=False)
    return blocks.layers.GlobalAveragePooling2D()(x)


def _residual_block(x: Tensor, filters: int, stride: int, blocks: Blocks, activation: str = "relu") -> Tensor:
    y = blocks.convolution(x, filters, stride=stride, activation=activation)
    y = blocks.convolution(y, filters, activation=None)
    if stride > 1:
        x = blocks.convolution(x, filters, 1, stride, activation=None, normalize=False)
    return blocks.activate(blocks.layers.Add()([x, y]), activation)


RESNET8 = Network(
    _builder(1),
    "He et al., 2016 (arXiv:1512.03385); MLPerf Tiny, Banbury et al., 2021",
    automatic_for="small images",
    bfloat16_faster=True,
)
RESNET20 = Network(
    _builder(3),
    "He et al., 2016 (arXiv:1512.03385), section 4.2",
    bfloat16_faster=True,
    published=PublishedFigures(32, 270_000, classes=10),
)
RESNET32 = Network(
    _builder(5),
    "He et al., 2016 (arXiv:1512.03385), section 4.2",
    published=PublishedFigures(32, 460_000, classes=10),
)
RESNET8_SWISH = Network(
    _build_resnet8_swish,
    "after He et al., 2016 (arXiv:1512.03385), with swish (Ramachandran et al., 2017, arXiv:1710.05941) and "
    "squeeze-and-excite (Hu et al., 2018, arXiv:1709.01507): about as many weights as ResNet-8, fewer of them at full "
    "size",
    default_width=1.0,
    smallest_width=0.5,
)
RESNET10 = Network(
    _build_resnet10,
    "after He et al., 2016 (arXiv:1512.03385): 7 % more weights than ResNet-8, most of them used at 16x16",
    bfloat16_faster=True,
)
