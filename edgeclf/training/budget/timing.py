"""Times a candidate on this machine: its int8 model, with random weights or those of a file, on one thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from edgeclf.artifact.model_file import ModelFile
from edgeclf.errors import ModelError, one_line
from edgeclf.graph.conversion import make_converter
from edgeclf.graph.flatten import flatten
from edgeclf.graph.private_apis import converter_error
from edgeclf.inference.engine import find_engine
from edgeclf.keras_files.loading import load_float_model
from edgeclf.keras_files.tflite_start import is_tflite_start, read_tflite_start
from edgeclf.measure.latency import burst, timed_call, warm_session
from edgeclf.measure.stopwatch import percentiles, undisturbed
from edgeclf.training.budget.candidates import Candidate
from edgeclf.training.networks import NetworkSettings, find_network
from edgeclf.training.networks.building import Blocks, add_classifier
from edgeclf.training.transfer import Pretrained, features_of

_SECONDS = 0.5
_FEWEST, _MOST = 20, 1000
_CLASSES = 10


def measure_candidate(candidate: Candidate, weights: str, *, trust_model: bool = False) -> float:
    """Convert a candidate to int8 and time it for about a second; returns the median, see `measure_int8`."""
    return measure_int8(candidate, weights, trust_model=trust_model)[0]


def measure_int8(candidate: Candidate, weights: str, *, trust_model: bool = False) -> tuple[float, int]:
    """Convert a candidate to int8, and time it for about a second.

    Args:
        candidate: to time.
        weights: the file that its network is from, or `auto` or `none`: of the registry.
        trust_model: that file may be loaded even if that runs code from it.

    Returns:
        median milliseconds, and bytes of the model without class names and other metadata.

    Raises:
        ModelError: it cannot be built, converted or run.
    """
    try:
        named = weights in ("auto", "none")
        network = _build(candidate) if named else _read(Path(weights), candidate.image_size, trust_model)
        content = _convert(network)
    except (ValueError, RuntimeError, converter_error(), tf.errors.OpError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"{candidate.name} cannot be timed at {candidate.image_size} pixels: {one_line(error)}"
        ) from error
    finally:
        # Layers that are made later are named as if these had not been.
        tf_keras.backend.clear_session()
    session = find_engine("litert").open(ModelFile(content, candidate.name), threads=1)
    with undisturbed():
        seconds = warm_session(session, _SECONDS)[2]
        calls = int(np.clip(_SECONDS / seconds, _FEWEST, _MOST))
        return percentiles(burst(timed_call(session), calls)).median, len(content)


def _build(candidate: Candidate) -> Any:
    """Build the network without the scaling of pixels, which becomes part of the input in an int8 model."""
    settings = NetworkSettings(candidate.image_size, _CLASSES, candidate.width)
    network, blocks = find_network(candidate.network), Blocks(settings)
    inputs = tf_keras.Input((candidate.image_size, candidate.image_size, 3))
    x = network.build(inputs, candidate.width or network.default_width or 1.0, blocks)
    return tf_keras.Model(inputs, add_classifier(x, settings))


def _read(path: Path, image_size: int, trust_model: bool) -> Any:
    """Read the features of a file, at another input size, with a new head."""
    network = read_tflite_start(path)[0] if is_tflite_start(path) else flatten(load_float_model(path, trust_model))
    base = features_of(Pretrained(network, path.name))
    config = base.get_config()
    for layer in config["layers"]:
        if layer["name"] == config["input_layers"][0][0]:
            layer["config"]["batch_input_shape"] = (None, image_size, image_size, 3)
    sized = tf_keras.Model.from_config(config)
    sized.set_weights(base.get_weights())
    x = sized.output
    if x.shape.rank == 4:
        x = tf_keras.layers.GlobalAveragePooling2D()(x)
    return tf_keras.Model(sized.inputs, add_classifier(x, NetworkSettings(image_size, _CLASSES)))


def _convert(network: Any) -> bytes:
    shape = (1, *network.inputs[0].shape[1:])
    images = np.random.default_rng(0).uniform(0, 1, (2, *shape)).astype(np.float32)
    converter = make_converter(lambda image: network(image, training=False), *shape[1:3])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image] for image in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    return bytes(converter.convert())
