"""A small Inception for small images: modules of two parallel convolutions, with batch normalization."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeclf.training.networks.network import Network, PublishedFigures, Tensor

if TYPE_CHECKING:
    from edgeclf.training.networks.building import Blocks

_STAGES = (((32, 32), (32, 48), 80), ((112, 48), (96, 64), (80, 80), (48, 96), 96), ((176, 160), (176, 160)))
"""Filters at width 1: of the 1x1 and the 3x3 convolutions of each module; a number: of a convolution of stride 2."""


def _build(x: Tensor, width: float, blocks: Blocks) -> Tensor:
    def scale(filters: int) -> int:
        return max(8, int(filters * width))

    x = blocks.convolution(x, scale(96))
    for stage in _STAGES:
        for filters in stage:
            if isinstance(filters, int):
                pooled = blocks.layers.MaxPooling2D(3, 2, "same")(x)
                branches = [blocks.convolution(x, scale(filters), stride=2), pooled]
            else:
                branches = [blocks.convolution(x, scale(filters[0]), 1), blocks.convolution(x, scale(filters[1]))]
            x = blocks.layers.Concatenate()(branches)
    return blocks.layers.GlobalAveragePooling2D()(x)


INCEPTION = Network(
    _build,
    "Szegedy et al., 2015 (arXiv:1409.4842), in the small form of Zhang et al., 2017 (arXiv:1611.03530, appendix A)",
    default_width=0.5,
    stem_filters=96,
    published=PublishedFigures(32, 1_649_402, classes=10),
)
