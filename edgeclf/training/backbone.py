"""The backbone that ships with edgeclf: MobileNetV1 of width 0.25, made by `tools/train_backbone.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tf_keras

from edgeclf.atomic import atomic_file
from edgeclf.training.networks import build_network

BACKBONE_FILE = "backbone-mobilenet-v1.npz"
NETWORK = "mobilenet-v1"
WIDTH = 0.25
IMAGE_SIZE = 64
"""Side of the images that it was trained on, pixels; it takes any."""


def shipped_backbone() -> tf_keras.Model | None:
    """The backbone, with an untrained head for two classes, or None where this installation carries none."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "zoo", package.parent / "models"):
        path = folder / "backbone" / BACKBONE_FILE
        if path.is_file():
            return load_backbone(path)
    return None


def load_backbone(path: Path) -> tf_keras.Model:
    """The network whose features `save_backbone` wrote to `path`."""
    model = build_network(NETWORK, image_size=IMAGE_SIZE, classes=2, width=WIDTH)
    with np.load(path) as stored:
        features = [stored[name].astype(np.float32) for name in stored.files]
    model.set_weights([*features, *model.layers[-1].get_weights()])
    return model


def save_backbone(trained: tf_keras.Model, path: Path) -> None:
    """Write the features of a trained `NETWORK`, all but its head; kernels in half precision, which costs them nothing.

    Means and variances of batch normalization keep 32 bits: small ones would lose digits.
    """
    features = trained.get_weights()[: -len(trained.layers[-1].get_weights())]
    with atomic_file(path) as stream:
        np.savez_compressed(stream, *[w.astype(np.float16) if w.ndim > 1 else w for w in features])
