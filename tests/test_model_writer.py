"""The packaged file: the graph untouched, labels for MediaPipe and for people, samples that verify."""

from __future__ import annotations

import dataclasses
import io
import zipfile

import numpy as np
import pytest
import tflite_models
from ai_edge_litert.interpreter import Interpreter

from edgeclf.artifact.metadata import read_metadata
from edgeclf.artifact.provenance import Provenance, read_provenance
from edgeclf.artifact.tflite import parse
from edgeclf.artifact.tflite_editor import TfliteEditor, is_plain
from edgeclf.artifact.tflite_source_editor import SourceEditor
from edgeclf.compression.export.model_writer import SIGNATURE, package_model
from edgeclf.errors import ModelError


def _package(name: str = "uint8", labels: tuple[str, ...] = tflite_models.DIGIT_NAMES) -> bytes:
    return package_model(tflite_models.bare(name), labels=labels, provenance=Provenance(), description="digits")


def add_metadata(content: bytes, entries: dict[str, bytes], description: str) -> bytes:
    editor = TfliteEditor(content)
    editor.set_metadata(entries, description)
    return editor.pack()


def _scores(content: bytes, image: np.ndarray) -> np.ndarray:
    native = Interpreter(model_content=content)
    native.allocate_tensors()
    native.set_tensor(native.get_input_details()[0]["index"], image)
    native.invoke()
    return native.get_tensor(native.get_output_details()[0]["index"])


@pytest.mark.parametrize("name", ["uint8", "int8"])
def test_the_graph_is_untouched(name: str) -> None:
    flat, content = tflite_models.bare(name), _package(name)
    before, after = parse(flat), parse(content)
    assert [t.name for t in before.tensors] == [t.name for t in after.tensors]
    assert before.operators == after.operators
    assert set(after.metadata) == {*before.metadata, "TFLITE_METADATA", "EDGECLF_PROVENANCE"}
    assert after.metadata["min_runtime_version"] == before.metadata["min_runtime_version"]
    images, _ = tflite_models.digits()
    for image in images[:20]:
        image = image if name == "uint8" else (image ^ 128).view(np.int8)
        assert np.array_equal(_scores(flat, image[None]), _scores(content, image[None]))


def test_a_signature_is_kept_and_made_where_there_is_none() -> None:
    unsigned = SourceEditor(tflite_models.bare("uint8"))
    unsigned.remove_accessories()
    foreign = SourceEditor(unsigned.pack())
    foreign.sign("classify", "picture", "scores")
    for bare, (key, entry, result) in ((unsigned, SIGNATURE), (foreign, ("classify", "picture", "scores"))):
        content = package_model(
            bare.pack(), labels=tflite_models.DIGIT_NAMES, provenance=Provenance(), description="digits"
        )
        native = Interpreter(model_content=content)
        assert native.get_signature_list() == {key: {"inputs": [entry], "outputs": [result]}}
        image = tflite_models.digits()[0][:1]
        (found,) = native.get_signature_runner(key)(**{entry: image}).values()
        assert np.array_equal(found, _scores(content, image))


def test_weights_lie_on_16_byte_boundaries() -> None:
    assert not is_plain(tflite_models.bare("uint8"))
    for name in ("uint8", "int8", "float_0_255"):
        content = _package(name)
        address = np.frombuffer(content, np.uint8).__array_interface__["data"][0]
        for tensor in parse(content).tensors:
            if tensor.data is not None:
                place = np.frombuffer(tensor.data, np.uint8).__array_interface__["data"][0] - address
                assert place % 16 == 0, tensor.name


def test_the_extra_weighs_little() -> None:
    assert len(_package()) - len(tflite_models.bare("uint8")) < 4096


def test_the_labels_lie_stored_in_a_zip_that_ordinary_tools_open() -> None:
    with zipfile.ZipFile(io.BytesIO(_package())) as archive:
        assert archive.testzip() is None
        assert [m.filename for m in archive.infolist()] == ["labels.txt"]
        assert archive.infolist()[0].compress_type == zipfile.ZIP_STORED
        assert archive.read("labels.txt").decode().splitlines() == list(tflite_models.DIGIT_NAMES)


def test_the_same_input_gives_the_same_file() -> None:
    assert _package() == _package()


def test_class_names_of_all_kinds_come_back() -> None:
    names = ("a b", "c/d", "Käse", "日本", "قطة", "50 %", "it's", '"quoted"', " padded ", "emoji 🐈")
    assert read_metadata(_package(labels=names)).labels == names


def test_line_breaks_in_class_names_become_spaces() -> None:
    labels = read_metadata(_package(labels=("two\nlines", *tflite_models.DIGIT_NAMES[1:]))).labels
    assert labels is not None
    assert labels[0] == "two lines"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (tflite_models.DIGIT_NAMES[:9], "labels must name the 10 classes of the output, got 9"),
        (("", *tflite_models.DIGIT_NAMES[1:]), "label 0 must be a name, got ''"),
        ((*tflite_models.DIGIT_NAMES[:9], "edgeclf-sha256:"), "label 9 must be a name"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels: tuple[str, ...], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        _package(labels=labels)


def test_packaging_twice_is_refused() -> None:
    with pytest.raises(ModelError, match="carries a provenance already"):
        package_model(_package(), labels=tflite_models.DIGIT_NAMES, provenance=Provenance(), description="again")


def test_a_file_with_other_peoples_metadata_can_be_packaged() -> None:
    stream = io.BytesIO(tflite_models.bare("uint8"))
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("old_labels.txt", "x\n")
    content = package_model(
        stream.getvalue(), labels=tflite_models.DIGIT_NAMES, provenance=Provenance(), description="digits"
    )
    assert read_metadata(content).labels == tflite_models.DIGIT_NAMES
    assert b"old_labels" not in content


def test_what_is_no_classifier_is_refused() -> None:
    with pytest.raises(ModelError, match=r"expected an output of shape \[1, classes\], got \[-1, 8, 8, 3\]"):
        _package("picture_out")


def test_metadata_says_what_a_float_network_wants() -> None:
    standard = read_metadata(tflite_models.packaged("float_-1_1", (-1.0, 1.0)))
    assert standard.normalization is not None
    assert standard.normalization.mean == pytest.approx((127.5,))
    assert standard.normalization.std == pytest.approx((127.5,))
    assert standard.name == standard.description == "digits, small network"


def test_samples_are_few_and_small_for_a_thousand_classes() -> None:
    from edgeclf.artifact.samples import choose_samples

    outputs = np.random.default_rng(0).dirichlet(np.full(1000, 0.01), 48).astype(np.float32)
    chosen = choose_samples(outputs, 1 / 256)
    made = dataclasses.replace(Provenance(), samples=chosen)
    assert len(chosen["expected"]) == 8
    assert len(made.to_json()) < 4096


def test_samples_prefer_clear_answers_of_different_classes() -> None:
    made = read_provenance(_package())
    assert made is not None
    assert made.samples is not None
    expected = made.samples["expected"]
    assert len({row["classes"][0] for row in expected}) >= 5
    assert all(row["values"][0] - row["values"][1] > 2 for row in expected)


def test_given_figures_are_kept() -> None:
    content = package_model(
        tflite_models.bare("uint8"),
        labels=tflite_models.DIGIT_NAMES,
        provenance=Provenance(parameters=5, macs=6),
        description="digits",
    )
    made = read_provenance(content)
    assert made is not None
    assert (made.parameters, made.macs) == (5, 6)


def test_metadata_of_the_same_name_is_replaced() -> None:
    once = add_metadata(tflite_models.bare("uint8"), {"note": b"first"}, "one")
    twice = add_metadata(once, {"note": b"second"}, "two")
    graph = parse(twice)
    assert is_plain(twice)
    assert graph.metadata["note"] == b"second"
    assert graph.description == "two"
