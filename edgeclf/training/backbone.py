"""The weights that ship with edgeclf, made by `tools/train_backbone.py`: files without a head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tf_keras

from edgeclf.atomic import atomic_file
from edgeclf.training.networks import NetworkSettings, find_network
from edgeclf.training.networks.building import build_network
from edgeclf.training.starts import ShippedBackbone


def find_backbone(name: str) -> ShippedBackbone:
    """Return the entry of the weights that ship with edgeclf for the network `name`.

    Raises:
        ValueError: it has none.
    """
    for start in find_network(name).starts:
        if isinstance(start, ShippedBackbone):
            return start
    raise ValueError(f"{name} has no backbone")


def load_backbone(name: str, path: Path) -> tf_keras.Model:
    """Build the network `name` with the features that `save_backbone` wrote to `path`, and a head for two classes."""
    backbone = find_backbone(name)
    model = build_network(name, NetworkSettings(backbone.rows, classes=2, width=backbone.width))
    with np.load(path) as stored:
        features = [stored[name].astype(np.float32) for name in stored.files]
    model.set_weights([*features, *model.layers[-1].get_weights()])
    return model


def save_backbone(trained: tf_keras.Model, path: Path) -> None:
    """Write the features of a trained network, all but its head; kernels in half precision, which costs no accuracy.

    Means and variances of batch normalization keep 32 bits: small ones would lose digits.
    """
    features = trained.get_weights()[: -len(trained.layers[-1].get_weights())]
    with atomic_file(path) as stream:
        np.savez_compressed(stream, *[w.astype(np.float16) if w.ndim > 1 else w for w in features])
