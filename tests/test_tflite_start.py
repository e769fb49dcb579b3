"""TFLite files as starts: how pixels enter a file that does not state it, and files of edgeclf's own formats."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
from stranger_cases.tflite_builder import FileBuilder, Operators, Options, Types

import edgeclf
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import NORMALIZATIONS, RAW
from edgeclf.artifact.tflite import OperatorInfo, TensorInfo, TfliteModel
from edgeclf.inference.input_range import resolve_input_range
from edgeclf.inference.range_measurement import normalize_images
from edgeclf.keras_files.tflite_start import _find_scaling, find_normalization, read_tflite_start

tf = pytest.importorskip("tensorflow")
tf_keras = pytest.importorskip("tf_keras")
layers = tf_keras.layers

PIXELS = np.random.default_rng(3).integers(0, 256, (8, 24, 24, 3)).astype(np.uint8)


def write(path: Path, front: Callable[[Any], Any]) -> tuple[ModelFile, Any]:
    """A small classifier with something in front, as a float file without metadata."""
    tf_keras.utils.set_random_seed(5)
    entry = layers.Input((24, 24, 3))
    # padded with zeros, so that the converter cannot fold what stands in front into the convolution
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(front(entry))
    x = layers.GlobalAveragePooling2D()(x)
    network = tf_keras.Model(entry, layers.Dense(3, activation="softmax")(x))
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(network).convert())
    return ModelFile.read(path), network


@pytest.mark.parametrize(
    ("front", "divides"),
    [
        (layers.Rescaling(1 / 127.5, -1.0), 1),
        (lambda x: (x - 127.5) / 58.0, 1),
        (lambda x: 1.0 - x / 255.0, 1),
        (lambda x: (x - [123.7, 116.3, 103.5]) * [0.0171, 0.0175, 0.0174], 1),
        (lambda x: (x - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], 255),
        (lambda x: x * 2.0 - 1.0, 255),
    ],
)
def test_what_is_scaled_inside_is_not_scaled_again(tmp_path: Path, front: Any, divides: int) -> None:
    file, network = write(tmp_path / "net.tflite", front)
    read, normalization, notes = read_tflite_start(file.path)
    assert (normalization == RAW) == (divides == 1), (normalization, notes)
    assert notes == find_normalization(file)[1]
    assert "its input" in notes[0]
    pixels = PIXELS.astype(np.float32)
    np.testing.assert_allclose(read(normalize_images(PIXELS, normalization)), network(pixels / divides), atol=1e-5)


def test_a_file_that_scales_nothing_gets_what_is_most_common(tmp_path: Path) -> None:
    file, _ = write(tmp_path / "net.tflite", lambda x: x)
    normalization, notes = find_normalization(file)
    assert normalization.text == "-1..1"
    assert notes == ("net.tflite does not state how pixels enter it; assumed is -1..1, the most common",)


def test_a_graph_that_leads_in_a_circle_is_read_to_an_end() -> None:
    none = np.zeros(0)
    entry = TensorInfo(0, "x", (1, 8, 8, 3), "float32", none, none, 0, (), sparse=False)
    two = dataclasses.replace(entry, index=1, shape=(1,), data=memoryview(np.float32([2]).tobytes()))
    circle = OperatorInfo("MUL", (0, 1), (0,), {})
    assert _find_scaling(TfliteModel("", (entry, two), (circle,), (0,), (0,), {})) == (2.0, None)
    ends = dataclasses.replace(circle, outputs=())
    assert _find_scaling(TfliteModel("", (entry, two), (ends,), (0,), (0,), {})) == (1.0, None)


def test_squeeze_and_excitation_is_no_classifier(tmp_path: Path) -> None:
    """Convolutions of a 1x1 picture inside the network, as in EfficientNet."""
    tf_keras.utils.set_random_seed(5)
    entry = layers.Input((24, 24, 3))
    x = layers.Conv2D(8, 3, strides=2)(entry)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(2, 1, activation="swish")(gate)
    x = layers.Multiply()([x, layers.Conv2D(8, 1, activation="sigmoid")(gate)])
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    network = tf_keras.Model(entry, layers.Softmax()(layers.Flatten()(layers.Conv2D(3, 1)(x))))
    path = tmp_path / "net.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(network).convert())
    read, normalization, _ = read_tflite_start(path)
    scaled = normalize_images(PIXELS, normalization)
    np.testing.assert_allclose(read(scaled), network(scaled), atol=1e-5)
    assert isinstance(read.layers[-1], (layers.Softmax, layers.Flatten))
    assert sum(isinstance(layer, layers.Dense) for layer in read.layers) == 1, "the classifier, which is replaced"


def test_an_8_bit_input_of_caffe_is_taken_as_predict_takes_it() -> None:
    low, high = -123.68, 151.061
    file = FileBuilder()
    graph = file.graph()
    scale = (high - low) / 255
    image = graph.tensor("image", (1, 8, 8, 3), Types.INT8)
    quantization = graph.made.tensors[image].quantization = schema.QuantizationParametersT()
    quantization.scale, quantization.zeroPoint = np.float32([scale]), np.int64([round(-128 - low / scale)])
    maps, scores = graph.tensor("maps", (1, 8, 8, 3)), graph.tensor("scores", (1, 4))
    graph.operator(Operators.DEQUANTIZE, [image], [maps])
    pooled, axes = graph.tensor("pooled", (1, 3)), graph.tensor("axes", (2,), Types.INT32, np.int32([1, 2]))
    mean = schema.ReducerOptionsT()
    graph.operator(Operators.MEAN, [maps, axes], [pooled], (Options.ReducerOptions, mean))
    kernel, dense = graph.tensor("kernel", (4, 3), data=np.ones((4, 3), np.float32)), schema.FullyConnectedOptionsT()
    graph.operator(Operators.FULLY_CONNECTED, [pooled, kernel], [scores], (Options.FullyConnectedOptions, dense))
    graph.ends([image], [scores])
    normalization, notes = find_normalization(ModelFile(file.content(), "net.tflite"))
    known = resolve_input_range(ModelFile(file.content(), "net.tflite"))
    assert known is not None
    assert normalization == known.applied == NORMALIZATIONS["caffe"]
    assert notes == known.notes
    assert "as caffe scales pixels" in notes[0]


@pytest.mark.slow
def test_every_format_of_edgeclf_is_a_start(tmp_path: Path) -> None:
    edgeclf.train("digits", model="resnet8", image_size=16, epochs=1, seed=1, out=tmp_path / "run")
    made = edgeclf.compress(
        tmp_path / "run", data="digits", recipes=["float32", "float16", "dynamic", "int16x8", "int8"], speed=False
    )
    images = np.random.default_rng(0).integers(0, 256, (16, 16, 16, 3)).astype(np.uint8)
    exact = tf_keras.models.load_model(tmp_path / "run" / "model.keras", compile=False)(images.astype(np.float32))
    for model in made.models:
        network, normalization, notes = read_tflite_start(model.path)
        assert notes == (), model.recipe
        found = network(normalize_images(images, normalization))
        tolerance = 0.002 if model.recipe.startswith("float") else 0.15
        np.testing.assert_allclose(found, exact, atol=tolerance, err_msg=model.recipe)
