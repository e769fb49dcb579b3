"""ONNX out: what onnxruntime computes of the file is what the float network computes."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from command_line import document, edgeclf
from tflite_models import DIGIT_NAMES, bare, digits

from edgeclf import api
from edgeclf.errors import EdgeclfError, MissingExtraError, ModelError, RunFailedError, UnknownNameError
from edgeclf.inference.classifier import Classifier

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("tf2onnx")
pytest.importorskip("tensorflow")


def run_plainly(path: str | Path, images: Any) -> tuple[Any, Any]:
    """What onnxruntime makes of images, one at a time; and the session."""
    session = onnxruntime.InferenceSession(Path(path).read_bytes(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: image[None]})[0] for image in images]), session


def test_a_tflite_file_becomes_onnx_that_computes_the_same_from_raw_pixels(tmp_path: Path) -> None:
    path = tmp_path / "digits.tflite"
    path.write_bytes(bare("float_0_1"))
    (tmp_path / "labels.txt").write_text("\n".join(DIGIT_NAMES))
    (model,) = api.compress(path, to="onnx", normalize="0..1", speed=False).models
    assert model.path == str(tmp_path / "compressed" / "digits-onnx.onnx")
    assert Path(model.path).stat().st_size == model.size_bytes
    images, labels = digits()
    found, session = run_plainly(model.path, images)
    np.testing.assert_allclose(found, Classifier(path, normalize="0..1").probabilities(images), atol=1e-5)
    assert (found.argmax(axis=1) == labels).mean() > 0.9
    (entry,), (result,) = session.get_inputs(), session.get_outputs()
    assert (entry.name, entry.type, entry.shape) == ("image", "tensor(uint8)", [1, 16, 16, 3])
    assert (result.name, result.type) == ("probabilities", "tensor(float)")
    assert session.get_modelmeta().custom_metadata_map["labels"].split("\n") == list(DIGIT_NAMES)
    assert any("computed by onnxruntime on 48 pictures: differs from LiteRT by at most" in note for note in model.notes)


def test_a_line_break_in_a_label_makes_no_two_classes(tmp_path: Path) -> None:
    path = tmp_path / "digits.tflite"
    path.write_bytes(bare("float_0_1"))
    names = ("ze\nro", *DIGIT_NAMES[1:])
    (model,) = api.compress(path, to="onnx", normalize="0..1", labels=names, speed=False).models
    session = onnxruntime.InferenceSession(Path(model.path).read_bytes(), providers=["CPUExecutionProvider"])
    stored = session.get_modelmeta().custom_metadata_map["labels"].split("\n")
    assert stored == ["ze ro", *DIGIT_NAMES[1:]]


def test_a_keras_network_becomes_onnx_beside_a_tflite_file(tmp_path: Path) -> None:
    tf_keras = pytest.importorskip("tf_keras")
    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(0)
    x = inputs = layers.Input((8, 8, 3))
    x = layers.SeparableConv2D(4, 3, activation="relu6")(layers.Rescaling(1 / 127.5, -1)(x))
    network = tf_keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    network.save(tmp_path / "net.keras")
    report = api.compress(tmp_path / "net.keras", to=["onnx"], float32=True, io="float32", speed=False)
    plain, onnx = report.models
    assert (plain.recipe, onnx.recipe) == ("float32", "onnx")
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype(np.float32)
    found, session = run_plainly(onnx.path, images)
    np.testing.assert_allclose(found, network.predict(images, verbose=0), atol=1e-4)
    assert session.get_inputs()[0].type == "tensor(float)"


def test_what_cannot_become_onnx_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.tflite").write_bytes(bare("float_0_1"))
    for arguments, message in (
        (("--to", "onxx"), "onnx"),
        (("--to", "onnx", "--qat"), "qat-onnx"),
        (("--to", "onnx", "--io", "int8"), "--io int8 goes with int8 models, got onnx"),
    ):
        done = edgeclf(tmp_path, "compress", "net.tflite", *arguments)
        assert (done.exit_code, done.stderr.strip().count("\n")) == (2, 0), done.stderr
        assert message in done.stderr
    with pytest.raises(UnknownNameError, match="qat-int8"):
        api.compress(tmp_path / "net.tflite", to="qat-int8")
    monkeypatch.setattr("edgeclf.extras.installed", lambda module: module != "tf2onnx")
    with pytest.raises(MissingExtraError, match=r'pip install "edgeclf\[onnx\]"'):
        api.compress(tmp_path / "net.tflite", to="onnx", normalize="0..1")
    assert [path.name for path in tmp_path.iterdir()] == ["net.tflite"]


def test_an_operator_that_tf2onnx_leaves_as_it_is_is_named(tmp_path: Path) -> None:
    tf_keras = pytest.importorskip("tf_keras")
    layers = tf_keras.layers
    stack = [layers.InputLayer((8, 8, 3)), layers.Conv2D(4, 3, activation="gelu"), layers.GlobalAveragePooling2D()]
    tf_keras.Sequential([*stack, layers.Dense(3)]).save(tmp_path / "net.keras")
    refused = edgeclf(tmp_path, "compress", "net.keras", "--to", "onnx", "--no-speed", "--normalize=raw")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.splitlines()[-1].endswith("cannot convert this network: it has no way to write GELU")


def test_a_file_that_computes_something_else_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tf2onnx

    (tmp_path / "net.tflite").write_bytes(bare("float_0_1"))
    convert = tf2onnx.convert.from_tflite

    def spoil(value: float, path: str, **settings: Any) -> Any:
        model, _ = convert(path, **settings)
        weights = next(one for one in model.graph.initializer if len(one.dims) == 4)
        weights.raw_data = np.full(len(weights.raw_data) // 4, value, np.float32).tobytes()
        return model, None

    for wrong in (0, np.nan):
        monkeypatch.setattr(tf2onnx.convert, "from_tflite", functools.partial(spoil, wrong))
        with pytest.raises(RunFailedError, match="the ONNX file differs from the float network by"):
            api.compress(tmp_path / "net.tflite", to="onnx", normalize="0..1")

    def fail(path: str, **settings: Any) -> Any:
        raise KeyError("NoSuchOperator")

    monkeypatch.setattr(tf2onnx.convert, "from_tflite", fail)
    with pytest.raises(ModelError, match="tf2onnx cannot convert this network: 'NoSuchOperator'"):
        api.compress(tmp_path / "net.tflite", to="onnx", normalize="0..1")
    assert [path.name for path in tmp_path.iterdir()] == ["net.tflite"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx")
    (folder / "digits.tflite").write_bytes(bare("float_0_1"))
    (model,) = api.compress(
        folder / "digits.tflite", to="onnx", normalize="0..1", labels=DIGIT_NAMES, fit="pad", speed=False
    ).models
    return Path(model.path)


def test_the_engine_computes_what_onnxruntime_computes(file: Path) -> None:
    images, _ = digits()
    expected, _ = run_plainly(file, images)
    classifier = Classifier(file, runtime="onnxruntime", threads=1)
    assert (classifier.labels, classifier.size, classifier.input_shape.fit) == (DIGIT_NAMES, (16, 16), "pad")
    assert (classifier.runtime_version, classifier.integrity) == (onnxruntime.__version__, "unverified")
    np.testing.assert_array_equal(classifier.probabilities(images), expected)
    assert classifier.top1(images).tolist() == expected.argmax(axis=1).tolist()


def test_predict_and_bench_read_the_file_and_other_commands_refuse_it(file: Path, tmp_path: Path) -> None:
    images, labels = digits()
    for row in range(60):
        folder = tmp_path / "photos" / "test" / DIGIT_NAMES[labels[row]]
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{row}.png"), images[row])
        (tmp_path / "photos" / "train" / folder.name).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "photos" / "train" / folder.name / f"{row}.png"), images[row + 60])
    found = document(tmp_path, "predict", file, tmp_path / "photos" / "test", "--runtime", "onnxruntime", "--recursive")
    assert len(found["predictions"]) == 60
    baseline = file.parent.parent / "digits.tflite"
    given = ("--data", tmp_path / "photos", "--runtime", "onnxruntime", "--runs", "20", "--normalize", "0..1")
    report = document(tmp_path, "bench", file, *given, "--baseline", baseline)
    file.with_suffix(".copy.onnx").write_bytes(file.read_bytes())
    (model,) = report["models"]
    assert (model["runtime"], model["macs"], model["difference"]) == ("onnxruntime", None, 0.0)
    assert model["top1"] == report["baseline"]["top1"] > 0.8
    compared = document(tmp_path, "compare", file, file.with_suffix(".copy.onnx"), *given[:4])
    assert (compared["second"]["macs"], compared["second"]["parameters"], compared["difference"]) == (None, None, 0.0)
    for arguments, message in (
        (("predict", file, tmp_path / "photos"), "litert runs .tflite files; run it with --runtime onnxruntime"),
        (("predict", baseline, tmp_path / "photos", "--runtime", "onnxruntime"), "onnxruntime runs .onnx files"),
        (("inspect", file), "inspect reads .tflite files"),
        (("inspect", file, "--doctor"), "--doctor examines .tflite files, got an ONNX file"),
        (("bench", file, *given, "--fail-if", "macs>1M"), "the macs of digits-onnx are counted in .tflite files alone"),
        (("verify", file), "carries no samples to verify"),
    ):
        done = edgeclf(tmp_path, *arguments)
        assert (done.exit_code, done.stderr.strip().count("\n")) == (2, 0), done.stderr
        assert message in done.stderr


def test_what_passes_scores_on_does_not_make_logits_of_them(file: Path, tmp_path: Path) -> None:
    images, _ = digits()
    expected = Classifier(file, runtime="onnxruntime", threads=1).probabilities(images)
    model = onnx.load(file)
    last, old = model.graph.output[0].name, "scores_as_they_were"
    for node in model.graph.node:
        for place, name in enumerate(node.output):
            if name == last:
                node.output[place] = old
    model.graph.node.append(onnx.helper.make_node("Identity", [old], ["between"]))
    model.graph.node.append(onnx.helper.make_node("Cast", ["between"], ["cast"], to=onnx.TensorProto.FLOAT))
    # as where networks predict together; here both are the same one
    model.graph.node.append(onnx.helper.make_node("Mean", ["cast", "between"], [last]))
    onnx.save(model, tmp_path / "passing.onnx")
    passing = Classifier(
        tmp_path / "passing.onnx", runtime="onnxruntime", threads=1, normalize="raw", labels=DIGIT_NAMES
    )
    np.testing.assert_array_equal(passing.probabilities(images), expected)


def test_integers_that_stand_for_nothing_are_no_probabilities(file: Path, tmp_path: Path) -> None:
    model = onnx.load(file)
    scores = model.graph.output[0].name
    model.graph.node.append(onnx.helper.make_node("Cast", [scores], ["integers"], to=onnx.TensorProto.UINT8))
    model.graph.output[0].name = "integers"
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    onnx.save(model, tmp_path / "integers.onnx")
    with pytest.raises(ModelError, match="an output that says what its uint8 numbers stand for, got one without a"):
        Classifier(tmp_path / "integers.onnx", runtime="onnxruntime", threads=1, normalize="raw", labels=DIGIT_NAMES)


def refuse(path: Path) -> str:
    """The message with which a file is refused, or with which it fails; empty where it runs."""
    try:
        Classifier(path, runtime="onnxruntime").probabilities(np.zeros((1, 16, 16, 3), np.uint8))
    except EdgeclfError as error:
        return str(error)
    return ""


def test_damaged_and_hostile_files_are_refused_in_one_line(file: Path, tmp_path: Path) -> None:
    import onnx

    model = onnx.load(file)
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    external = model.SerializeToString()
    model = onnx.load(file)
    model.graph.output.append(model.graph.output[0])
    two = model.SerializeToString()
    model = onnx.load(file)
    model.graph.node[0].op_type = "NoSuchOperator"
    unknown = model.SerializeToString()
    content = file.read_bytes()
    cases = [(external, "keeps constants in other files"), (two, "got 1 and 2"), (unknown, "onnxruntime refuses it")]
    cases += [(content[:size], ": ") for size in range(0, len(content), len(content) // 40)]
    random = np.random.default_rng(0)
    for _ in range(100):
        damaged = bytearray(content)
        damaged[random.integers(0, 400)] ^= 1 << random.integers(0, 8)
        cases.append((bytes(damaged), ""))
    path = tmp_path / "net.onnx"
    for bad, message in cases:
        path.write_bytes(bad)
        refusal = refuse(path)
        assert "\n" not in refusal
        assert message in refusal
