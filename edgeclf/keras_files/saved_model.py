"""Loads SavedModels: the call of their signature becomes a float network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeclf.artifact.pixels import RAW
from edgeclf.errors import ModelError
from edgeclf.graph.float_network import FloatNetwork, InputSpec
from edgeclf.keras_files.reading import READING_ERRORS, image_classifier, reason
from edgeclf.keras_files.saved_model_folder import check_folder
from edgeclf.keras_files.saved_model_operators import check_saved_model

LARGEST_GRAPH = 1 << 31
"""Bytes of `saved_model.pb`; protocol buffers end there."""


def load_saved_model(path: Path, trust_model: bool) -> FloatNetwork:
    """Load the signature `serving_default` of a SavedModel, or its first one.

    Raises:
        ModelError: it is damaged, or no image classifier with a fixed input size.
        UntrustedModelError: it could touch files or run code, and `trust_model` is off.
    """
    if not (path / "saved_model.pb").is_file():
        raise ModelError(f"{path}: neither a run folder (run.json) nor a SavedModel (saved_model.pb)")
    if not trust_model:
        check_folder(path)
    import tensorflow as tf

    stored = _read(path)
    if not trust_model:
        check_saved_model(stored, path.name)
    try:
        loaded = tf.saved_model.load(str(path))
    except (*READING_ERRORS, tf.errors.OpError) as error:
        raise ModelError(f"{path}: TensorFlow cannot load it ({reason(error)})") from error
    signatures = dict(loaded.signatures)
    call = signatures.get("serving_default") or next(iter(signatures.values()), None)
    if call is None:
        raise ModelError(f"{path}: has no signature to call; export it with model.export(FOLDER)")
    (_, keywords), outputs = call.structured_input_signature, call.structured_outputs
    if len(keywords) != 1 or len(outputs) != 1:
        raise ModelError(f"{path}: expected one input and one output, got {len(keywords)} and {len(outputs)}")
    ((entry, spec),), ((result, scores),) = keywords.items(), outputs.items()
    height, width, classes = image_classifier(path, tuple(spec.shape), tuple(scores.shape))
    return FloatNetwork(
        model=None,
        call=lambda images: call(**{entry: tf.cast(images, spec.dtype)})[result],
        trackable=loaded,
        input=InputSpec(height, width, RAW),
        classes=tuple(str(i) for i in range(classes)),
    )


def _read(path: Path) -> Any:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    try:
        size = (path / "saved_model.pb").stat().st_size
        if size >= LARGEST_GRAPH:
            raise ModelError(f"{path}: saved_model.pb has {size:,} bytes, expected less than {LARGEST_GRAPH:,}")
        return saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    except (DecodeError, OSError) as error:
        raise ModelError(f"{path}: saved_model.pb is cut or damaged ({reason(error)}); copy it again") from error
