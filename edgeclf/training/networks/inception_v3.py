"""InceptionV3: parallel factorized convolutions; the graph of `tf_keras.applications`, so that its weights fit."""

from __future__ import annotations

from edgeclf.training.networks.applications import application_builder
from edgeclf.training.networks.network import Network, PublishedFigures
from edgeclf.training.networks.sizes import size_for_transfer
from edgeclf.training.starts.published import PUBLISHED

INCEPTION_V3 = Network(
    application_builder("InceptionV3"),
    "Szegedy et al., 2016 (arXiv:1512.00567)",
    multiple=1,
    smallest=75,
    default_size=size_for_transfer,
    transfer_only=True,
    starts=PUBLISHED["inception-v3"],
    published=PublishedFigures(299, 23_851_784),
)
