"""RepVGG and QARepVGG: blocks that train with three branches and are folded into one 3x3 convolution.

RepVGG normalizes each branch, which leaves weights and activations that 8 bits cannot hold; QARepVGG normalizes the 3x3
branch and the sum alone. `edgeclf.graph.reparameterize` folds both when a network is prepared for compression.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeclf.training.networks.network import Builder, Network, Tensor

if TYPE_CHECKING:
    from edgeclf.training.networks.building import Blocks

_STAGES = ((64, 2, 1), (128, 4, 2), (256, 6, 2))
"""Filters at width 1, blocks and stride of the first one, behind a first block of 64 filters: for small images."""


def _builder(for_quantization: bool) -> Builder:
    def build(x: Tensor, width: float, blocks: Blocks) -> Tensor:
        def scale(filters: int) -> int:
            return max(8, int(filters * width))

        add_block = _quantizable_block if for_quantization else _plain_block
        x, channels = add_block(x, scale(64), 1, blocks, False), scale(64)
        for filters, repeats, first_stride in _STAGES:
            for repeat in range(repeats):
                stride = first_stride if repeat == 0 else 1
                x = add_block(x, scale(filters), stride, blocks, stride == 1 and scale(filters) == channels)
                channels = scale(filters)
        return blocks.layers.GlobalAveragePooling2D()(x)

    return build


def _plain_block(x: Tensor, filters: int, stride: int, blocks: Blocks, identity: bool) -> Tensor:
    """Add a block of RepVGG: a batch normalization behind each branch."""
    branches = [blocks.convolution(x, filters, kernel, stride, activation=None) for kernel in (3, 1)]
    if identity:
        branches.append(blocks.normalize(x))
    return blocks.layers.ReLU()(blocks.layers.Add()(branches))


def _quantizable_block(x: Tensor, filters: int, stride: int, blocks: Blocks, identity: bool) -> Tensor:
    """Add a block of QARepVGG: batch normalizations behind the 3x3 branch and behind the sum."""
    branches = [
        blocks.convolution(x, filters, 3, stride, activation=None),
        blocks.convolution(x, filters, 1, stride, activation=None, normalize=False),
    ]
    if identity:
        branches.append(x)
    return blocks.layers.ReLU()(blocks.normalize(blocks.layers.Add()(branches)))


QAREPVGG = Network(
    _builder(True),
    "Chu et al., 2022 (arXiv:2212.01593)",
    default_width=0.25,
    stem_filters=64,
)
REPVGG = Network(
    _builder(False),
    "Ding et al., 2021 (arXiv:2101.03697)",
    default_width=0.25,
    stem_filters=64,
)
