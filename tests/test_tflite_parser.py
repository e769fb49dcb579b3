"""What the struct parser reads from real files, and what it counts."""

from __future__ import annotations

import numpy as np
import pytest
import tflite_models
from ai_edge_litert.interpreter import Interpreter

from edgeclf.artifact.inspection import inspect, weight_statistics
from edgeclf.artifact.macs import count_macs, count_parameters
from edgeclf.artifact.tflite import parse
from edgeclf.errors import DamagedModelError, ModelError

NAMES = sorted(path.stem for path in tflite_models.FOLDER.glob("*.tflite"))


@pytest.mark.parametrize("name", NAMES)
def test_tensors_are_those_that_the_runtime_sees(name: str) -> None:
    content = tflite_models.bare(name)
    graph = parse(content)
    native = Interpreter(model_content=content)
    for seen in native.get_tensor_details():
        if seen["index"] >= len(graph.tensors):  # the runtime's own scratch tensors
            continue
        tensor = graph.tensors[seen["index"]]
        assert (tensor.name, tensor.dtype) == (seen["name"], np.dtype(seen["dtype"]).name)
        assert tensor.shape == tuple(seen["shape"])
        quantization = seen["quantization_parameters"]
        assert np.array_equal(tensor.scales, quantization["scales"])
        assert np.array_equal(tensor.zero_points, quantization["zero_points"])
    assert graph.input_indices == tuple(d["index"] for d in native.get_input_details())
    assert graph.output_indices == tuple(d["index"] for d in native.get_output_details())


def test_constants_are_those_that_the_runtime_sees() -> None:
    content = tflite_models.bare("int8")
    graph = parse(content)
    native = Interpreter(model_content=content)
    native.allocate_tensors()
    constants = [t for t in graph.tensors if t.data is not None]
    assert len(constants) == 9  # four kernels, four biases, one shape
    for tensor in constants:
        assert np.array_equal(tensor.values(), native.get_tensor(tensor.index))


def test_macs_and_parameters_of_the_small_network() -> None:
    graph = parse(tflite_models.bare("uint8"))
    first = 8 * 8 * 8 * (3 * 3 * 3)  # output 8x8x8, kernel 3x3x3
    depthwise = 4 * 4 * 8 * (3 * 3)
    pointwise = 4 * 4 * 16 * 8
    dense = (4 * 4 * 16) * 10
    assert count_macs(graph) == first + depthwise + pointwise + dense == 19_584
    weights = 8 * 27 + 8 * 9 + 16 * 8 + 256 * 10
    assert count_parameters(graph) == weights + (8 + 8 + 16 + 10) == 3_018


def test_macs_of_a_transposed_convolution() -> None:
    transposed = (8 * 8 * 3) * (3 * 3 * 2)  # every input value meets the kernel for both output channels
    dense = (16 * 16 * 2) * 4
    assert count_macs(parse(tflite_models.bare("upsampling"))) == transposed + dense


@pytest.mark.parametrize("quantized", [False, True], ids=["float", "int8"])
def test_macs_of_dense_layers_on_maps_where_the_batch_is_open(quantized: bool) -> None:
    tf, tf_keras = pytest.importorskip("tensorflow"), pytest.importorskip("tf_keras")
    layers = tf_keras.layers
    inputs = layers.Input((16, 16, 3))
    x = layers.Dense(5)(layers.Conv2D(8, 3, padding="same", activation="relu")(inputs))
    x = layers.Dense(12, activation="relu")(x)
    model = tf_keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if quantized:
        images = np.random.default_rng(0).random((4, 1, 16, 16, 3), np.float32)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image] for image in images)
    graph = parse(bytes(converter.convert()))
    (places,) = {tensor.shape for tensor in graph.tensors if tensor.signature == (-1, -1)}
    assert places == (1, 1)  # the file states one place where there are 256
    first = 16 * 16 * 8 * (3 * 3 * 3)
    dense = 16 * 16 * 5 * 8 + 16 * 16 * 12 * 5 + (16 * 16 * 12) * 10
    assert count_macs(graph) == first + dense == 111_616


def test_float_and_quantized_files_count_the_same() -> None:
    counts = {name: count_macs(parse(tflite_models.bare(name))) for name in ("float_0_255", "int8", "int16x8", "int4")}
    assert set(counts.values()) == {19_584}


@pytest.mark.slow
def test_macs_of_resnet8() -> None:
    from edgeclf.training.networks import NetworkSettings
    from edgeclf.training.networks.building import build_network

    tf = pytest.importorskip("tensorflow")
    network = build_network("resnet8", NetworkSettings(image_size=32, classes=10))
    content = bytes(tf.lite.TFLiteConverter.from_keras_model(network).convert())
    stem = 32 * 32 * 16 * (9 * 3)
    first = 2 * 32 * 32 * 16 * (9 * 16)
    second = 16 * 16 * 32 * (9 * 16) + 16 * 16 * 32 * (9 * 32) + 16 * 16 * 32 * 16  # and its shortcut
    third = 8 * 8 * 64 * (9 * 32) + 8 * 8 * 64 * (9 * 64) + 8 * 8 * 64 * 32
    dense = 64 * 10
    assert count_macs(parse(content)) == stem + first + second + third + dense == 12_501_632


def test_what_is_no_tflite_file_is_refused() -> None:
    with pytest.raises(ModelError, match="not a TFLite model: bytes 4 to 8 should be b'TFL3', got b'CTYP'"):
        parse(b"<!DOCTYPE html><html></html>")


def test_a_count_that_would_read_forever_is_refused() -> None:
    # 20,000 operators in the root's list that all point to one table
    content = bytearray(tflite_models.bare("uint8"))
    place = len(content)
    content += (20_000).to_bytes(4, "little") + bytes(4 * 20_000)
    start = int.from_bytes(content[:4], "little")
    vtable = start - int.from_bytes(content[start : start + 4], "little", signed=True)
    field = start + int.from_bytes(content[vtable + 6 : vtable + 8], "little")
    content[field : field + 4] = (place - field).to_bytes(4, "little")
    with pytest.raises(DamagedModelError, match="cut or damaged"):
        parse(bytes(content))


def test_inspect_reports_tensors_and_operators() -> None:
    report = inspect(tflite_models.FOLDER / "uint8.tflite")
    assert report.integrity == "unverified"
    assert report.labels is None
    assert report.provenance is None
    assert report.inputs[0]["shape"] == [1, 16, 16, 3]
    assert report.inputs[0]["dtype"] == "uint8"
    assert report.outputs[0]["scale"] == 1 / 256
    assert {row["name"]: row["count"] for row in report.operators} == {
        "QUANTIZE": 2, "CONV_2D": 2, "DEPTHWISE_CONV_2D": 1, "RESHAPE": 1, "FULLY_CONNECTED": 1, "SOFTMAX": 1,
    }  # fmt: skip
    assert sum(row["macs"] for row in report.operators) == report.macs == 19_584
    assert type(report).from_json(report.to_json()) == report


def test_inspect_counts_zeros_and_distinct_values() -> None:
    content = tflite_models.bare("int8")
    graph = parse(content)
    dense = next(t for t in graph.tensors if t.shape == (10, 256))
    assert dense.data is not None
    pruned = bytearray(content)
    start = content.index(bytes(dense.data))
    pruned[start : start + 2560] = bytes(1280) + b"\x05\x07" * 640  # rows of 256: five of zeros, five of two values
    tensor = parse(bytes(pruned)).tensors[dense.index]
    assert weight_statistics(tensor) == {
        "sparsity": 0.5,
        "distinct_weights": 3,
        "distinct_weights_per_channel": 2,
    }
