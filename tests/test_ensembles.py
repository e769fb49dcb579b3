"""Ensembles: what they are, how they are combined, and that nothing is judged by what it was fitted on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import edgeclf
from edgeclf.artifact.ensemble_folder import EnsembleRecord, Stacking, find_ensemble
from edgeclf.errors import DataError, InputError, ModelError
from edgeclf.inference.ensemble import Ensemble, combine


class Fixed:
    """A predictor whose probabilities depend on the first pixel alone."""

    def __init__(self, labels: tuple[str, ...], size: tuple[int, int], rows: list[list[float]]) -> None:
        self.labels, self.size = labels, size
        self._rows = np.array(rows, np.float32)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        assert images.shape[1:] == (*self.size, 3)
        return self._rows[images[:, 0, 0, 0]]


IMAGES = np.stack([np.full((8, 8, 3), value, np.uint8) for value in (0, 1)])


def test_members_are_averaged_each_at_its_own_size() -> None:
    first = Fixed(("a", "b"), (8, 8), [[0.9, 0.1], [0.4, 0.6]])
    second = Fixed(("a", "b"), (4, 4), [[0.5, 0.5], [0.0, 1.0]])
    both = Ensemble([second, first])
    assert (both.size, both.labels) == ((8, 8), ("a", "b"))
    np.testing.assert_allclose(both.probabilities(IMAGES), [[0.7, 0.3], [0.2, 0.8]], atol=1e-6)


def test_a_network_that_ends_in_logits_counts_by_its_softmax() -> None:
    logits = Fixed(("a", "b"), (8, 8), [[2.0, 0.0], [0.0, 0.0]])
    even = Fixed(("a", "b"), (8, 8), [[0.5, 0.5], [0.5, 0.5]])
    found = Ensemble([logits, even]).probabilities(IMAGES)
    assert found[0, 0] == pytest.approx((1 / (1 + np.exp(-2)) + 0.5) / 2)


@pytest.mark.parametrize(
    ("labels", "words"),
    [(("a", "c"), "'b', 'c' only in one of them"), (("b", "a"), "the same ones in another order")],
)
def test_members_with_other_classes_are_refused(labels: tuple[str, ...], words: str) -> None:
    rows = [[0.5, 0.5]] * 2
    with pytest.raises(ModelError, match=words):
        Ensemble([Fixed(("a", "b"), (8, 8), rows), Fixed(labels, (8, 8), rows)])


def test_a_stacking_weighs_members() -> None:
    probabilities = np.array([[[0.9, 0.1]], [[0.2, 0.8]]], np.float32)
    second_alone = Stacking(((0, 0, 1, 0), (0, 0, 0, 1)), (0.0, 0.0), 10)
    np.testing.assert_allclose(combine(probabilities, second_alone), [[0.2, 0.8]], atol=1e-6)
    with pytest.raises(InputError, match="2 rows of 6 coefficients"):
        second_alone.check(3, 2)


def make_predictions(images: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """A member that is mostly right and one that is noise: float32[2, N, 3], int64[N]."""
    random = np.random.default_rng(3)
    labels = random.integers(0, 3, images)
    scores = random.normal(size=(2, images, 3))
    scores[0, np.arange(images), labels] += 3
    powers = np.exp(scores)
    return (powers / powers.sum(2, keepdims=True)).astype(np.float32), labels


def test_stacking_is_fitted_and_cross_fitted() -> None:
    pytest.importorskip("sklearn")
    from edgeclf.training.ensembles.stacking import cross_fit, fit_stacking

    probabilities, labels = make_predictions()
    fitted = fit_stacking(probabilities, labels)
    fitted.check(2, 3)
    assert fitted.images == 300
    weights = np.abs(np.array(fitted.coefficients))
    assert weights[:, :3].sum() > 2 * weights[:, 3:].sum()
    crossed = cross_fit(probabilities, labels)
    np.testing.assert_allclose(crossed.sum(1), 1, atol=1e-5)
    right = (combine(probabilities, fitted).argmax(1) == labels).mean()
    assert (crossed.argmax(1) == labels).mean() == pytest.approx(right, abs=0.02)
    # labels at random cannot be learned from other images, however well they can be fitted
    noise = np.random.default_rng(4).integers(0, 3, 300)
    assert (cross_fit(probabilities[1:], noise).argmax(1) == noise).mean() < 0.45
    with pytest.raises(DataError, match="at least 4 of each class, got 1"):
        fit_stacking(probabilities[:, :10], np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 2]))


def test_two_classes_are_stacked() -> None:
    pytest.importorskip("sklearn")
    from edgeclf.training.ensembles.stacking import fit_stacking

    probabilities, labels = make_predictions(80)
    two = probabilities[:, :, :2] / probabilities[:, :, :2].sum(2, keepdims=True)
    known = (labels > 0).astype(np.int64)
    fitted = fit_stacking(two, known)
    fitted.check(2, 2)
    assert (combine(two, fitted).argmax(1) == known).mean() > 0.6


def write(folder: Path, **changes: object) -> Path:
    folder.mkdir(exist_ok=True)
    values = {"members": ["m-0", "m-1"], "class_names": ["a", "b"], **changes}
    (folder / "ensemble.json").write_text(json.dumps(values), encoding="utf-8")
    return folder


def test_ensembles_are_found_by_their_folder_or_by_plus_signs(tmp_path: Path) -> None:
    found = find_ensemble(write(tmp_path / "e"))
    assert found is not None
    assert found.record is not None
    assert (found.name, found.members) == ("e", (tmp_path / "e/m-0", tmp_path / "e/m-1"))
    both = find_ensemble("runs/a+runs/b")
    assert both is not None
    assert (both.name, both.members) == ("a+b", (Path("runs/a"), Path("runs/b")))
    (tmp_path / "c+d").mkdir()
    assert find_ensemble(tmp_path / "c+d") is None
    assert find_ensemble(tmp_path / "x.tflite") is None
    assert EnsembleRecord.from_dict(found.record.to_dict()) == found.record


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"members": ["m-0"]}, "2 to 64 members, got 1"),
        ({"members": ["../m", "m-1"]}, "lies in its folder"),
        ({"members": ["a/b", "m-1"]}, "lies in its folder"),
        ({"combine": "vote"}, "unknown way to combine 'vote'"),
        ({"class_names": [1, 2]}, "must be a text"),
        ({"finished": False}, "not finished"),
        ({"stacking": {"coefficients": [[1, 2]], "intercepts": [0], "images": 3}}, "2 rows of 4 coefficients"),
        (
            {"stacking": {"coefficients": [[1e9] * 4] * 2, "intercepts": [0, 0], "images": 3}},
            "not finite or far too large",
        ),
    ],
)
def test_damaged_records_are_refused_in_one_line(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        find_ensemble(write(tmp_path, **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["runs/a+", "+runs/a", "runs/a+runs/a"])
def test_what_is_no_sum_of_runs_is_refused(text: str) -> None:
    with pytest.raises(ModelError):
        find_ensemble(text)


def test_one_network_is_needed_elsewhere(tmp_path: Path) -> None:
    folder = write(tmp_path / "e")
    for use in (edgeclf.inspect, edgeclf.verify):
        with pytest.raises(ModelError, match=r"is an ensemble of 2.*--teacher"):
            use(folder)
    with pytest.raises(ModelError, match="is an ensemble of 2"):
        edgeclf.Classifier("cifar10+digits")


def test_zoo_models_predict_together(tmp_path: Path) -> None:
    models = Path(__file__).resolve().parents[1] / "models" / "cifar10"
    files = sorted(models.glob("*.tflite"))
    import cv2

    photo = tmp_path / "a.png"
    cv2.imwrite(str(photo), np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8))
    copy = tmp_path / "copy.tflite"
    copy.write_bytes(files[0].read_bytes())
    one = edgeclf.predict(files[0], photo, top=10, threshold=0).predictions[0]
    both = edgeclf.predict(f"{files[0]}+{copy}", photo, top=10).predictions[0]
    # twice the same model: the mean is what each predicts
    assert [label.label for label in both.labels] == [label.label for label in one.labels]
    assert both.labels[0].probability == pytest.approx(one.labels[0].probability)
    with pytest.raises(ModelError, match="different classes"):
        edgeclf.predict(f"{files[0]}+digits", photo)
    with pytest.raises(InputError, match="no stacking was fitted"):
        edgeclf.predict(f"{files[0]}+{copy}", photo, combine="stack")
    with pytest.raises(InputError, match="--combine is for ensembles"):
        edgeclf.predict(files[0], photo, combine="average")
    with pytest.raises(InputError, match="are for one model"):
        edgeclf.predict(f"{files[0]}+{copy}", photo, input_range=(0, 1))
