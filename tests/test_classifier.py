"""Any image classifier in a TFLite file gives labels, whatever its input and output types."""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import tflite_models
from ai_edge_litert.interpreter import Interpreter

from edgeclf.artifact.class_names import UNNAMED
from edgeclf.artifact.metadata import BUFFER_NAME
from edgeclf.artifact.metadata_writer import metadata_buffer
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import Normalization
from edgeclf.artifact.tflite_editor import TfliteEditor
from edgeclf.errors import DamagedModelError, ImageError, InputError, MissingExtraError, ModelError, UnknownNameError
from edgeclf.inference.classifier import Classifier, Prediction
from edgeclf.inference.engine import ENGINES, DeferredEngine, Session, find_engine
from edgeclf.inference.litert import LITERT
from edgeclf.inference.predictor import Predictor

IMAGES, LABELS = tflite_models.digits()


def _file(name: str) -> Path:
    return tflite_models.FOLDER / f"{name}.tflite"


def _open(path: Path, runtime: str = "litert", threads: int = 1) -> Session:
    return find_engine(runtime).open(ModelFile.read(path), threads=threads)


@pytest.fixture
def packaged_file(tmp_path: Path) -> Path:
    path = tmp_path / "digits.tflite"
    path.write_bytes(tflite_models.packaged("uint8"))
    return path


@pytest.mark.parametrize(
    ("name", "top1"),
    [("uint8", 0.89), ("int8", 0.89), ("uint8_to_float", 0.89), ("int16x8", 0.89), ("float_0_255", 0.89),
     ("float_0_1", 0.95), ("uint8_0_1", 0.95), ("float_-1_1", 0.93), ("int8_-1_1", 0.93), ("float_bare_0_255", 0.91),
     ("float_logits", 0.925), ("gray_uint8", 0.945)],
)  # fmt: skip
def test_files_of_others_reach_what_they_reach_in_keras(name: str, top1: float) -> None:
    """Float networks without a word about their input range are measured on the images."""
    classifier = Classifier(_file(name))
    assert (classifier.top1(IMAGES) == LABELS).mean() == pytest.approx(top1, abs=0.011)
    assert classifier.labels == tuple("0123456789")
    assert classifier.integrity == "unverified"


def test_raw_output_is_what_a_plain_loop_gets() -> None:
    native = Interpreter(model_path=str(_file("uint8")))
    native.allocate_tensors()
    classifier = Classifier(_file("uint8"))
    for image in IMAGES[:50]:
        native.set_tensor(native.get_input_details()[0]["index"], image[None])
        native.invoke()
        expected = native.get_tensor(native.get_output_details()[0]["index"])[0]
        assert np.array_equal(classifier.raw(image), expected)


def test_prediction_of_a_file_and_of_pixels_agree(packaged_file: Path, tmp_path: Path) -> None:
    classifier = Classifier(packaged_file)
    assert classifier.integrity == "verified"
    assert (classifier.height, classifier.width, classifier.class_count) == (16, 16, 10)
    path = tmp_path / "Größe 7.png"
    cv2.imencode(".png", IMAGES[7][..., ::-1])[1].tofile(path)
    from_file, from_pixels = classifier.predict(path, top=3), classifier.predict(IMAGES[7], top=3)
    assert from_file == from_pixels
    best = from_file.labels[0]
    assert (best.label, best.index) == (f"digit {LABELS[7]}", LABELS[7])
    assert 0.5 < best.probability <= 1
    assert len(from_file.labels) == 3
    assert Prediction.from_json(from_file.to_json()) == from_file


def test_ties_go_to_the_lowest_index() -> None:
    classifier = Classifier(_file("uint8"))
    flat = np.full((16, 16, 3), 128, np.uint8)
    raw = classifier.raw(flat)
    order = [score.index for score in classifier.predict(flat, top=10).labels]
    assert order == sorted(range(10), key=lambda i: (-int(raw[i]), i))
    assert classifier.top1(flat[None])[0] == order[0] == np.argmax(raw)


@pytest.mark.parametrize("top", [0, -1])
def test_fewer_classes_than_one_are_refused(top: int) -> None:
    with pytest.raises(InputError, match=f"top must be 1 or more, got {top}"):
        Classifier(_file("uint8")).predict(IMAGES[7], top=top)


def test_a_classifier_is_a_predictor() -> None:
    predictor: Predictor = Classifier(_file("uint8"))
    assert predictor.size == (16, 16)
    assert predictor.probabilities(IMAGES[:3]).shape == (3, len(predictor.labels))


def test_a_file_that_is_read_already_gives_the_same(packaged_file: Path) -> None:
    file = ModelFile.read(packaged_file)
    from_file, from_path = Classifier(file), Classifier(packaged_file)
    assert np.array_equal(from_file.probabilities(IMAGES[:5]), from_path.probabilities(IMAGES[:5]))
    assert from_file.path == from_path.path
    assert Classifier(ModelFile(file.content, "unwritten")).path == Path("unwritten")


def test_logits_become_probabilities() -> None:
    classifier = Classifier(_file("float_logits"), input_range=(0, 255))
    probabilities = classifier.probabilities(IMAGES[:10])
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(10), abs=1e-5)
    assert probabilities.min() >= 0


def test_probabilities_of_no_images_are_an_empty_array() -> None:
    classifier = Classifier(_file("float_0_1"))
    assert classifier.probabilities(IMAGES[:0]).shape == (0, 10)
    assert classifier.top1(IMAGES[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("name", "low", "high"), [("float_0_1", 0, 1), ("float_-1_1", -1, 1), ("float_bare_0_255", 0, 255)]
)
def test_the_input_range_is_found_on_images(name: str, low: float, high: float) -> None:
    for labels in (None, LABELS[:64]):
        classifier = Classifier(_file(name))
        assert classifier.input_range is None
        chosen = classifier.choose_input_range(IMAGES[:64], labels)
        assert (chosen.low, chosen.high) == (low, high)
        assert chosen.source == ("measured" if chosen.decided else "assumed")
        assert chosen.decided or f"{low}..{high}" == chosen.remaining[0]
        assert chosen.scores is not None
        assert set(chosen.scores) == {"0..1", "-1..1", "0..255", "torch", "caffe"}
        assert classifier.notes == (UNNAMED, chosen.sentence)
        how = " (measured)" if chosen.decided else ": assumed, not decided between"
        assert f"pixels enter as {low} to {high}{how}" in chosen.sentence
    assert Classifier(_file(name)).choose_input_range(IMAGES, LABELS).decided


def test_a_given_input_range_is_taken() -> None:
    classifier = Classifier(_file("float_-1_1"), input_range=(-1, 1))
    assert classifier.input_range is not None
    assert classifier.input_range.source == "given"
    assert (classifier.top1(IMAGES) == LABELS).mean() == pytest.approx(0.93)
    with pytest.raises(InputError, match=r"input_range must be two rising numbers such as \(0, 1\), got \(1, 0\)"):
        Classifier(_file("float_0_1"), input_range=(1, 0))


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("uint8", (0, 1), r"0,255 \(quantization of its uint8 input\), got 0,1, which leaves 2 of 256 values apart"),
        (
            "uint8_0_1",
            (0, 255),
            r"0,1 \(quantization of its uint8 input\), got 0,255, which leaves 2 of 256 values apart",
        ),
    ],
)
def test_an_8_bit_model_refuses_what_its_input_cannot_hold(
    name: str, given: tuple[float, float], expected: str
) -> None:
    message = rf"^{name}\.tflite knows its input: expected {expected}; leave --normalize and --input-range out$"
    with pytest.raises(InputError, match=message):
        Classifier(_file(name), input_range=given)


@pytest.mark.parametrize(("name", "given"), [("uint8", (0, 255)), ("uint8_0_1", (0, 1)), ("int8_-1_1", (-1, 1))])
def test_an_8_bit_model_accepts_the_range_of_its_quantization(name: str, given: tuple[float, float]) -> None:
    plain, agreeing = Classifier(_file(name)), Classifier(_file(name), input_range=given)
    assert agreeing.input_range == plain.input_range
    assert np.array_equal(agreeing.raw(IMAGES[0]), plain.raw(IMAGES[0]))


@pytest.mark.parametrize("name", ["uint8", "float_0_255", "int16x8"])
def test_a_model_of_edgeclf_refuses_another_input_range(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_models.packaged(name))
    expected = r"^model\.tflite knows its input: expected 0,255 \(provenance\), got -1,1; leave --normalize and --inp"
    with pytest.raises(InputError, match=expected):
        Classifier(path, input_range=(-1, 1))
    assert Classifier(path, input_range=(0, 255)).input_range == Classifier(path).input_range


def test_the_input_range_in_the_provenance_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_models.packaged("float_-1_1", (-1.0, 1.0)))
    classifier = Classifier(path)
    assert classifier.input_range is not None
    assert (classifier.input_range.low, classifier.input_range.source) == (-1.0, "provenance")
    assert (classifier.top1(IMAGES) == LABELS).mean() == pytest.approx(0.93)


def _with_metadata(normalization: Normalization, labels: str) -> bytes:
    buffer = metadata_buffer("digits", "someone's", 16, 16, 3, normalization)
    editor = TfliteEditor(tflite_models.bare("float_-1_1"))
    editor.set_metadata({BUFFER_NAME: buffer}, "someone's")
    stream = io.BytesIO(editor.pack())
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", labels)
    return stream.getvalue()


def test_other_peoples_metadata_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    labels = "\r\n".join(f"number {i}" for i in range(10))
    path.write_bytes(_with_metadata(Normalization((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)), labels))
    classifier = Classifier(path)
    assert classifier.integrity == "unverified"
    assert classifier.labels[3] == "number 3"
    assert classifier.input_range is not None
    assert classifier.input_range.source == "metadata"
    assert (classifier.top1(IMAGES) == LABELS).mean() == pytest.approx(0.93)


def test_a_given_range_goes_before_other_peoples_metadata(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(_with_metadata(Normalization((0.0,), (1.0,)), "\n".join("abcdefghij")))
    classifier = Classifier(path, input_range=(-1, 1))
    assert classifier.input_range is not None
    assert (classifier.input_range.low, classifier.input_range.source) == (-1.0, "given")
    assert (classifier.top1(IMAGES) == LABELS).mean() == pytest.approx(0.93)


def test_a_list_of_labels_of_another_length_is_not_used_but_noted(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(_with_metadata(Normalization((127.5,), (127.5,)), "a\nb\nc\n"))
    classifier = Classifier(path)
    assert classifier.labels == tuple("0123456789")
    assert classifier.label_source == "numbers"
    assert classifier.notes == ("the file names 3 labels for 10 classes; --labels FILE names them",)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("not_images", r"expected an input of shape \[1, height, width, channels\], got \[-1, 12\]"),
        ("two_inputs", "expected one input and one output, got 2 and 1"),
        ("picture_out", r"expected an output of shape \[1, classes\], got \[-1, 8, 8, 3\]"),
        ("four_channels", r"expected an input with 1 or 3 channels at its end, got \[-1, 8, 8, 4\]"),
    ],
)
def test_what_is_no_image_classifier_is_refused(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=rf"^{name}\.tflite: not an image classifier: {message}$"):
        Classifier(_file(name))


def test_a_damaged_file_never_reaches_the_runtime(packaged_file: Path) -> None:
    content = bytearray(packaged_file.read_bytes())
    content[6000] ^= 1
    packaged_file.write_bytes(content)
    with pytest.raises(DamagedModelError, match=r"digits\.tflite: the checksum inside does not fit"):
        Classifier(packaged_file)
    with pytest.raises(DamagedModelError):
        _open(packaged_file)


def test_pixels_of_another_size_or_type_are_refused() -> None:
    classifier = Classifier(_file("uint8"))
    with pytest.raises(ImageError, match=r"expected uint8\[16, 16, 3\], got uint8\[8, 8, 3\]"):
        classifier.raw(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ImageError, match=r"expected uint8\[16, 16, 3\], got uint8\[32, 16, 3\]"):
        classifier.probabilities(np.zeros((1, 32, 16, 3), np.uint8))
    with pytest.raises(ImageError, match=r"expected uint8\[H, W, 3\] RGB pixels, got float32\[16, 16, 3\]"):
        classifier.predict(np.zeros((16, 16, 3), np.float32))  # type: ignore[arg-type]


def test_a_session_names_what_it_expects() -> None:
    ready = _open(_file("uint8"))
    assert (ready.input.shape, ready.input.dtype, ready.input.scale) == ((1, 16, 16, 3), "uint8", 1.0)
    assert (ready.output.shape, ready.output.zero_point) == ((1, 10), 0)
    assert ready.engine == "litert"
    assert ready.engine_version[0].isdigit()
    with pytest.raises(InputError, match=r"the input must be uint8\[1, 16, 16, 3\], got float32\[1, 16, 16, 3\]"):
        ready.run(np.zeros((1, 16, 16, 3), np.float32))


def test_unknown_runtimes_and_thread_counts_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown runtime 'lite-rt'; did you mean 'litert'"):
        _open(_file("uint8"), runtime="lite-rt")
    for count in (0, 257, 99_999_999_999):
        with pytest.raises(InputError, match=f"threads must be from 1 to 256, got {count}"):
            _open(_file("uint8"), threads=count)


def test_a_runtime_that_is_not_there_comes_with_its_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r'pip install "edgeclf\[train\]"'):
        _open(_file("uint8"), runtime="tensorflow")
    ended = sys.version_info >= (3, 12)  # nothing to install can help there
    message = "tflite-runtime ended with Python 3.11" if ended else r'pip install "edgeclf\[tflite-runtime\]"'
    with pytest.raises(InputError, match=message):
        _open(_file("uint8"), runtime="tflite-runtime")


def test_engines_are_named_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is registered is found by name, completed on the command line, and listed in messages."""
    from edgeclf.cli.options import RUNTIME

    assert {"litert", "tflite-runtime", "tensorflow"} <= set(ENGINES)
    monkeypatch.setitem(ENGINES, "litert-twin", LITERT)
    assert (Classifier(_file("uint8"), runtime="litert-twin").top1(IMAGES) == LABELS).mean() > 0.8
    assert RUNTIME.complete is not None
    assert RUNTIME.complete("litert") == ["litert", "litert-twin"]
    with pytest.raises(UnknownNameError, match=r"known: litert, litert-twin, onnxruntime, tensorflow, tflite-runtime"):
        find_engine("???")


def test_an_engine_in_a_module_is_imported_at_its_first_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "from edgeclf.inference.engine import ENGINES",
        "from edgeclf.inference.litert import LiteRT",
        "class Later(LiteRT):",
        "    name = 'later'",
        "ENGINES['later'] = Later()",
    ]
    (tmp_path / "later_engine.py").write_text("\n".join(lines))
    (tmp_path / "forgetful_engine.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("later", "forgetful"):
        monkeypatch.setitem(ENGINES, name, DeferredEngine(name, f"{name}_engine"))
    Classifier(_file("uint8"))
    assert "later_engine" not in sys.modules
    assert Classifier(_file("uint8"), runtime="later").runtime == "later"
    assert not isinstance(ENGINES["later"], DeferredEngine)
    with pytest.raises(RuntimeError, match="forgetful_engine did not register the engine 'forgetful'"):
        find_engine("forgetful")
    for name in ("later", "forgetful"):
        del sys.modules[f"{name}_engine"]


def test_what_is_inside_a_graph_can_be_read() -> None:
    file = ModelFile.read(_file("float_0_1"))
    session = LITERT.open(file, preserve_all_tensors=True, kernels="plain")
    result = session.run(IMAGES[:1].astype(np.float32) / 255)
    last = file.graph.producer(file.graph.output_indices[0])
    assert last is not None
    assert last.name == "SOFTMAX"
    powers = np.exp(session.read(last.inputs[0]))
    assert powers / powers.sum() == pytest.approx(result, abs=1e-6)


@pytest.mark.slow
def test_tensorflow_is_a_runtime_too() -> None:
    pytest.importorskip("tensorflow")
    classifier = Classifier(_file("uint8"), runtime="tensorflow")
    assert (classifier.top1(IMAGES) == LABELS).mean() == pytest.approx(0.89, abs=0.02)


def test_native_chatter_stays_off_stderr(packaged_file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Classifier(packaged_file).predict(IMAGES[0])
    assert capfd.readouterr().err == ""
