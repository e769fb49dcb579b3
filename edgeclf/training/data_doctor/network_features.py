"""Extracts frozen features with the network that `train --quick` would start from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tf_keras

from edgeclf.dataset import Listing, load_dataset, probe
from edgeclf.errors import InputError
from edgeclf.progress import Progress
from edgeclf.training.config import TrainConfig
from edgeclf.training.data_doctor.features import PhotoFeatures
from edgeclf.training.defaults import complete
from edgeclf.training.inference import predict_probabilities
from edgeclf.training.networks import NetworkSettings
from edgeclf.training.starting import find_start


def extract_network_features(
    listing: Listing, weights: str | Path | None, *, trust_model: bool, progress: Progress
) -> PhotoFeatures:
    """Load the photos at the network's size, and compute what its classifier would take.

    Args:
        listing: of the data set.
        weights: a network's file; None: ImageNet weights where they are available, else the shipped backbone.
        trust_model: load a file even if that runs code from it.
        progress: where bars are shown.

    Raises:
        InputError: there is no pretrained network to take features from.
        DataError: the data set cannot be used.
    """
    probed = probe(listing, progress)
    config = TrainConfig(quick=True, weights="auto" if weights is None else str(weights))
    start = find_start(config, probed, trust_model=trust_model, progress=progress)
    if start.network is None:
        raise InputError(
            "--deep looks at photos through the features of a pretrained network, and there is none to start from; "
            "name one with --weights FILE"
        )
    config = complete(start.adapt_config(config), probed, pretrained=True)
    shape = config.input_shape
    dataset = load_dataset(listing, image_size=shape.size, fit=shape.fit, progress=progress)
    settings = NetworkSettings(
        image_size=config.image_size or 96, classes=len(dataset.class_names), width=config.width, seed=config.seed
    )
    made = start.transfer(settings, dataset)
    body = tf_keras.Model(made.network.inputs, made.network.layers[-1].input)
    parts = [predict_probabilities(body, split.images, progress) for split in dataset.splits.values()]
    return PhotoFeatures(dataset, np.concatenate(parts), start.origin, start.notes)
