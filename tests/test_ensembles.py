"""Ensembles: what they are, how they are combined, and that nothing is judged by what it was fitted on."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from linear_models import fit, load_digits, write_int8_model
from photo_folders import write as save

import edgeclf
from edgeclf.artifact.ensemble_folder import EnsembleRecord, Stacking, find_ensemble
from edgeclf.dataset import list_source, load_dataset
from edgeclf.errors import DataError, InputError, ModelError, OutputError
from edgeclf.inference.classifier import Classifier
from edgeclf.inference.ensemble import Ensemble, as_probabilities, combine, predict_probabilities
from edgeclf.measure import ensemble
from edgeclf.progress import SILENT


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


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_probabilities_of_8_bits_are_not_taken_for_logits(classes: int) -> None:
    scores = np.random.default_rng(0).gumbel(size=(2000, classes))
    exact = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    rounded = (np.round(exact * 256) / 256).astype(np.float32)
    np.testing.assert_array_equal(as_probabilities(rounded), rounded)
    assert not np.array_equal(as_probabilities(scores), scores)


class FixedClassifier(Classifier):
    """A classifier of a model file whose probabilities are given, in place of those of a graph."""

    def __init__(self, rows: list[list[float]]) -> None:
        self.rows = rows

    def probabilities(self, images: Any) -> Any:
        return np.array(self.rows, np.float32)


def test_what_a_model_file_gives_is_never_made_into_probabilities_again() -> None:
    # one output a class, each with a sigmoid; and many classes whose 8-bit probabilities all round to nothing
    for rows in ([[0.1, 0.98, 0.1]], [[0.0] * 1000]):
        np.testing.assert_array_equal(predict_probabilities(FixedClassifier(rows), IMAGES), np.array(rows, np.float32))


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


def test_a_recorded_stacking_meets_the_classes_in_its_own_order() -> None:
    probabilities = np.array([[[0.9, 0.1]], [[0.2, 0.8]]], np.float32)
    # the first member's `cat` decides, whose column is the second one in the order of the data
    first_cat = Stacking(((5, 0, 0, 0), (0, 0, 0, 0)), (0.0, 0.0), 10)
    record = EnsembleRecord(("m-0", "m-1"), ("cat", "dog"), "stack", first_cat)
    data = SimpleNamespace(class_names=("Dog", "cat"))
    members = [SimpleNamespace(shape=None)]
    predictions = ensemble._Predictions(members, lambda shape: data, SILENT, {"test": probabilities})  # type: ignore[arg-type, return-value]
    found = predictions.stacked("test", record, first_cat)
    np.testing.assert_allclose(found[:, ::-1], combine(probabilities[:, :, ::-1], first_cat), atol=1e-6)
    assert found[0].argmax() == 0


def make_predictions(images: int = 60) -> tuple[np.ndarray, np.ndarray]:
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
    assert fitted.images == 60
    weights = np.abs(np.array(fitted.coefficients))
    assert weights[:, :3].sum() > 2 * weights[:, 3:].sum()
    assert (combine(probabilities, fitted).argmax(1) == labels).mean() > 0.9
    # labels at random cannot be learned from other images, however well they can be fitted
    noise = np.random.default_rng(4).integers(0, 3, 60)
    assert (cross_fit(probabilities[1:], noise).argmax(1) == noise).mean() < 0.6
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


def make_photos(folder: Path, images: int = 50) -> Path:
    """Two classes that a mean of the pixels tells apart most of the time."""
    random = np.random.default_rng(0)
    for name, level in {"dark": 120, "light": 136}.items():
        for number in range(images):
            pixels = np.clip(random.normal(level, 40, (16, 16, 3)) + random.normal(0, 6), 0, 255).astype(np.uint8)
            save(folder / name / f"{number}.png", pixels)
    return folder


def test_files_of_other_programs_take_the_labels_that_are_given(tmp_path: Path) -> None:
    digits = load_digits()
    weights, bias = fit(digits)
    # outputs from nine to zero, which the files do not say
    files = [write_int8_model(tmp_path / f"{bits}.tflite", weights[::-1], bias[::-1], bits=bits) for bits in (8, 7)]
    for number, (image, label) in enumerate(zip(digits.test_images[:100], digits.test_labels, strict=False)):
        place = tmp_path / "photos" / f"digit {label}" / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place), image)
    (tmp_path / "names.txt").write_text("".join(f"digit {digit}\n" for digit in range(9, -1, -1)))
    both = "+".join(map(str, files))
    keywords = {"data": tmp_path / "photos", "split": "train", "normalize": "raw"}
    named = edgeclf.bench(both, labels=tmp_path / "names.txt", **keywords).ensembles[0]
    unnamed = edgeclf.bench(both, **keywords).ensembles[0]
    assert named.accuracy is not None
    assert unnamed.accuracy is not None
    assert named.accuracy.top1 > 0.8 > 0.3 > unnamed.accuracy.top1
    assert not any("names no classes" in note for note in named.notes)
    assert sum("names no classes, so its outputs were taken" in note for note in unnamed.notes) == 2
    with pytest.raises(DataError, match="--split all measures; take --split test, or --combine average"):
        edgeclf.bench(both, **{**keywords, "split": "all"}, combine="stack")
    # what is said of the data is said of an ensemble, too
    (tmp_path / "wrapping").mkdir()
    (tmp_path / "photos").rename(tmp_path / "wrapping" / "photos")
    keywords["data"] = tmp_path / "wrapping"
    report = edgeclf.bench(both, labels=tmp_path / "names.txt", **keywords)
    assert any("the only folder inside" in note for note in report.notes)


def test_what_is_about_single_models_is_refused(tmp_path: Path) -> None:
    model = next((Path(__file__).resolve().parents[1] / "models" / "cifar10").glob("*.tflite"))
    copy = tmp_path / "copy.tflite"
    copy.write_bytes(model.read_bytes())
    both = f"{model}+{copy}"
    for keywords in ({"threads": 2}, {"runs": 5}, {"fail_if": "latency>5"}):
        with pytest.raises(InputError, match="is about single models, and only ensembles are named"):
            edgeclf.bench(both, **keywords)
    with pytest.raises(InputError, match="judges single models, and .* is an ensemble"):
        edgeclf.bench([both, str(model)], fail_if="latency>5")


def test_an_ensemble_is_begun(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    from edgeclf.training.config import TrainConfig
    from edgeclf.training.ensembles.plan import EnsemblePlan, begin_ensemble

    # settings that cannot be used leave an earlier one as it is
    out = write(tmp_path / "e")
    (out / "m-0").mkdir()
    (out / "m-0" / "model.keras").write_bytes(b"hours of work")
    plan = EnsemblePlan(list_source("digits"), TrainConfig(weights="missing.h5"), 2, out, overwrite=True)
    with pytest.raises(InputError, match=r"missing\.h5"):
        begin_ensemble(plan, SILENT)
    # and so do photos that cannot be used
    few = tmp_path / "photos"
    for shade, name in enumerate(("cats", "dogs")):
        (few / name).mkdir(parents=True)
        cv2.imwrite(str(few / name / "1.png"), np.full((32, 32, 3), 100 * shade, np.uint8))
    unusable = dataclasses.replace(plan, data=list_source(few), config=TrainConfig(weights="none", model="cnn"))
    with pytest.raises(DataError, match="has no usable image in"):
        begin_ensemble(unusable, SILENT)
    assert find_ensemble(out) is not None
    assert (out / "m-0" / "model.keras").exists()
    # what a budget chooses is chosen once, for all members
    begun = begin_ensemble(dataclasses.replace(plan, config=TrainConfig(weights="none", max_size=70.0)), SILENT)
    assert begun.config.model
    assert begun.config.image_size
    assert begun.config.max_size == 70
    assert not (out / "m-0").exists()
    with pytest.raises(ModelError, match="not finished"):
        find_ensemble(out)


@pytest.mark.slow
def test_an_ensemble_is_trained_measured_and_teaches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorflow")
    from edgeclf.artifact.run_folder import RunFolder
    from edgeclf.training.config import TrainConfig
    from edgeclf.training.networks import NETWORKS, Network
    from edgeclf.training.plan import TrainPlan
    from edgeclf.training.teacher import find_soft_targets

    tiny = Network(lambda x, width, blocks: blocks.layers.GlobalAveragePooling2D()(x), "a mean of the pixels")
    monkeypatch.setitem(NETWORKS, "tiny", tiny)
    photos, out = make_photos(tmp_path / "photos"), tmp_path / "both"
    settings: dict[str, Any] = {"model": "tiny", "image_size": 16, "epochs": 1}
    report = edgeclf.train_ensemble(photos, members=2, out=out, seed=5, combine="stack", **settings)
    assert [(Path(one.run).name, one.seed) for one in report.members] == [("both-seed5", 5), ("both-seed6", 6)]
    seeds = [json.loads((Path(one.run) / "run.json").read_text())["seed"] for one in report.members]
    assert seeds == [5, 6]
    best = max(report.members, key=lambda one: one.validation_top1)
    assert report.best_member == best.run
    test = report.metrics["test"]
    assert test is not None
    assert report.difference == pytest.approx(test.top1 - (best.test_top1 or 0))
    # bench measures the same networks on the same images, from other code
    called: list[Any] = []
    stopwatch = ensemble.call_latency
    monkeypatch.setattr(ensemble, "call_latency", lambda call: (called.append(call()), stopwatch(call))[1])
    measured = edgeclf.bench(str(out), data=photos).ensembles[0]
    assert measured.combine == "stack"
    assert measured.accuracy is not None
    assert measured.accuracy.top1 == pytest.approx(test.top1)
    assert [one.top1 for one in measured.members] == [one.test_top1 for one in report.members]
    assert [np.shape(one) for one in called] == [(1, 2)] * 2, "the time is that of predictions"
    averaged = edgeclf.bench("+".join(one.run for one in report.members), data=photos).ensembles[0]
    assert averaged.accuracy is not None
    assert averaged.accuracy.top1 == pytest.approx(report.average_top1["test"])
    # model files are combined by the same stacking, before their temperatures: bench measures what predict shows
    for one in report.members:
        edgeclf.compress(one.run, int8=True, data=photos, calibration=20, speed=False)
    split = load_dataset(photos, image_size=16).splits["test"]
    shown = edgeclf.predict(str(out), list(split.paths)).predictions
    right = [one.label == ("dark", "light")[label] for one, label in zip(shown, split.labels, strict=True)]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "sklearn", None)
        of_files = edgeclf.bench(str(out), data=photos).ensembles[0]
    assert [one.kind for one in of_files.members] == ["model"] * 2
    assert of_files.accuracy is not None
    assert of_files.accuracy.top1 == pytest.approx(np.mean(right))
    assert any("validation images, by the float networks" in note for note in of_files.notes)
    for one in report.members:
        shutil.rmtree(Path(one.run) / "compressed")
    with pytest.raises(OutputError, match="holds an ensemble already"):
        edgeclf.train_ensemble(photos, members=2, out=out, **settings)
    # what was trained is not mixed with what would be trained on other photos now
    shutil.copytree(photos, tmp_path / "later" / "photos")
    later = tmp_path / "later" / "photos"
    (later / "dark").rename(later / "shade")
    shutil.copytree(out, tmp_path / "later" / "both")
    shutil.rmtree(tmp_path / "later" / "both" / "both-seed6")
    with pytest.raises(InputError, match="the photos have changed since .*both-seed5 was trained"):
        edgeclf.train_ensemble(
            later, members=2, out=tmp_path / "later" / "both", seed=5, combine="stack", resume=True, **settings
        )
    assert not (tmp_path / "later" / "both" / "both-seed6").exists()
    kept = json.loads((tmp_path / "later" / "both" / "ensemble.json").read_text())
    assert kept == json.loads((out / "ensemble.json").read_text()), "what cannot go on stays what it was"
    # members that were not begun get the settings of those that were
    shutil.rmtree(out / "both-seed6")
    with pytest.raises(InputError, match=r"was begun with --members 2 --seed 5 --combine stack; got .* --seed 0"):
        edgeclf.train_ensemble(photos, members=2, out=out, resume=True)
    again = edgeclf.train_ensemble(photos, members=2, out=out, seed=5, combine="stack", resume=True)
    assert [one.test_top1 for one in again.members] == [one.test_top1 for one in report.members]
    assert json.loads((out / "ensemble.json").read_text()) == kept
    # a network of a file bears its name, which is no known one
    network = tmp_path / "my-net.keras"
    shutil.copy(out / "both-seed5" / "model.keras", network)
    begun: dict[str, Any] = {"members": 2, "out": tmp_path / "mine", "weights": str(network), "epochs": 1}
    edgeclf.train_ensemble(photos, **begun)
    shutil.rmtree(tmp_path / "mine" / "mine-seed0")
    assert len(edgeclf.train_ensemble(photos, **begun, resume=True).members) == 2
    # the student learns from what they predict together
    data = load_dataset(photos, image_size=16)
    config = TrainConfig(teacher=str(out), flip=False)
    folder = RunFolder(tmp_path / "student", must_exist=False)
    targets = find_soft_targets(config, data, TrainPlan(photos, config), folder, resumes=False)
    assert targets is not None
    members = [tf_predictions(one.run, data.splits["train"].images) for one in report.members]
    found = find_ensemble(out)
    assert found is not None
    assert found.record is not None
    np.testing.assert_allclose(targets.probabilities, combine(np.stack(members), found.record.stacking), atol=1e-5)


def tf_predictions(run: str, images: Any) -> np.ndarray:
    import tf_keras

    model = tf_keras.models.load_model(Path(run) / "model.keras", compile=False)
    return np.asarray(model.predict(np.asarray(images), verbose=0), np.float32)


def test_the_seeds_of_all_members_are_checked_before_the_first_is_trained(tmp_path: Path) -> None:
    from edgeclf.training.config import TrainConfig
    from edgeclf.training.ensembles.plan import EnsemblePlan

    config = TrainConfig(seed=2**31 - 1)
    with pytest.raises(InputError, match="^--members trains with the seeds 2147483647 to 2147483648, which must be at"):
        EnsemblePlan(list_source("digits"), config, 2, tmp_path / "out")
    assert EnsemblePlan(list_source("digits"), config.replace(seed=2**31 - 3), 3, tmp_path / "out").seeds[-1] < 2**31
