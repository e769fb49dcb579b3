"""The backbone that ships with edgeclf: MobileNetV1 alpha 0.25, made by `tools/train_backbone.py`."""

from __future__ import annotations

from pathlib import Path

import tf_keras

BACKBONE_FILE = "backbone-mobilenet-v1.keras"


def shipped_backbone() -> tf_keras.Model | None:
    """The backbone with its old head, or None where this installation carries none."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "zoo", package.parent / "models"):
        path = folder / "backbone" / BACKBONE_FILE
        if path.is_file():
            return tf_keras.models.load_model(path, compile=False)
    return None
