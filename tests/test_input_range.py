"""The measurement behind the choice of an input range."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edgeclf.artifact.normalization import NORMALIZATIONS
from edgeclf.errors import InputError
from edgeclf.inference.input_range import InputRange
from edgeclf.inference.range_measurement import measure_input_range, mutual_information


def test_information_is_highest_for_confident_and_different_predictions() -> None:
    confident = np.eye(4, dtype=np.float32)
    assert mutual_information(confident) == pytest.approx(np.log(4))
    assert mutual_information(np.full((4, 4), 0.25, np.float32)) == pytest.approx(0)
    assert mutual_information(np.tile(confident[:1], (4, 1))) == pytest.approx(0)
    assert mutual_information(np.array([[0.5, 0.5]], np.float32)) == 0  # one image tells nothing from nothing


def _network(low: float, high: float) -> object:
    """Confident about bright and dark, if fed between `low` and `high`; uninformative or one-sided otherwise."""

    def predict(tensors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        level = (tensors.mean(axis=(1, 2, 3)) - low) / (high - low)
        logit = np.where((level > -0.05) & (level < 1.05), 8 * (level - 0.5), 0)
        bright = 1 / (1 + np.exp(-logit))
        return np.stack([1 - bright, bright], axis=1).astype(np.float32)

    return predict


IMAGES = np.repeat(np.array([0, 20, 40, 210, 230, 255], np.uint8), 48).reshape(6, 4, 4, 3)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)])
def test_known_labels_decide_by_right_predictions(low: float, high: float) -> None:
    labels = np.array([0, 0, 0, 1, 1, 1])
    chosen = measure_input_range(_network(low, high), IMAGES, labels)  # type: ignore[arg-type]
    assert chosen.scores is not None
    assert chosen.scores[f"{low:g}..{high:g}"] == 1.0
    assert (chosen.low, chosen.high) == (low, high)


def test_without_images_the_option_is_named() -> None:
    with pytest.raises(InputError, match="give it with --normalize or --input-range"):
        measure_input_range(_network(0, 1), IMAGES[:0])  # type: ignore[arg-type]


def test_the_choice_has_a_json_round_trip_and_a_sentence() -> None:
    chosen = InputRange(NORMALIZATIONS["tf"], "given")
    assert InputRange.from_json(chosen.to_json()) == chosen
    assert chosen.sentence == "pixels enter as -1 to 1 (given)"


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0)])
def test_classes_in_another_order_are_noticed_and_the_predictions_themselves_decide(low: float, high: float) -> None:
    labels = np.array([1, 1, 1, 0, 0, 0])  # each prediction is wrong at the right range
    chosen = measure_input_range(_network(low, high), IMAGES, labels)  # type: ignore[arg-type]
    assert (chosen.low, chosen.high) == (low, high)
    assert "labels are right, which could be chance" in chosen.doubt
    assert InputRange.from_json(chosen.to_json()) == chosen


def test_equal_fractions_of_right_predictions_are_decided_by_information() -> None:
    """A network that only compares channels is right at any range, but confident of it at one alone."""

    def predict(tensors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        red = tensors[..., 0].mean(axis=(1, 2)) - tensors[..., 1].mean(axis=(1, 2))
        bright = 1 / (1 + np.exp(-np.clip(red, -2, 2)))
        return np.stack([1 - bright, bright], axis=1).astype(np.float32)

    images = np.zeros((20, 4, 4, 3), np.uint8)
    images[:10, ..., 1], images[10:, ..., 0] = 255, 255
    labels = np.repeat([0, 1], 10)
    chosen = measure_input_range(predict, images, labels)
    assert chosen.scores == {"0..1": 1.0, "-1..1": 1.0, "0..255": 1.0, "torch": 1.0, "caffe": 1.0}
    assert (chosen.low, chosen.high) == (-1.0, 1.0)
    assert chosen.doubt == ""


def test_with_one_class_alone_right_predictions_mean_nothing() -> None:
    chosen = measure_input_range(_network(0, 1), IMAGES[:3], np.zeros(3, np.int64))  # type: ignore[arg-type]
    assert "could be chance" in chosen.doubt
