"""Predictions over a split: all cores give what one plain loop gives, and classes are matched by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from linear_models import Digits, fit, load_digits, write_float_model, write_int8_model

from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import RAW, Normalization
from edgeclf.errors import DataError
from edgeclf.inference.classifier import Classifier
from edgeclf.measure.accuracy import class_indices, predict_split, takes_order_of_classes


@pytest.fixture(scope="module")
def digits() -> Digits:
    return load_digits()


def plain_loop(model: Path, images: np.ndarray) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(model), num_threads=1)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    predictions = []
    for image in images:
        interpreter.set_tensor(source["index"], image[None].astype(source["dtype"]))
        interpreter.invoke()
        predictions.append(int(interpreter.get_tensor(target["index"])[0].argmax()))
    return np.array(predictions)


@pytest.mark.parametrize(("write", "normalization"), [(write_float_model, RAW), (write_int8_model, None)])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_threads_predict_exactly_as_a_plain_loop(
    write, normalization: Normalization | None, workers: int, digits: Digits, tmp_path: Path
) -> None:
    model = write(tmp_path / "model.tflite", *fit(digits))
    found = predict_split(ModelFile.read(model), digits.test_images, normalization=normalization, workers=workers)
    predictions = found.indices
    np.testing.assert_array_equal(predictions, plain_loop(model, digits.test_images))
    assert predictions.dtype == np.int64
    assert np.mean(predictions == digits.test_labels) > 0.8
    scores = Classifier(model, normalize=normalization).probabilities(digits.test_images)
    np.testing.assert_array_equal(found.shown, scores[np.arange(len(scores)), predictions])
    np.testing.assert_array_equal(found.shown, found.plain)  # nothing was fitted


def test_fewer_images_than_workers(digits: Digits, tmp_path: Path) -> None:
    model = write_int8_model(tmp_path / "model.tflite", *fit(digits))
    assert len(predict_split(ModelFile.read(model), digits.test_images[:1], workers=8).indices) == 1
    assert len(predict_split(ModelFile.read(model), digits.test_images[:0], workers=8).shown) == 0


def test_a_model_without_labels_has_the_datas_classes_in_order() -> None:
    assert class_indices((), 3, ("a", "b", "c")).tolist() == [0, 1, 2]
    assert class_indices(("0", "1", "2"), 3, ("a", "b", "c")).tolist() == [0, 1, 2]


def test_letter_case_is_disregarded_unless_classes_differ_by_it_alone() -> None:
    assert class_indices(("Cat", " dog"), 2, ("dog", "cat")).tolist() == [1, 0]
    assert class_indices(("A", "a", "b"), 3, ("A", "a", "b")).tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="does not know the class 'a'"):
        class_indices(("A", "B"), 2, ("A", "a"))


def test_numbers_that_are_the_datas_own_names_are_names() -> None:
    assert class_indices(("0", "1", "2"), 3, ("1", "2")).tolist() == [-1, 0, 1]


def test_classes_are_matched_by_name_not_by_place() -> None:
    found = class_indices(("background", "Dog ", "cat"), 3, ("cat", "dog"))
    assert found.tolist() == [-1, 1, 0]


def test_a_class_that_the_model_does_not_know_is_named() -> None:
    with pytest.raises(DataError, match="does not know the class 'owl' of the data; its labels: cat, dog"):
        class_indices(("cat", "dog"), 2, ("cat", "owl"))


def test_another_number_of_outputs_without_labels_is_refused() -> None:
    with pytest.raises(DataError, match="5 outputs without labels, but the data has 3 classes"):
        class_indices((), 5, ("a", "b", "c"))


def test_a_model_whose_labels_are_mere_numbers_is_known() -> None:
    assert takes_order_of_classes(("0", "1"), ("cat", "dog"))
    assert not takes_order_of_classes(("0", "1"), ("0", "1"))
    assert not takes_order_of_classes(("dog", "cat"), ("cat", "dog"))
