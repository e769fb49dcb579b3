"""A float `.tflite` as the source of `compress` and as the baseline of `bench`."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from command_line import document, edgeclf
from tflite_models import DIGIT_NAMES, FOLDER, bare, digits

from edgeclf import api
from edgeclf.artifact.macs import count_macs
from edgeclf.artifact.metadata_writer import append_labels, metadata_buffer
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import NORMALIZATIONS, Normalization
from edgeclf.artifact.tflite_editor import TfliteEditor
from edgeclf.artifact.tflite_source_editor import SourceEditor
from edgeclf.dataset import list_source, load_dataset
from edgeclf.errors import DamagedModelError, EdgeclfError, ModelError
from edgeclf.inference.classifier import Classifier
from edgeclf.keras_files.tflite_source import arrange_source, load_tflite_source

ROOT = Path(__file__).resolve().parents[1]
Images = np.ndarray[Any, np.dtype[np.uint8]]

pytest.importorskip("tensorflow")
flatbuffers = pytest.importorskip("flatbuffers")


def packed(model: Any) -> bytes:
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def changed(name: str, change: Callable[[Any], None]) -> bytes:
    model = schema.ModelT.InitFromPackedBuf(bare(name), 0)
    change(model)
    return packed(model)


def run_plainly(path: Path, tensors: Any) -> Any:
    """What the runtime makes of tensors `[N, ...]`, with nothing of edgeclf in between."""
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    entry, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    found = []
    for tensor in tensors:
        interpreter.set_tensor(entry["index"], tensor[None].astype(entry["dtype"]))
        interpreter.invoke()
        found.append(interpreter.get_tensor(result["index"])[0])
    return np.stack(found)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 200 digits as PNG files: 80 to calibrate on, 40 to choose by, 80 to measure on."""
    top = tmp_path_factory.mktemp("photos")
    images, labels = digits()
    for row, (image, label) in enumerate(zip(images, labels, strict=True)):
        split = ("train", "test", "train", "test", "validation")[row % 5]
        folder = top / split / DIGIT_NAMES[label]
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{row}.png"), image)
    return top


def measured_on(photos: Path, split: str) -> tuple[Images, Any]:
    files = sorted((photos / split).glob("*/*.png"))
    return np.stack([cv2.imread(str(file)) for file in files]), np.array([int(file.parent.name[-1]) for file in files])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that wants 0 to 1, and says so with its labels in the standard metadata."""
    editor = TfliteEditor(bare("float_0_1"))
    described = metadata_buffer("digits", "digits", 16, 16, 3, NORMALIZATIONS["0..1"])
    editor.set_metadata({"TFLITE_METADATA": described}, "digits")
    path = tmp_path_factory.mktemp("source") / "digits.tflite"
    path.write_bytes(append_labels(editor.pack(), list(DIGIT_NAMES), b""))
    return path


@pytest.fixture(scope="module")
def made(source: Path, photos: Path) -> dict[str, Any]:
    report = api.compress(source, int8=True, float16=True, float32=True, data=photos, speed=False)
    return {model.recipe: model for model in report.models}


def test_top1_of_the_float_file_and_of_its_int8_is_what_the_plain_runtime_computes(
    source: Path, made: dict[str, Any], photos: Path
) -> None:
    images, labels = measured_on(photos, "validation")
    before = run_plainly(source, images / 255).argmax(axis=1) == labels
    after = run_plainly(Path(made["int8"].path), images).argmax(axis=1) == labels
    assert before.mean() > 0.9
    assert made["int8"].float_top1 == before.mean()
    assert made["int8"].top1 == after.mean()
    assert made["int8"].split == "validation"


def test_the_files_made_of_it_carry_labels_samples_and_an_integer_graph(source: Path, made: dict[str, Any]) -> None:
    for model in made.values():
        path = Path(model.path)
        assert path.parent == source.parent / "compressed"
        assert api.verify(path).ok
        classifier = Classifier(path)
        assert (classifier.labels, classifier.integrity) == (DIGIT_NAMES, "verified")
    graph = ModelFile.read(made["int8"].path).graph
    assert {tensor.dtype for tensor in graph.tensors if tensor.data is not None} <= {"int8", "int32"}
    assert made["int8"].network_input.source == "metadata"
    weights = sum(tensor.elements for tensor in ModelFile.read(source).graph.tensors if tensor.data is not None)
    saved = made["float32"].size_bytes - made["float16"].size_bytes
    assert weights < saved < 2 * weights, "large constants take half of their 4 bytes"


def test_a_file_of_edgeclfs_own_and_one_with_16_bit_weights_are_sources(
    made: dict[str, Any], photos: Path, tmp_path: Path
) -> None:
    images, _ = measured_on(photos, "test")
    expected = Classifier(made["int8"].path).probabilities(images)
    for recipe in ("float32", "float16"):
        report = api.compress(made[recipe].path, int8=True, data=photos, out=tmp_path, speed=False)
        (again,) = report.models
        assert again.network_input.source == "8-bit input"
        found = Classifier(again.path).probabilities(images)
        assert np.abs(found - expected).max() <= 0.05
        assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("rows", [False, True], ids=["maps", "rows"])
def test_a_graph_that_computes_shapes_is_quantized_as_one_for_one_picture(
    rows: bool, photos: Path, tmp_path: Path
) -> None:
    """Converters leave the batch open: a dense layer on maps or rows then computes shapes when it runs."""
    import tensorflow as tf
    import tf_keras
    from tf_keras import layers

    tf_keras.utils.set_random_seed(0)
    inputs = layers.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    x = layers.Dense(12, activation="relu")(layers.Reshape((32, 64))(x) if rows else x)
    network = tf_keras.Model(inputs, layers.Dense(10, activation="softmax")(layers.Flatten()(x)))
    images, labels = measured_on(photos, "train")
    network.compile(tf_keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    network.fit(images / np.float32(255), labels, epochs=12, batch_size=16, verbose=0)
    (tmp_path / "open.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(network).convert())
    one = tf.function(network).get_concrete_function(tf.TensorSpec((1, 16, 16, 3), tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([one], network)
    (tmp_path / "fixed.tflite").write_bytes(converter.convert())
    assert "SHAPE" in {op.name for op in ModelFile.read(tmp_path / "open.tflite").graph.operators}
    found = {}
    for name in ("open", "fixed"):
        settings = {"normalize": "0..1", "data": photos, "speed": False}
        report = api.compress(tmp_path / f"{name}.tflite", float32=True, int8=True, **settings)
        found[name] = {model.recipe: model for model in report.models}
    for recipe, tolerance in (("float32", 1e-5), ("int8", 0.1)):
        files = [ModelFile.read(found[name][recipe].path) for name in found]
        # a convolution of 3x3 on 3 channels, a dense layer on all of its numbers, and the last one
        dense = 16 * 16 * 8 * 12
        assert [count_macs(file.graph) for file in files] == [
            256 * 27 * 8 + dense + dense // (64 if rows else 8) * 10
        ] * 2
        assert not {"SHAPE", "PACK", "GATHER"} & {op.name for op in files[0].graph.operators}
        outputs = [Classifier(file.path).probabilities(measured_on(photos, "test")[0]) for file in files]
        assert np.abs(outputs[0] - outputs[1]).max() <= tolerance
        assert found["open"][recipe].top1 == pytest.approx(found["fixed"][recipe].top1, abs=0.05)
    assert found["open"]["int8"].float_top1 > 0.8


@pytest.mark.slow
def test_a_graph_whose_shapes_depend_on_the_picture_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((None, 16, 16, 3), tf.float32)])
    def network(images: Any) -> Any:
        bright = tf.gather_nd(images, tf.where(images > 0.5))
        return tf.nn.softmax(tf.reshape(tf.reduce_sum(bright) * tf.range(3, dtype=tf.float32), (1, 3)))

    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()])
    (tmp_path / "bright.tflite").write_bytes(converter.convert())
    with pytest.raises(ModelError, match=r"^bright\.tflite: shapes inside its graph depend on the picture"):
        load_tflite_source(tmp_path / "bright.tflite")


@pytest.mark.parametrize("name", ["torch", "caffe", "-1..1"])
def test_every_normalization_becomes_part_of_the_file(name: str, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "bare.tflite").write_bytes(bare("float_0_1" if name != "-1..1" else "float_-1_1"))
    given = NORMALIZATIONS.get(name) or Normalization.from_range(-1, 1)
    if name == "caffe":  # the scale that the network knows, with its channels swapped and moved
        given = Normalization((10.0, 0.0, -10.0), (255.0, 250.0, 245.0), "BGR")
    plain_outputs = {"speed": False, "fit_probabilities": False}
    report = api.compress(
        tmp_path / "bare.tflite", recipes=["float32", "int8"], normalize=given, data=photos, **plain_outputs
    )
    images, _ = measured_on(photos, "test")
    expected = Classifier(tmp_path / "bare.tflite", normalize=given).probabilities(images)
    plain, int8 = (Classifier(model.path).probabilities(images) for model in report.models)
    np.testing.assert_allclose(plain, expected, atol=2e-5)
    assert (int8.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.95


def test_a_pytorch_network_goes_the_way_that_its_example_states(photos: Path, tmp_path: Path) -> None:
    program = (ROOT / "examples" / "pytorch_model.py").read_text(encoding="utf-8")
    stated = ast.get_docstring(ast.parse(program)) or ""
    commands = [shlex.split(line)[1:] for line in stated.splitlines() if line.strip().startswith("edgeclf ")]
    path = tmp_path / "birds.tflite"
    path.write_bytes((FOLDER / "torch_digits.tflite").read_bytes())
    (tmp_path / "birds_labels.txt").write_text("".join(f"{name}\n" for name in DIGIT_NAMES))
    (tmp_path / "photos").symlink_to(photos)
    assert ModelFile.read(path).graph.inputs[0].shape == (1, 3, 16, 16)
    images, labels = measured_on(photos, "test")
    norm = NORMALIZATIONS["torch"]
    tensors = ((images - np.array(norm.mean)) / np.array(norm.std)).transpose(0, 3, 1, 2)
    predicted = run_plainly(path, tensors).argmax(axis=1)
    before = predicted == labels
    assert before.mean() >= 0.9
    assert Classifier(path, normalize="torch").top1(images).tolist() == predicted.tolist()

    made, measured = (document(tmp_path, *command) for command in commands)
    (compressed,), (model,) = made["models"], measured["models"]
    int8 = ModelFile.read(tmp_path / compressed["path"])
    assert int8.graph.inputs[0].shape == (1, 16, 16, 3)
    assert "TRANSPOSE" not in {operator.name for operator in int8.graph.operators}
    after = run_plainly(tmp_path / compressed["path"], images).argmax(axis=1) == labels
    assert measured["baseline"]["name"] == "birds.tflite"
    assert measured["baseline"]["top1"] == before.mean()
    assert model["top1"] == after.mean()
    assert model["difference"] == pytest.approx(after.mean() - before.mean())
    low, high = model["difference_interval"]
    assert low <= model["difference"] <= high
    assert low <= 0 <= high, "the loss is within chance"
    refused = edgeclf(tmp_path, "bench", compressed["path"], "--baseline", compressed["path"])
    assert (refused.exit_code, refused.stderr.strip().count("\n")) == (2, 0)
    assert "is quantized; expected the float file" in refused.stderr


def with_two_graphs(model: Any) -> None:
    model.subgraphs.append(schema.ModelT.InitFromPackedBuf(bare("float_0_1"), 0).subgraphs[0])


def with_custom_operator(model: Any) -> None:
    code = model.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = "MyOwn"
    for operator in model.subgraphs[0].operators:
        if operator.opcodeIndex == 0:
            operator.builtinOptionsType, operator.builtinOptions = 0, None


def with_open_size(model: Any) -> None:
    model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].shapeSignature = [1, -1, -1, 3]


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (bare("int8"), ("--int8",), r"is quantized already \(int8\); expected a float32 or float16 file: .* --weights"),
        (bare("int16x8"), ("--int8",), "is quantized already"),
        (bare("two_inputs"), ("--int8",), "expected one input and one output, got 2 and 1"),
        (bare("picture_out"), ("--int8",), r"expected an output of shape \[1, classes\]"),
        (bare("four_channels"), ("--int8",), "expected an input with 1 or 3 channels at its end"),
        (bare("gray_uint8"), ("--int8",), "expected a network that takes RGB pictures, got 1 channel"),
        (bare("float_0_1"), ("--recipe", "prune50-int8"), "is a TFLite file, of which float32, float16, .*int8"),
        (bare("float_0_1"), ("--qat",), "train one from it with edgeclf train PHOTOS --weights net.tflite"),
        (bare("float_0_1"), ("--dynamic",), "dynamic needs a tf-keras network"),
        (bare("float_0_1"), ("--int8", "--fit", "squeeze"), "fit"),
        (changed("float_0_1", with_two_graphs), ("--int8",), "expected one graph to quantize, got 2"),
        (changed("float_0_1", with_custom_operator), ("--int8",), "operator MyOwn is no part of TFLite; export it"),
        (changed("float_0_1", with_open_size), ("--int8",), "expected an input of fixed size"),
        (bare("float_0_1")[:4000], ("--int8",), "damaged|cut"),
        (b"", ("--int8",), "empty"),
    ],
)
def test_what_cannot_be_quantized_is_refused_in_one_line(
    content: bytes, arguments: tuple[str, ...], message: str, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "net.tflite").write_bytes(content)
    done = edgeclf(tmp_path, "compress", "net.tflite", "--data", photos, *arguments)
    assert (done.exit_code, done.stderr.strip().count("\n")) == (2, 0), done.stderr
    assert re.search(message, done.stderr), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["net.tflite"]


def test_data_of_other_classes_and_a_missing_normalization_are_refused(
    photos: Path, source: Path, tmp_path: Path
) -> None:
    few = tmp_path / "few"
    for split in ("train", "validation", "test"):
        for name in ("cat", "dog"):
            (few / split / name).mkdir(parents=True)
            for row in range(3):
                cv2.imwrite(str(few / split / name / f"{row}.png"), np.full((16, 16, 3), row * 9, np.uint8))
    done = edgeclf(tmp_path, "compress", source, "--int8", "--data", few, "--out", "made")
    assert done.exit_code == 2
    assert "has 2 classes, but the network has 10 output classes" in done.stderr
    done = edgeclf(tmp_path, "compress", source, "--int8", "--out", "made")
    assert done.exit_code == 2
    assert "int8 needs training images, and digits.tflite names none; add --data PHOTOS" in done.stderr
    done = edgeclf(tmp_path, "compress", source, "--float32", "--normalize", "raw", "--out", "made")
    assert done.exit_code == 0, "what is given goes before the metadata of others"
    (tmp_path / "bare.tflite").write_bytes(bare("float_0_1"))
    done = edgeclf(tmp_path, "compress", "bare.tflite", "--float32")
    assert done.exit_code == 2
    assert "does not state which input values it expects; add --normalize" in done.stderr


def test_an_edited_source_computes_what_it_computed(tmp_path: Path) -> None:
    images = np.random.default_rng(1).random((10, 16, 16, 3), np.float32)
    (tmp_path / "before.tflite").write_bytes(bare("float_0_1"))
    expected = run_plainly(tmp_path / "before.tflite", images)
    editor = SourceEditor(bare("float_0_1"))
    editor.remove_accessories()
    editor.halve_constants()
    (tmp_path / "halved.tflite").write_bytes(editor.pack())
    assert len(editor.pack()) < 0.8 * len(bare("float_0_1"))
    np.testing.assert_allclose(run_plainly(tmp_path / "halved.tflite", images), expected, atol=0.01)
    widened = SourceEditor((tmp_path / "halved.tflite").read_bytes())
    widened.widen_constants()
    (tmp_path / "widened.tflite").write_bytes(widened.pack())
    assert len(widened.pack()) < 1.02 * len(bare("float_0_1")), "what was widened is not kept beside it"
    graph = ModelFile.read(tmp_path / "widened.tflite").graph
    assert "DEQUANTIZE" not in {operator.name for operator in graph.operators}
    halved, again = (run_plainly(tmp_path / f"{name}.tflite", images) for name in ("halved", "widened"))
    np.testing.assert_allclose(again, halved, atol=1e-5)


@pytest.mark.slow
def test_a_public_imagenet_file_is_calibrated_on_photos_of_other_classes(
    shared_data: Path, cifar_folder: Path, tmp_path: Path
) -> None:
    path = shared_data / "imagenet" / "mobilenet_v1_0.25_224_float32.tflite"
    few = tmp_path / "few"
    for split in ("train", "test"):
        for folder in (cifar_folder / split).iterdir():
            (few / split / folder.name).mkdir(parents=True)
            for photo in sorted(folder.iterdir())[:9]:
                (few / split / folder.name / photo.name).symlink_to(photo)
    given = ("--int8", "--data", few, "--calibration", "16", "--out", "made", "--no-speed")
    refused = edgeclf(tmp_path, "compress", path, *given)
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "add --unlabelled to calibrate on other photos" in refused.stderr
    (model,) = document(tmp_path, "compress", path, *given, "--unlabelled", "--normalize=-1..1")["models"]
    assert (model["top1"], model["float_top1"]) == (None, None)
    dataset = load_dataset(list_source(few), image_size=(224, 224))
    images = np.asarray(dataset.splits["validation"].images)
    before = run_plainly(path, images / 127.5 - 1).argmax(axis=1)
    after = run_plainly(tmp_path / model["path"], images).argmax(axis=1)
    assert model["agreement"] == (before == after).mean() >= 0.6
    assert any(f"for {(before == after).sum()} of {len(images)} images" in note for note in model["notes"])
    refused = edgeclf(tmp_path, "compress", path, "--qat", "--data", few, "--unlabelled")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "qat-int8 trains on labels; leave --unlabelled out" in refused.stderr
    for option in (("--sensitivity",), ("--precision", "0.9")):
        refused = edgeclf(tmp_path, "compress", path, "--int8", "--data", few, "--unlabelled", *option)
        assert f"{option[0]} needs labels that are the network's classes; leave --unlabelled out" in refused.stderr


def with_equal_names(model: Any) -> None:
    for tensor in model.subgraphs[0].tensors:
        tensor.name = b"" if tensor.name is None or len(tensor.shape) > 2 else b"tensor"


def test_tensors_of_equal_name_are_not_taken_for_each_other(photos: Path, tmp_path: Path) -> None:
    tensors, _ = measured_on(photos, "test")
    found = []
    for name, change in (("own", None), ("equal", with_equal_names)):
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(bare("float_0_1") if change is None else changed("float_0_1", change))
        given = ("--int8", "--int4", "--data", photos, "--normalize=0..1", "--out", name, "--no-speed")
        made = document(tmp_path, "compress", path, *given)["models"]
        found.append([run_plainly(tmp_path / model["path"], tensors) for model in made])
    assert len(found[0]) == 2
    np.testing.assert_array_equal(found[0], found[1])


def with_many_names(model: Any) -> None:
    named = schema.TensorMapT()
    named.name, named.tensorIndex = "image", 0
    signature = schema.SignatureDefT()
    signature.inputs, signature.outputs, signature.signatureKey = [named] * 2000, [named], "serving_default"
    model.signatureDefs = [signature]


def test_damaged_files_are_refused_in_one_line(tmp_path: Path) -> None:
    random, content, path = np.random.default_rng(0), bare("float_0_1"), tmp_path / "net.tflite"
    path.write_bytes(changed("float_0_1", with_many_names))
    with pytest.raises(DamagedModelError, match="its signatures name 2,001 tensors, expected at most 1,000"):
        arrange_source(path)
    refusals = []
    for _ in range(150):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), 4):
            damaged[place] ^= 1 << random.integers(0, 8)
        path.write_bytes(bytes(damaged))
        try:
            arrange_source(path)
        except EdgeclfError as error:
            refusals.append(str(error))
    assert 20 < len(refusals) < 150
    assert not any("\n" in refusal for refusal in refusals)
