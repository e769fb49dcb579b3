"""The weights that ship with edgeclf, made by `tools/train_backbone.py`: files without a head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tf_keras

from edgeclf.atomic import atomic_file
from edgeclf.training.networks import NetworkSettings, find_network
from edgeclf.training.networks.building import build_network


def shipped_backbone(name: str) -> tf_keras.Model | None:
    """Build the network `name` with the weights that ship with edgeclf, and an untrained head for two classes.

    Returns:
        None where the network has none, or this installation lacks the file.
    """
    backbone = find_network(name).backbone
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "zoo", package.parent / "models"):
        if backbone is not None and (path := folder / "backbone" / backbone.file).is_file():
            return load_backbone(name, path)
    return None


def load_backbone(name: str, path: Path) -> tf_keras.Model:
    """Build the network `name` with the features that `save_backbone` wrote to `path`."""
    backbone = find_network(name).backbone
    if backbone is None:
        raise ValueError(f"{name} has no backbone")
    model = build_network(name, NetworkSettings(backbone.image_size, classes=2, width=backbone.width))
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
