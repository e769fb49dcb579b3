"""EfficientNet-Lite0: EfficientNet-B0 made for integer arithmetic, with relu6 and without squeeze-and-excite.

Layers are called after the blocks of the published network: `stem_conv`, `block1a_dwconv`, `block2a_expand_conv`,
`block2a_expand_bn`, `block2a_project_conv`, `top_conv`, each `..._conv` with a `..._bn`. All padding is TensorFlow's
"same", and batch normalizations have an epsilon of 0.001, as in the published network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeclf.training.networks.network import Network, PublishedFigures, Tensor
from edgeclf.training.networks.sizes import size_for_five_strides

if TYPE_CHECKING:
    from edgeclf.training.networks.building import Blocks

_STAGES = (
    (1, 16, 1, 3, 1),
    (6, 24, 2, 3, 2),
    (6, 40, 2, 5, 2),
    (6, 80, 3, 3, 2),
    (6, 112, 3, 5, 1),
    (6, 192, 4, 5, 2),
    (6, 320, 1, 3, 1),
)
"""Expansion, filters, number of blocks, kernel, stride of the first one."""


def _build(x: Tensor, width: float, blocks: Blocks) -> Tensor:
    channels = 32
    x = blocks.convolution(x, channels, stride=2, activation="relu6", name="stem")
    for stage, (expansion, filters, repeats, kernel, first_stride) in enumerate(_STAGES, 1):
        for repeat in range(repeats):
            name = f"block{stage}{'abcd'[repeat]}"
            stride = first_stride if repeat == 0 else 1
            y = x
            if expansion > 1:
                y = blocks.convolution(x, channels * expansion, 1, activation="relu6", name=f"{name}_expand")
            y = blocks.depthwise(y, stride, "relu6", kernel, name=name)
            y = blocks.convolution(y, filters, 1, activation=None, name=f"{name}_project")
            x = blocks.layers.Add(name=f"{name}_add")([x, y]) if stride == 1 and filters == channels else y
            channels = filters
    x = blocks.convolution(x, 1280, 1, activation="relu6", name="top")
    return blocks.layers.GlobalAveragePooling2D()(x)


EFFICIENTNET_LITE0 = Network(
    _build,
    "Tan and Le, 2019 (arXiv:1905.11946), in the Lite form of Liu, 2020 (TensorFlow blog)",
    multiple=32,
    default_size=size_for_five_strides,
    published=PublishedFigures(224, 4_652_008, 407_000_000),
)
