"""The measurement behind the choice of an input range."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edgeclf.errors import InputError
from edgeclf.runtime.input_range import InputRange, information, measure_input_range


def test_information_is_highest_for_sure_and_different_answers() -> None:
    sure = np.eye(4, dtype=np.float32)
    assert information(sure) == pytest.approx(np.log(4))
    assert information(np.full((4, 4), 0.25, np.float32)) == pytest.approx(0)
    assert information(np.tile(sure[:1], (4, 1))) == pytest.approx(0)
    assert information(np.array([[0.5, 0.5]], np.float32)) == pytest.approx(-np.log(2))


def _network(low: float, high: float) -> object:
    """Sure about bright and dark, if fed between `low` and `high`; mute or one-sided otherwise."""

    def predict(tensors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        level = (tensors.mean(axis=(1, 2, 3)) - low) / (high - low)
        logit = 8 * (level - 0.5)
        bright = 1 / (1 + np.exp(-logit))
        return np.stack([1 - bright, bright], axis=1).astype(np.float32)

    return predict


IMAGES = np.repeat(np.array([0, 20, 40, 210, 230, 255], np.uint8), 48).reshape(6, 4, 4, 3)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)])
def test_known_labels_decide_by_right_answers(low: float, high: float) -> None:
    labels = np.array([0, 0, 0, 1, 1, 1])
    chosen = measure_input_range(_network(low, high), IMAGES, labels)  # type: ignore[arg-type]
    assert chosen.scores is not None
    assert chosen.scores[f"{low:g}..{high:g}"] == 1.0
    assert (chosen.low, chosen.high) == (low, high)


def test_without_images_the_option_is_named() -> None:
    with pytest.raises(InputError, match="--input-range LO,HI"):
        measure_input_range(_network(0, 1), IMAGES[:0])  # type: ignore[arg-type]


def test_the_choice_has_a_json_round_trip_and_a_sentence() -> None:
    chosen = InputRange(-1.0, 1.0, "given")
    assert InputRange.from_json(chosen.to_json()) == chosen
    assert chosen.sentence == "pixels enter as -1 to 1 (given)"
