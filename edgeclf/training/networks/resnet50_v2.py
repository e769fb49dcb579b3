"""ResNet50V2: pre-activated bottlenecks; the graph of `tf_keras.applications`, so that its weights fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeclf.training.networks.network import Network, PublishedFigures, Tensor
from edgeclf.training.networks.sizes import size_for_transfer
from edgeclf.training.starts.published import PUBLISHED

if TYPE_CHECKING:
    from edgeclf.training.networks.building import Blocks


def _build(x: Tensor, width: float, blocks: Blocks) -> Tensor:
    return blocks.application(x, "ResNet50V2")


RESNET50_V2 = Network(
    _build,
    "He et al., 2016 (arXiv:1603.05027)",
    multiple=32,
    smallest=32,
    default_size=size_for_transfer,
    transfer_only=True,
    starts=PUBLISHED["resnet50v2"],
    published=PublishedFigures(224, 25_613_800),
)
