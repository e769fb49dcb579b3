"""ResNet50V2: pre-activated bottlenecks; the graph of `tf_keras.applications`, so that its weights fit."""

from __future__ import annotations

from edgeclf.training.networks.applications import application_builder
from edgeclf.training.networks.network import Network, PublishedFigures
from edgeclf.training.networks.sizes import size_for_transfer
from edgeclf.training.starts.published import PUBLISHED

RESNET50_V2 = Network(
    application_builder("ResNet50V2"),
    "He et al., 2016 (arXiv:1603.05027)",
    multiple=32,
    smallest=32,
    default_size=size_for_transfer,
    transfer_only=True,
    starts=PUBLISHED["resnet50v2"],
    published=PublishedFigures(224, 25_613_800),
)
