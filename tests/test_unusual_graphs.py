"""Float graphs as other converters may write them: layers without biases, layers of constants, layers that flatten."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from command_line import document, edgeclf
from tflite_models import DIGIT_NAMES, bare, digits, packaged

from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.tflite import parse
from edgeclf.artifact.tflite_editor import TfliteEditor, pack_model
from edgeclf.errors import ModelError
from edgeclf.inference.litert import LITERT

tf_keras = pytest.importorskip("tf_keras")
from network_builds import float_network  # noqa: E402

from edgeclf.compression.export.converter import float_graph  # noqa: E402
from edgeclf.compression.export.equalization import equalize  # noqa: E402
from edgeclf.compression.export.graph_queries import weighted_operators  # noqa: E402
from edgeclf.compression.export.int8_format import observe, quantize_observed  # noqa: E402
from edgeclf.compression.export.observation import FloatObservation, pixel_feeder  # noqa: E402
from edgeclf.compression.exporter import ExportedFile  # noqa: E402
from edgeclf.compression.probabilities.reading import MOST_FEATURES, ModelReader  # noqa: E402
from edgeclf.compression.sensitivity import compare_layers  # noqa: E402
from edgeclf.graph.float_network import FloatNetwork  # noqa: E402
from edgeclf.graph.prepared_network import prepare_network  # noqa: E402

layers = tf_keras.layers
IMAGES = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3)).astype(np.uint8)


def network(*stack: Any, side: int = 8) -> FloatNetwork:
    tf_keras.utils.set_random_seed(0)
    return prepare_network(float_network(tf_keras.Sequential([layers.InputLayer((side, side, 3)), *stack])))


def edited(content: bytes, change: Callable[[Any], None]) -> bytes:
    model = TfliteEditor(content).unpacked
    change(model)
    return pack_model(model, len(content))


def outputs(content: bytes) -> Any:
    session = LITERT.open(ModelFile(content, "the model"))
    return np.concatenate([session.run(image[None].astype(np.float32) / 255) for image in IMAGES])


@pytest.mark.parametrize("missing", [True, False], ids=["two inputs", "a bias of number -1"])
def test_layers_without_a_bias_are_measured(missing: bool) -> None:
    made = network(layers.Rescaling(1 / 255), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3, use_bias=False))
    observed = observe(made, IMAGES)

    def without_bias(model: Any) -> None:
        (dense,) = [op for op in model.subgraphs[0].operators if len(op.inputs) == 3][1:]
        dense.inputs = np.asarray([*dense.inputs[:2], *([] if missing else [-1])], np.int32)

    content = edited(observed.content, without_bias)
    changed = FloatObservation(content, observed.input_max, observed.ranges, observed.patches, observed.equalized)
    labels = outputs(content).argmax(axis=1)
    found = compare_layers(changed, quantize_observed(changed), IMAGES, labels)
    assert "FULLY_CONNECTED" in [layer.operator for layer in found]


def test_layers_of_constants_are_not_among_those_that_are_rounded_by_images() -> None:
    content = bare("float_0_1")
    (dense,) = [op for op in parse(content).operators if op.name == "FULLY_CONNECTED"][-1:]
    before = [op.outputs for op in weighted_operators(parse(content))]

    def of_a_constant(model: Any) -> None:
        graph = model.subgraphs[0]
        place = parse(content).operators.index(dense)
        graph.operators[place].inputs = np.asarray([dense.inputs[1], *dense.inputs[1:]], np.int32)

    after = [op.outputs for op in weighted_operators(parse(edited(content, of_a_constant)))]
    assert after == [tensors for tensors in before if tensors != dense.outputs]
    assert len(after) == len(before) - 1


def test_a_dense_layer_that_flattens_maps_itself_is_not_levelled() -> None:
    convolutions = [layers.Conv2D(4, 3, activation="relu", bias_initializer="random_normal") for _ in range(2)]
    made = network(layers.Rescaling(1 / 255), *convolutions, layers.Flatten(), layers.Dense(3))
    content = observe(made, IMAGES).content

    def without_reshape(model: Any) -> None:
        graph, operators = model.subgraphs[0], parse(content).operators
        (reshape,) = [op for op in operators if op.name == "RESHAPE"]
        (dense,) = [op for op in operators if op.name == "FULLY_CONNECTED"]
        changed = graph.operators[operators.index(dense)]
        changed.inputs = np.asarray([reshape.inputs[0], *dense.inputs[1:]], np.int32)
        del graph.operators[operators.index(reshape)]

    flattening = edited(content, without_reshape)
    np.testing.assert_allclose(outputs(flattening), outputs(content), rtol=1e-6)
    levelled = equalize(flattening, IMAGES, pixel_feeder(1.0))
    assert levelled != flattening
    np.testing.assert_allclose(outputs(levelled), outputs(content), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("side", [8, 96])
def test_features_of_whole_maps_are_read_where_they_are_few(side: int) -> None:
    made = network(layers.Conv2D(4, 1), layers.Flatten(), layers.Dense(3), layers.Softmax(), side=side)
    reader = ModelReader(ExportedFile(float_graph(made), "float32.tflite", input_range=(0.0, 255.0)))
    assert reader.inner is not None
    large = side * side * 4 > MOST_FEATURES
    assert (reader.inner.features is None) == large
    assert ("the last layer takes 36,864 numbers" in reader.left_out) == large


def test_pipes_and_folders_are_no_model_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tflite")
    (tmp_path / "folder.tflite").mkdir()
    for name, kind in (("pipe", "a pipe or a device"), ("folder", "a folder")):
        with pytest.raises(ModelError, match=f"expected a file, got {kind}"):
            ModelFile.read(tmp_path / f"{name}.tflite")
    refused = edgeclf(tmp_path, "compress", "pipe.tflite", "--float16", "--normalize=0..1")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "expected a file" in refused.stderr


def test_names_that_are_not_utf_8_go_through(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"n\xffet.tflite")
    path.write_bytes(bare("float_0_1"))
    made = edgeclf(tmp_path, "compress", path, "--float16", "--no-speed", "--normalize=0..1", "--out", "made")
    assert made.exit_code == 0, made.stderr
    (file,) = (tmp_path / "made").glob("*.tflite")
    assert ModelFile.read(file).shape.classes == 10


def test_a_float_file_of_another_suffix_is_a_baseline_with_its_own_class_names(tmp_path: Path) -> None:
    reverse = tuple(reversed(DIGIT_NAMES))
    images, labels = digits()
    for image, label in list(zip(images, labels, strict=True))[:60]:
        folder = tmp_path / "photos" / "test" / reverse[label]
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{len(list(folder.iterdir()))}.png"), image)
    content = packaged("float_0_1", (0.0, 1.0), labels=reverse)
    found = {}
    for name in ("plain.tflite", "plain.lite"):
        (tmp_path / name).write_bytes(content)
        done = document(
            tmp_path,
            "bench",
            "plain.tflite",
            "--baseline",
            name,
            "--data",
            "photos/test",
            "--split",
            "all",
            "--out",
            f"of-{name}",
        )
        found[name] = done["baseline"]["top1"]
    assert found["plain.tflite"] == found["plain.lite"] > 0.8
