"""Loads SavedModels: the call of their signature becomes a float network."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgeclf.artifact.normalization import RAW
from edgeclf.errors import ModelError
from edgeclf.graph.float_network import FloatNetwork, InputSpec
from edgeclf.graph.two_classes import ASSUMED_LOGIT, HALVES, TWO_CLASSES, check_one_output
from edgeclf.keras_files.reading import READING_ERRORS, image_classifier, reason
from edgeclf.keras_files.saved_model_constants import check_constants
from edgeclf.keras_files.saved_model_folder import check_folder
from edgeclf.keras_files.saved_model_operators import check_saved_model

LARGEST_GRAPH = 1 << 31
"""Bytes of `saved_model.pb`; protocol buffers end there."""


def load_saved_model(path: Path, trust_model: bool) -> FloatNetwork:
    """Load the inference path of the signature `serving_default` of a SavedModel, or of its first one, in float32.

    Raises:
        ModelError: it is damaged, or no image classifier with a fixed input size.
        UntrustedModelError: it could touch files or run code, and `trust_model` is off.
    """
    if not (path / "saved_model.pb").is_file():
        raise ModelError(f"{path}: neither a run folder (run.json) nor a SavedModel (saved_model.pb)")
    if not trust_model:
        check_folder(path)
    stored = _read(path)
    if not trust_model:
        check_saved_model(stored, path.name)
    check_constants(stored, path.name)
    edited, notes = _edit(path, stored)
    call, trackable, shapes, output = _open(path, stored if edited else None)
    height, width, classes = image_classifier(path, *shapes)
    if classes == 1:
        call, trackable, note = _split_output(path, stored, output)
        notes.append(note)
    return FloatNetwork(
        model=None,
        call=call,
        trackable=trackable,
        input=InputSpec(height, width, RAW),
        classes=tuple(str(i) for i in range(max(2, classes))),
        notes=tuple(notes),
    )


def _edit(path: Path, stored: Any) -> tuple[bool, list[str]]:
    """Leave the inference path in float32 in a stored graph; returns whether that changed it, and remarks."""
    from edgeclf.keras_files.saved_model_edits import compute_in_float32, leave_out_augmentation, training_operators

    notes = []
    try:
        if left_out := leave_out_augmentation(stored):
            notes.append(f"{path.name}: its random changes of the images ({', '.join(left_out[:5])}) are left out")
        training = training_operators(stored)
        widened = not training and compute_in_float32(stored)
    except READING_ERRORS as error:
        raise _damage(path, error) from error
    if training:
        raise ModelError(
            f"{path.name}: was exported in training mode ({training[0]}), so that it computes otherwise than the "
            "network did when it was validated; export the network without its augmentation, or use its .keras file"
        )
    return widened or bool(left_out), notes


def _damage(path: Path, error: Exception) -> ModelError:
    return ModelError(f"{path}: saved_model.pb is damaged ({reason(error)}); export the network again")


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


def _open(path: Path, stored: Any = None) -> tuple[Callable[[Any], Any], Any, tuple[Any, Any], tuple[str, str]]:
    """Load a SavedModel.

    Args:
        path: its folder.
        stored: the graph in place of the one in the folder; None: that one.

    Returns:
        its call, the object that owns its variables, the shapes of input and output, the names of signature and output.
    """
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(path)) if stored is None else _load_edited(path, stored)
    except (*READING_ERRORS, tf.errors.OpError) as error:
        raise ModelError(f"{path}: TensorFlow cannot load it ({reason(error)})") from error
    signatures = dict(loaded.signatures)
    name = "serving_default" if "serving_default" in signatures else next(iter(signatures), "")
    if not name:
        raise ModelError(f"{path}: has no signature to call; export it with model.export(FOLDER)")
    call = signatures[name]
    (_, keywords), outputs = call.structured_input_signature, call.structured_outputs
    if len(keywords) != 1 or len(outputs) != 1:
        raise ModelError(f"{path}: expected one input and one output, got {len(keywords)} and {len(outputs)}")
    ((entry, spec),), ((result, scores),) = keywords.items(), outputs.items()
    if spec.shape.rank is None or scores.shape.rank is None:
        raise ModelError(f"{path}: its signature leaves the shape of input or output open; export it with fixed shapes")

    if spec.shape[0] not in (None, 1):
        raise ModelError(f"{path}: takes {spec.shape[0]} images at once; export it for any number, or for one")

    def compute(images: Any) -> Any:
        return call(**{entry: tf.cast(images, spec.dtype)})[result]

    return compute, loaded, (tuple(spec.shape), tuple(scores.shape)), (name, result)


def _load_edited(path: Path, stored: Any) -> Any:
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "saved_model.pb").write_bytes(stored.SerializeToString())
        for part in ("variables", "assets"):
            if (path / part).is_dir():
                (Path(folder) / part).symlink_to((path / part).resolve(), target_is_directory=True)
        return tf.saved_model.load(folder)


def _split_output(path: Path, stored: Any, output: tuple[str, str]) -> tuple[Callable[[Any], Any], Any, str]:
    """Load it without the sigmoid at its end, and put a softmax over two classes there."""
    import tensorflow as tf

    from edgeclf.keras_files.saved_model_edits import take_sigmoid_out

    signature = stored.meta_graphs[0].signature_def[output[0]]
    try:
        found = take_sigmoid_out(stored, signature.outputs[output[1]].name, path.name)
    except (LookupError, TypeError, AttributeError) as error:
        raise _damage(path, error) from error
    check_one_output(found, path.name)
    inner, trackable, _, _ = _open(path, stored)
    halves = tf.constant([HALVES], tf.float32)
    note = f"{path.name}: {TWO_CLASSES if found == 'sigmoid' else ASSUMED_LOGIT}"
    return lambda images: tf.nn.softmax(tf.matmul(inner(images), halves)), trackable, note
