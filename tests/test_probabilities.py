"""Probabilities fitted on validation images: the arithmetic, the file that carries them, and what uses them."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import tflite_models
from command_line import document, edgeclf
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeclf.api import live
from edgeclf.artifact.fitted_probabilities import BUFFER_NAME, FeatureArrays, FittedProbabilities
from edgeclf.artifact.inner_scores import InnerScores, find_inner_scores
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.tflite import parse
from edgeclf.compression.export.model_writer import replace_probabilities
from edgeclf.compression.probabilities.feature_space import describe_features
from edgeclf.compression.probabilities.refit import refit
from edgeclf.compression.probabilities.temperature import fit_temperature, mean_nll
from edgeclf.compression.probabilities.threshold import choose_thresholds
from edgeclf.dataset import Dataset, ImageView, Split
from edgeclf.errors import DamagedModelError, DataError, InputError, ModelError, OutputError
from edgeclf.inference.classifier import Classifier
from edgeclf.inference.litert import LITERT
from edgeclf.inference.novelty import distances, fold, fold_signs
from edgeclf.inference.prediction import UnknownRule, choose_rule
from edgeclf.inference.score_reader import calibrate
from edgeclf.inference.verification import verify
from edgeclf.measure.accuracy import predict_split
from edgeclf.measure.calibration import (
    calibration_error,
    calibration_interval,
    measure_calibration,
    most_events,
    upper_bound,
)
from edgeclf.streaming.loop.settings import Smoothing
from edgeclf.streaming.loop.smoothing import Smoother

NOISE = np.random.default_rng(1).integers(0, 256, (20, 16, 16, 3), np.uint8)


def dataset(names: tuple[str, ...] = tflite_models.DIGIT_NAMES, validation: int = 100) -> Dataset:
    images, labels = tflite_models.digits()
    order = [names.index(name) for name in tflite_models.DIGIT_NAMES]
    labels = np.array(order)[labels]

    def split(rows: np.ndarray) -> Split:
        texts = tuple(map(str, rows))
        return Split(ImageView(images, rows), labels[rows], texts, texts)

    rows = np.arange(len(labels))
    splits = {"train": split(rows[100:]), "validation": split(rows[:validation])}
    return Dataset("digits", "digits", names, splits, 16, 16, "f" * 32, 1)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fitted")
    (folder / "plain.tflite").write_bytes(tflite_models.packaged("uint8"))
    refit(folder / "plain.tflite", dataset(), folder / "fitted.tflite")
    return folder / "fitted.tflite"


# the arithmetic


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.floats(0.2, 5), st.integers(1, 6))
def test_the_fitted_temperature_has_the_smallest_nll(seed: int, scale: float, outputs: int) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (100, outputs)) * scale
    known = np.concatenate([np.zeros((100, 1)), logits], 1) if outputs == 1 else logits
    chances = np.exp(known / scale - (known / scale).max(1, keepdims=True))
    labels = (chances.cumsum(1) > random.random((100, 1)) * chances.sum(1, keepdims=True)).argmax(1)
    found = fit_temperature(logits, labels)
    smoothing = 1 / (len(labels) + 2)
    best = mean_nll(logits, labels, found, smoothing)
    assert best <= mean_nll(logits, labels, 1.0, smoothing)
    others = (mean_nll(logits, labels, found * factor, smoothing) for factor in (0.8, 0.99, 1.01, 1.25))
    assert all(best <= other + 1e-9 for other in others)


def test_a_few_labels_that_are_all_right_make_no_prediction_certain() -> None:
    logits = 8 * np.eye(3)[np.arange(30) % 3]
    temperature = fit_temperature(logits, np.arange(30) % 3)
    confidence = calibrate(logits.astype(np.float32), logits, temperature).max(1)
    np.testing.assert_allclose(confidence, 1 - 1 / 32, atol=2e-3)


def test_logits_that_are_twice_too_large_get_the_temperature_two() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (5_000, 4))
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (chances.cumsum(1) > random.random((5_000, 1))).argmax(1)
    assert fit_temperature(2 * logits, labels) == pytest.approx(2, rel=0.08)
    confidence = calibrate(2 * logits.astype(np.float32), logits, 2.0).max(1)
    assert calibration_error(confidence, logits.argmax(1) == labels) < 0.02
    assert calibration_error(confidence, logits.argmax(1) == labels, equal_mass=True) < 0.02


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.floats(0.05, 20), st.integers(2, 12))
def test_a_temperature_changes_no_label_and_no_order(seed: int, temperature: float, classes: int) -> None:
    logits = np.random.default_rng(seed).normal(0, 4, (8, classes)).astype(np.float32)
    plain = np.exp(logits - logits.max(1, keepdims=True))
    raw = np.rint(255 * plain / plain.sum(1, keepdims=True)).astype(np.uint8)
    found = calibrate(logits, raw, temperature)
    assert found.sum(1) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(found.argmax(1), raw.argmax(1)), "ties go to the lowest index, as in the output itself"
    for row, other in zip(found, raw, strict=True):
        order = np.argsort(-other.astype(int), kind="stable")
        assert (np.diff(row[order]) <= 1e-6).all()


def test_calibration_errors_by_hand() -> None:
    confidence = np.array([0.95, 0.95, 0.55, 0.55])
    right = np.array([True, True, True, False])
    # two bins of two images: 1.0 against 0.95, and 0.5 against 0.55
    assert calibration_error(confidence, right, 10) == pytest.approx(0.05)
    assert calibration_error(confidence, right, 2, equal_mass=True) == pytest.approx(0.05)
    # one bin: 0.75 against 0.75
    assert calibration_error(confidence, right, 1) == pytest.approx(0)
    with pytest.raises(ValueError, match="as many"):
        calibration_error(np.empty(0), np.empty(0, bool))


def test_bounds_by_hand() -> None:
    # none of 59: 1 - 0.05 ** (1 / 59)
    assert upper_bound(0, 59) == pytest.approx(1 - 0.05 ** (1 / 59), abs=1e-9)
    assert upper_bound(0, 0) == upper_bound(3, 3) == 1.0
    assert most_events(59, 0.05) == 0
    assert most_events(58, 0.05) is None
    assert most_events(341, 0.05) == 10
    assert upper_bound(10, 341) <= 0.05 < upper_bound(11, 341)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 400), st.booleans())
def test_few_enough_known_images_are_refused(seed: int, count: int, with_features: bool) -> None:
    random = np.random.default_rng(seed)
    confidence = np.round(random.uniform(0.2, 1, count), 2)
    far = random.exponential(1, count) if with_features else None
    chosen = choose_thresholds(confidence, far, random.random(count) < 0.9)
    refused = int((~chosen.shown).sum())
    if count >= 59:
        assert upper_bound(refused, count) <= 0.05
        # two scores divide the images into one part more than one score does
        assert chosen.refused_bound == upper_bound(refused + with_features, count)
        assert bool(chosen.notes) is (with_features and count < 93), "1 of 93: at most 5 %"
    else:
        assert refused == 0
        assert "cannot show that at most 5%" in chosen.notes[0]


def test_the_promise_on_known_images_holds_as_often_as_it_says() -> None:
    """Of independent scores, which are the hardest; the share of images that a rule refuses is known exactly."""
    random, broken, draws, count = np.random.default_rng(0), 0, 400, 100
    for _ in range(draws):
        confidence, far = random.random(count), random.random(count)
        chosen = choose_thresholds(confidence, far, np.ones(count, bool))
        assert chosen.limit is not None
        broken += 1 - (1 - chosen.threshold) * min(1.0, chosen.limit) > chosen.refused_bound
    # 5 %, and 3.5 times what 400 draws vary by; counted as one score, it is 21 %
    assert broken / draws < 0.09


def test_a_promised_precision_raises_the_threshold_or_is_said_to_be_out_of_reach() -> None:
    random = np.random.default_rng(3)
    confidence = random.uniform(0.3, 1, 3000)
    right = random.random(3000) < confidence
    plain, strict = (choose_thresholds(confidence, None, right, precision) for precision in (None, 0.9))
    assert strict.threshold > plain.threshold
    assert right[strict.shown].mean() > 0.9 > right[plain.shown].mean()
    impossible = choose_thresholds(confidence, None, right, 0.9999)
    assert impossible.threshold == plain.threshold
    assert "none of the thresholds that were tried shows with a confidence of 95 % that 100.0%" in impossible.notes[0]
    assert (strict.promised, plain.promised, impossible.promised) == (True, False, False)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.booleans(), st.sampled_from([None, 0.9]))
def test_what_shows_none_of_the_classes_is_no_known_image_and_names_nothing(
    seed: int, with_features: bool, precision: float | None
) -> None:
    random = np.random.default_rng(seed)
    known, named = np.arange(900) < 400, random.random(900) < 0.95
    named[~known] = random.random(500) < 0.1
    confidence = random.uniform(0.3, 1, 900)
    far = random.exponential(1, 900) if with_features else None
    right = known & (random.random(900) < 0.98)
    right[~known] = ~named[~known]
    chosen = choose_thresholds(confidence, far, right, precision, known=known, named=named)
    assert not chosen.shown[~named].any(), "what is taken for none of the classes is not named"
    refused = int((~chosen.shown[known]).sum())
    assert refused >= int((~named[known]).sum())
    assert chosen.refused_bound == upper_bound(min(400, refused + with_features), 400)
    # many images that show none of the classes are named after one: these count as wrong
    assert right[chosen.shown].mean() > 0.9 or not chosen.promised
    alone = choose_thresholds(confidence[known], None if far is None else far[known], right[known], precision)
    if precision is None:
        allowed = most_events(400, 0.05) or 0
        assert refused <= max(allowed, int((~named[known]).sum()))
        assert chosen.threshold <= alone.threshold


def test_a_few_wrong_images_among_the_surest_do_not_take_the_promise_away() -> None:
    random = np.random.default_rng(1)
    confidence = np.sort(random.uniform(0.3, 1, 800))[::-1]
    right = np.ones(800, bool)
    right[[10, 70, 140]] = False  # of the surest; all others are right
    chosen = choose_thresholds(confidence, None, right, 0.95)
    assert chosen.promised
    assert chosen.shown.mean() > 0.9


def test_a_threshold_between_equal_probabilities_lets_no_other_image_in() -> None:
    # saturated: the surest half is apart from the others by less than the margin
    confidence = np.repeat([1.0, 1.0 - 1e-8], 400)
    right = np.repeat([True, False], 400)
    right[400:700] = True
    chosen = choose_thresholds(confidence, None, right, 0.95)
    assert chosen.promised
    assert chosen.shown.sum() == 400


@pytest.mark.parametrize("count", [150, 400])
def test_a_promised_precision_is_broken_as_seldom_as_one_trial_would(count: int) -> None:
    # the confidence says nothing here, and every threshold shows images of which 94 % are right: none holds 95 %
    random = np.random.default_rng(0)
    draws = [(random.uniform(0.3, 1, count), random.random(count) < 0.94) for _ in range(400)]
    broken = sum(choose_thresholds(confidence, None, right, 0.95).promised for confidence, right in draws)
    # 2.5 % of 400 are 10; 20 or more of them would come about once in 500 times
    assert broken < 20


def test_distances_are_those_of_mahalanobis() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 400)
    spread = np.diag([3.0, 1, 1, 1, 1, 1, 1, 1]) @ random.normal(0, 0.05, (8, 1200))
    features = (random.normal(0, 1, (3, 8))[labels] + spread.T).astype(np.float32)
    arrays = describe_features(features, labels, 3)
    assert arrays is not None
    folded = fold(features, 8)
    assert np.linalg.norm(folded, axis=1) == pytest.approx(1, abs=1e-5)
    offsets = folded - arrays.centers[labels]
    variances, axes = np.linalg.eigh(np.cov(offsets.T))
    variances[:4] = rest = variances[:4].mean()
    wide = folded[:50, None] - arrays.centers
    expected = rest * np.einsum("ncd,de,nce->nc", wide, axes @ np.diag(1 / variances) @ axes.T, wide).min(1)
    assert distances(folded[:50], arrays) == pytest.approx(expected, rel=0.02, abs=2e-4)
    assert describe_features(features[:6], labels[:6], 3) is None, "too few images"
    wider = describe_features(features, np.where(labels == 2, 3, labels), 4, none=(2,))
    assert wider is not None
    assert np.array_equal(wider.centers, arrays.centers), "a class none may have no images"
    lacking = describe_features(features, np.where(labels == 2, 3, labels), 4)
    assert lacking is not None
    assert lacking.centers.shape == (1, 8), "the place of a class is not known"


def test_folding_adds_up_with_signs_that_are_the_same_everywhere() -> None:
    signs = fold_signs(1280)
    assert signs[:8].tolist() == [-1, 1, -1, -1, -1, 1, 1, 1]
    assert set(signs.tolist()) == {-1, 1}
    assert abs(signs.sum()) < 120
    features = np.random.default_rng(0).normal(0, 1, 10).astype(np.float32)
    unit = features / np.linalg.norm(features)
    by_hand = [sum(unit[i] * fold_signs(10)[i] for i in range(place, 10, 4)) for place in range(4)]
    assert fold(features, 4) == pytest.approx(by_hand, abs=1e-6)
    assert fold(np.zeros(10), 4).tolist() == [0, 0, 0, 0]
    many = np.random.default_rng(1).normal(size=(600, 10)).astype(np.float32)
    np.testing.assert_array_equal(fold(many, 4), np.stack([fold(one, 4) for one in many]))


# the graph


@pytest.mark.parametrize("name", ["uint8", "int8", "uint8_to_float", "int16x8", "float_0_255"])
def test_logits_and_features_are_read_without_changing_the_output(name: str) -> None:
    file = ModelFile(tflite_models.bare(name), name)
    inner = find_inner_scores(file.graph)
    assert inner is not None
    assert inner.features is not None
    plain, session = LITERT.open(file), LITERT.open(file, also_read=inner.tensors)
    spec, logits = session.input, file.graph.tensors[inner.logits]
    image = tflite_models.digits()[0][:1]
    pixels = (image ^ 128).view(np.int8) if spec.dtype == "int8" else image.astype(spec.dtype)
    expected, found = plain.run(pixels), session.run(pixels)
    assert np.array_equal(found, expected)
    scale = logits.scale or 1.0
    values = (session.read(inner.logits).reshape(-1).astype(np.float64) - logits.zero_point) * scale
    powers = np.exp(values - values.max())
    step = max(session.output.scale, 1 / 256)  # int16 and float outputs are computed with an error of their own
    output = (expected.reshape(-1).astype(np.float64) - session.output.zero_point) * (session.output.scale or 1)
    assert powers / powers.sum() == pytest.approx(output, abs=1.01 * step)
    assert session.read(inner.features).size == file.graph.tensors[inner.features].elements > 1


def test_a_graph_that_ends_in_logits_is_read_at_its_output() -> None:
    graph = parse(tflite_models.bare("float_logits"))
    inner = find_inner_scores(graph)
    assert inner is not None
    assert inner.logits == graph.output_indices[0]


@pytest.mark.parametrize("off", [0.0, 0.05, 0.15])
def test_the_interval_of_the_calibration_error_holds_the_true_one(off: float) -> None:
    random, held = np.random.default_rng(0), 0
    for seed in range(60):
        confidence = 1 - 0.4 * random.beta(1, 3, 300)
        correct = random.random(300) < confidence - off
        low, high = calibration_interval(confidence, correct, resamples=100, seed=seed)
        assert low <= calibration_error(confidence, correct) <= high
        held += low <= off <= high
    assert held >= 54  # of 60; 57 are expected of an exact interval


def test_calibration_is_measured_before_and_after_what_was_fitted(fitted: Path) -> None:
    images, labels = tflite_models.digits()
    found, plain = (
        predict_split(ModelFile.read(fitted.with_name(n)), images) for n in ("fitted.tflite", "plain.tflite")
    )
    np.testing.assert_array_equal(found.indices, plain.indices)
    np.testing.assert_array_equal(found.plain, plain.shown)
    correct = found.indices == labels
    after = measure_calibration(found.shown, found.plain, correct)
    assert (after.error, after.before) == (
        calibration_error(found.shown, correct),
        calibration_error(found.plain, correct),
    )
    before = measure_calibration(plain.shown, plain.plain, correct)
    assert (before.error, before.interval, before.before) == (after.before, after.before_interval, None)


# the file


def test_a_fitted_file_has_the_labels_it_had_and_calls_noise_unknown(fitted: Path) -> None:
    plain, model = Classifier(fitted.with_name("plain.tflite")), Classifier(fitted)
    images, labels = tflite_models.digits()
    assert np.array_equal(plain.top1(images), model.top1(images))
    record = ModelFile.read(fitted).provenance
    assert record is not None
    assert record.probabilities is not None
    found = record.probabilities
    right = np.array([model.predict(image).labels[0].index for image in images[:100]]) == labels[:100]
    shown = np.array([model.predict(image).label != "unknown" for image in images[:100]])
    # the validation images themselves: exactly what the record says of them
    assert (found.images, found.shown) == (100, shown.sum())
    assert found.precision == pytest.approx(right[shown].mean())
    assert found.nll is not None
    assert found.nll_before is not None
    assert found.nll < found.nll_before + 0.02  # what is minimized leaves 1 in 102 to the wrong classes
    assert found.refused_bound <= 0.06
    assert all(prediction.label == "unknown" for prediction in model.predict(list(NOISE)))
    assert all(prediction.novelty is not None and prediction.novelty > 1 for prediction in model.predict(list(NOISE)))
    assert all(prediction.label != "unknown" for prediction in Classifier(fitted, threshold=0).predict(list(NOISE)))
    assert all(prediction.label != "unknown" for prediction in plain.predict(list(NOISE)))
    assert verify(fitted).ok
    assert model.probabilities(images).sum(1) == pytest.approx(1, abs=1e-4)


def test_it_takes_a_few_kilobytes_and_other_clients_see_one_output(fitted: Path) -> None:
    file, plain = ModelFile.read(fitted), ModelFile.read(fitted.with_name("plain.tflite"))
    assert len(file.content) - len(plain.content) < 5000
    assert len(file.graph.outputs) == 1
    assert file.graph.operators == plain.graph.operators
    assert file.integrity == "verified"


def test_classes_in_another_order_are_fitted_alike(fitted: Path, tmp_path: Path) -> None:
    other = dataset(tuple(sorted(tflite_models.DIGIT_NAMES, reverse=True)))
    found = refit(fitted, other, tmp_path / "again.tflite")
    first = ModelFile.read(fitted).provenance
    assert first is not None
    assert found.probabilities == found.before == first.probabilities
    assert (tmp_path / "again.tflite").read_bytes().count(b"edgeclf-sha256:") == 2


def test_what_cannot_be_fitted_is_refused(fitted: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="exists; name another file with --out, or replace it with --overwrite"):
        refit(fitted, dataset(), fitted)
    with pytest.raises(OutputError, match="would be replaced; name another file with --out, or add --overwrite"):
        refit(fitted, dataset())
    with pytest.raises(InputError, match="precision must be a fraction between 0 and 1, such as 0.95, got 95"):
        refit(fitted, dataset(), tmp_path / "x.tflite", precision=95)
    with pytest.raises(DataError, match="expected 20 validation images, got 19"):
        refit(fitted, dataset(validation=19), tmp_path / "x.tflite")
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(tflite_models.bare("uint8"))
    with pytest.raises(ModelError, match="without its checksum"):
        refit(bare, dataset(), tmp_path / "x.tflite")
    assert not (tmp_path / "x.tflite").exists()


def _rewritten(path: Path, arrays: FeatureArrays | None, **changes: object) -> ModelFile:
    file = ModelFile.read(path)
    made = file.provenance
    assert made is not None
    assert made.probabilities is not None
    assert made.probabilities.features is not None
    space = {key[9:]: value for key, value in changes.items() if key.startswith("features_")}
    features = dataclasses.replace(made.probabilities.features, **space)
    own = {key: value for key, value in changes.items() if not key.startswith("features_")}
    record = dataclasses.replace(made.probabilities, **{"features": features, **own})
    return ModelFile(replace_probabilities(file, record, arrays, tflite_models.DIGIT_NAMES), "changed.tflite")


def _arrays(rows: int = 10, dimensions: int = 16, value: float = 0.5) -> FeatureArrays:
    return FeatureArrays(np.full((rows, dimensions), value, np.float32), np.zeros((4, dimensions), np.float32))


@pytest.mark.parametrize(
    ("changes", "arrays", "message"),
    [
        ({"logits": 0}, _arrays(), "tensor 0, which holds no 10 scores"),
        ({"logits": -1}, _arrays(), "tensor -1"),
        ({"logits": 10**6}, _arrays(), "tensor 1000000"),
        ({"features_tensor": 0}, _arrays(), "tensor 0, which holds no"),
        ({}, _arrays(9), "feature space should have"),
        ({}, _arrays(2000), "feature space should have"),
        ({}, None, "feature space should have .* bytes, got 0"),
        ({}, _arrays(value=np.nan), "no numbers"),
    ],
)
def test_a_record_that_does_not_go_with_its_file_is_refused(
    fitted: Path, changes: dict[str, object], arrays: FeatureArrays | None, message: str
) -> None:
    file = ModelFile.read(fitted)
    made = file.provenance
    assert made is not None
    assert made.probabilities is not None
    assert made.probabilities.features is not None
    if arrays is not None and arrays.centers.shape == (10, 16):
        arrays = _arrays(10, made.probabilities.features.dimensions, float(arrays.centers[0, 0]))
    with pytest.raises(DamagedModelError, match=message):
        Classifier(_rewritten(fitted, arrays, **changes))


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0},
        {"temperature": 1e300},
        {"images": 10**400},
        {"threshold": 1.5},
        {"logits": "36"},
        {"notes": ["x"] * 21},
        {"features": {"tensor": 1, "size": 10**9, "dimensions": 64, "centers": 10, "directions": 4, "limit": 1.0}},
        {"features": {"tensor": 1, "size": 256, "dimensions": 256, "centers": 1024, "directions": 4, "limit": 1.0}},
        {"features": {"tensor": 1, "size": 64, "dimensions": 64, "centers": 10, "directions": 4, "limit": 0.0}},
        {"features": {"tensor": 1, "size": 64}},
    ],
)
def test_a_record_with_impossible_values_is_refused(change: dict[str, object]) -> None:
    values = {**FittedProbabilities(36, 0.8, 0.4, 100).to_dict(), **change}
    with pytest.raises(InputError):
        FittedProbabilities.from_dict(values)


def test_a_record_survives_json() -> None:
    record = FittedProbabilities(36, 0.8, 0.4, 100, precision_interval=(0.9, 0.95), notes=("a",))
    assert FittedProbabilities.from_json(record.to_json()) == record
    assert record.inner == InnerScores(36)


# predict, inspect, live


def test_predict_and_inspect_show_unknown(fitted: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "noise.png"), NOISE[0])
    cv2.imwrite(str(tmp_path / "zero.png"), tflite_models.digits()[0][0][..., ::-1])
    shown = edgeclf(tmp_path, "predict", fitted, "noise.png", "zero.png").stdout.splitlines()
    assert "noise.png: unknown (digit" in shown[0]
    assert "unknown" not in shown[1]
    (always,) = document(tmp_path, "predict", fitted, "noise.png", "--threshold", "0")["predictions"]
    assert always["label"].startswith("digit")
    report = document(tmp_path, "predict", fitted, "noise.png")
    assert report["predictions"][0]["label"] == "unknown"
    assert report["predictions"][0]["novelty"] > 1
    assert 0 < report["threshold"] < 1
    text = " ".join(edgeclf(tmp_path, "inspect", fitted).stdout.split())
    assert "calibration error" in text
    assert "named images are right" in text
    stored = document(tmp_path, "inspect", fitted)["provenance"]["probabilities"]
    assert (stored["images"], stored["features"]["centers"]) == (100, 10)
    refused = edgeclf(tmp_path, "predict", fitted, "zero.png", "--threshold", "2")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "threshold must be between 0 and 1, got 2" in refused.stderr


def test_live_calls_it_unknown_and_a_threshold_of_zero_does_not(fitted: Path, tmp_path: Path) -> None:
    from edgeclf.streaming.loop.result import Result

    class Kept:
        def __init__(self) -> None:
            self.results: list[Result] = []

        def take(self, result: Result, picture: object) -> None:
            self.results.append(result)

        def close(self) -> None:
            pass

    for number, image in enumerate(NOISE[:3]):
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    labels = {}
    for threshold in (None, 0.0):
        kept = Kept()
        smoothing = Smoothing(seconds=0, threshold=threshold)
        settings_ = {"camera": str(tmp_path), "every_frame": True, "window": False, "threads": 1}
        live(fitted, outputs=kept, smoothing=smoothing, json_lines=io.StringIO(), **settings_)
        labels[threshold] = [result.label for result in kept.results]
        assert all(result.novelty is not None and result.novelty > 1 for result in kept.results)
    assert labels[None] == ["unknown"] * 3
    assert "unknown" not in labels[0.0]


def test_over_time_a_far_frame_must_last_and_a_user_threshold_comes_first() -> None:
    rule = choose_rule(None, None)
    assert rule == UnknownRule()
    rule = UnknownRule(0.3, checks_features=True, fitted=True)
    scores = np.array([0.4, 0.3, 0.3], np.float32)
    smoother = Smoother(Smoothing(seconds=1.0), rule)
    assert smoother.update(scores, 0.0, 0.5)[0] == 0, "the file's threshold, not 0.5"
    # 0.02 s later: the mean moves by 1 - exp(-0.02) of what a frame counts for, 10 at most
    assert smoother.update(scores, 0.02, 1000.0)[0] == 0
    assert smoother.novelty == pytest.approx(0.5 + 9.5 * -np.expm1(-0.02))
    assert smoother.update(scores, 1.0, 1000.0)[0] is None
    assert Smoother(Smoothing(seconds=0, threshold=0.5), rule).update(scores, 0.0, 0.5)[0] is None


def test_the_buffer_has_a_name_of_its_own(fitted: Path) -> None:
    assert BUFFER_NAME in ModelFile.read(fitted).graph.metadata


def test_refit_writes_what_was_fitted_on_a_folder_into_a_file_made_earlier(tmp_path: Path) -> None:
    images, labels = tflite_models.digits()
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        folder = tmp_path / "photos" / ("validation" if index < 100 else "train") / tflite_models.DIGIT_NAMES[label]
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{index}.png"), image)
    model = tmp_path / "plain.tflite"
    model.write_bytes(tflite_models.packaged("uint8"))
    refused = edgeclf(tmp_path, "refit", "plain.tflite", "--data", "photos")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "plain.tflite would be replaced; name another file with --out, or add --overwrite" in refused.stderr
    assert model.read_bytes() == tflite_models.packaged("uint8")

    found = document(tmp_path, "refit", "plain.tflite", "--data", "photos", "--overwrite", "--precision", "0.5")
    assert found["path"] == found["model"]
    assert (found["before"], found["probabilities"]["images"]) == (None, 100)
    file = ModelFile.read(model)
    assert (len(file.content), file.integrity) == (found["size_bytes"], "verified")
    assert file.provenance is not None
    assert file.provenance.probabilities == FittedProbabilities.from_dict(found["probabilities"])
    shown = edgeclf(tmp_path, "refit", "plain.tflite", "--data", "photos", "--out", "again.tflite").stdout
    assert "Probabilities: temperature" in shown
    assert "Wrote again.tflite" in shown
    assert (tmp_path / "again.tflite").is_file()
