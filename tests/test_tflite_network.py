"""A TFLite classifier read into a tf-keras graph computes what the file computes, and can be trained again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tf_keras

from edgeclf.artifact.model_file import ModelFile
from edgeclf.errors import ModelError
from edgeclf.graph.batch_norm import restore_statistics
from edgeclf.inference.engine import find_engine
from edgeclf.keras_files.tflite_network import read_tflite_network
from edgeclf.keras_files.tflite_operators import OPERATORS
from edgeclf.keras_files.tflite_tensors import dequantize_constant

TFLITE = Path(__file__).parent / "tflite"
ZOO = Path(__file__).resolve().parents[1] / "models"


def outputs_of(file: ModelFile, tensors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """What the runtime computes for real input values, by the quantization of input and output."""
    session = find_engine("litert").open(file)
    found = []
    for tensor in tensors:
        given: npt.NDArray[np.generic] = tensor[None]
        if session.input.dtype != "float32":
            numbers = np.rint(tensor[None] / session.input.scale) + session.input.zero_point
            limits = np.iinfo(session.input.dtype)
            given = np.clip(numbers, limits.min, limits.max).astype(session.input.dtype)
        raw = session.run(np.ascontiguousarray(given)).reshape(-1).astype(np.float64)
        found.append((raw - session.output.zero_point) * session.output.scale if session.output.scale else raw)
    return np.stack(found)


def real_images(file: ModelFile, count: int) -> npt.NDArray[np.float32]:
    """Smooth pictures, in the real values of the file's input."""
    shape, draw = file.shape, np.random.default_rng(0)
    coarse = draw.uniform(40, 215, (count, 4, 4, shape.channels))
    pixels = np.rint(np.kron(coarse, np.ones((1, -(-shape.height // 4), -(-shape.width // 4), 1))))
    return real_values(file, pixels[:, : shape.height, : shape.width])


def real_values(file: ModelFile, pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """What the file's input stands for where it holds these pixels; a float input holds them as 0..1."""
    shape = file.shape
    if shape.dtype == "float32":
        return (pixels / 255).astype(np.float32)
    low = np.iinfo(shape.dtype).min
    return ((pixels + low - shape.zero_point) * shape.scale).astype(np.float32)


@pytest.mark.parametrize("name", ["float_0_1", "float_-1_1", "float_logits", "int8", "uint8", "uint8_to_float"])
def test_the_network_computes_what_the_file_computes(name: str) -> None:
    file = ModelFile.read(TFLITE / f"{name}.tflite")
    # images of the kind that the 8-bit files were calibrated on: their activations are not clipped
    scans = np.load(TFLITE / "digits.npz")["images"][:50].astype(np.float64)
    images = real_values(file, np.repeat(scans[..., None], 3, axis=3))
    network = read_tflite_network(file)
    # 8-bit files round every activation
    tolerance = 1e-4 if name.startswith("float") else 0.1
    np.testing.assert_allclose(network(images), outputs_of(file, images), atol=tolerance)


@pytest.mark.parametrize("name", ["cifar10", "digits"])
def test_a_zoo_model_becomes_a_residual_network_again(name: str) -> None:
    file = ModelFile.read(ZOO / name / f"{name}-int8.tflite")
    network = read_tflite_network(file)
    convolutions = [layer for layer in network.layers if isinstance(layer, tf_keras.layers.Conv2D)]
    assert len(convolutions) == 9  # one at the entry, two in each of three blocks, two in the shortcuts
    assert sum(isinstance(layer, tf_keras.layers.Add) for layer in network.layers) == 3
    images = real_images(file, 32)
    expected = outputs_of(file, images)
    found = np.asarray(network(images))
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.85
    assert np.abs(found - expected).mean() < 0.03


def test_restored_statistics_leave_the_function_and_fit_the_images() -> None:
    file = ModelFile.read(ZOO / "cifar10" / "cifar10-int8.tflite")
    network, images = read_tflite_network(file), real_images(file, 64)
    before, weights = np.asarray(network(images)), network.get_weights()
    trained_before = np.asarray(network(images, training=True))
    network.set_weights(weights)  # that call has moved the averages
    count = restore_statistics(network, images)
    assert count == 9
    np.testing.assert_allclose(network(images), before, atol=1e-4)
    # by the identities, training mode had nothing to do with inference; now it normalizes by the same statistics
    trained_after = np.asarray(network(images, training=True))
    assert np.abs(trained_before - before).mean() > 0.05
    assert np.abs(trained_after - before).mean() < 0.01
    first = next(layer for layer in network.layers if isinstance(layer, tf_keras.layers.BatchNormalization))
    values = np.asarray(tf_keras.Model(network.inputs, first.input)(images))
    np.testing.assert_allclose(first.moving_mean, values.mean(axis=(0, 1, 2)), atol=1e-4)
    np.testing.assert_allclose(first.moving_variance, values.var(axis=(0, 1, 2)), atol=1e-3)


def test_an_operator_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ModelError, match=r"upsampling.tflite: the operator SHAPE cannot") as caught:
        read_tflite_network(ModelFile.read(TFLITE / "upsampling.tflite"))
    assert "\n" not in str(caught.value)
    assert "CONV_2D" in OPERATORS


def test_constants_are_dequantized_per_axis() -> None:
    file = ModelFile.read(TFLITE / "int8.tflite")
    seen = 0
    for tensor in file.graph.tensors:
        values = tensor.values()
        if values is None or len(tensor.scales) < 2:
            continue
        along = [1] * values.ndim
        along[tensor.axis] = -1
        expected = values.astype(np.float64) * tensor.scales.reshape(along)
        np.testing.assert_allclose(dequantize_constant(tensor, values), expected, rtol=1e-6)
        seen += 1
    assert seen


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "agreement"),
    [("mobilenet_v1_0.25_224_float32", 1.0), ("mobilenet_v1_0.5_160_uint8", 0.8), ("mobilenet_v2_1.0_224_int8", 0.8)],
)
def test_public_imagenet_files_keep_their_function(shared_data: Path, name: str, agreement: float) -> None:
    file = ModelFile.read(shared_data / "imagenet" / f"{name}.tflite")
    images = real_images(file, 10)
    if file.shape.dtype == "float32":
        images = images * 2 - 1
    expected, found = outputs_of(file, images), np.asarray(read_tflite_network(file)(images))
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() >= agreement
