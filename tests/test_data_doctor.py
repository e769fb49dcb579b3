"""`audit --deep`: what frozen features say of labels, photos, classes, and of how many photos there are."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from color_photos import hues
from command_line import document, edgeclf
from linear_models import write_color_model
from test_objects import write_balls

pytest.importorskip("sklearn")

import edgeclf as package
from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.dataset.auditing import AuditReport
from edgeclf.dataset.contents import content_hash, shorten
from edgeclf.dataset.deep_audit import LearningCurve
from edgeclf.errors import InputError, ModelError, OutputError
from edgeclf.training.data_doctor.examine import describe_learning
from edgeclf.training.data_doctor.heads import FrozenFeatures, assign_folds, find_in_one_fold, reduce_features
from edgeclf.training.data_doctor.label_errors import doubt_labels
from edgeclf.training.data_doctor.learning_curve import measure_curve
from edgeclf.training.data_doctor.power_law import fit_power_law, forecast

TFLITE = Path(__file__).parent / "tflite"
SWAPPED = 5


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """Scans of digits in class folders, and the names of those that lie in a wrong one."""
    stored = np.load(TFLITE / "digits.npz")
    folder = tmp_path_factory.mktemp("digits")
    random = np.random.default_rng(4)
    wrong = set(random.choice(len(stored["labels"]), SWAPPED, replace=False).tolist())
    for number, (image, label) in enumerate(zip(stored["images"], stored["labels"], strict=True)):
        place = folder / str((label + (3 if number in wrong else 0)) % 10)
        place.mkdir(exist_ok=True)
        assert cv2.imwrite(str(place / f"scan{number}.png"), image)
    return folder, {f"scan{number}.png" for number in wrong}


def test_the_confident_joint_by_hand() -> None:
    #           label 0: three sure, one sure of 1;           label 1: two sure, one undecided
    chances = np.array([[0.9, 0.1], [0.8, 0.2], [0.9, 0.1], [0.1, 0.9], [0.2, 0.8], [0.1, 0.9], [0.45, 0.55]])
    labels = np.array([0, 0, 0, 0, 1, 1, 1])
    found = doubt_labels(chances, labels)
    # thresholds: (0.9 + 0.8 + 0.9 + 0.1) / 4 = 0.675 for 0, (0.8 + 0.9 + 0.55) / 3 = 0.75 for 1
    assert found.joint.tolist() == [[3, 1], [0, 2]]
    assert found.estimated == pytest.approx(4 * 1 / 4 + 0)
    assert found.order.tolist() == [3]
    assert found.suggested[3] == 1
    assert found.loss[3] == pytest.approx(-np.log(0.1))


def test_as_many_labels_are_doubted_as_the_joint_estimates_the_least_probable_first() -> None:
    random = np.random.default_rng(0)
    true = random.integers(0, 4, 400)
    centers = 4 * np.eye(4)
    features = (centers[true] + random.standard_normal((400, 4))).astype(np.float32)
    labels, wrong = true.copy(), random.choice(400, 12, replace=False)
    labels[wrong] = (true[wrong] + 1) % 4
    contents = [f"{number:04}" for number in range(400)]
    frozen = FrozenFeatures(reduce_features(features), labels, assign_folds(labels, contents), 4)
    doubts = doubt_labels(frozen.predict_out_of_fold(0.1), labels)
    assert set(doubts.order[:12].tolist()) == set(wrong.tolist())
    assert len(doubts.order) <= round(doubts.estimated) + 4
    assert (np.diff(doubts.loss[doubts.order]) <= 0).all()


def test_what_shows_the_same_lies_in_one_fold_and_classes_are_spread() -> None:
    labels = np.repeat(np.arange(3), 20)
    contents = [f"c{number // 2}" for number in range(60)]
    folds = assign_folds(labels, contents, 5)
    assert all(folds[2 * pair] == folds[2 * pair + 1] for pair in range(30))
    assert all(np.bincount(folds[labels == label], minlength=5).tolist() == [4] * 5 for label in range(3))
    assert np.array_equal(folds, assign_folds(labels, contents, 5))


def test_classes_of_one_fold_are_found() -> None:
    labels, folds = np.repeat([0, 1], 10), np.tile(np.arange(5), 4)
    assert find_in_one_fold(labels, folds, 2) == []
    kept = (labels == 0) | (folds == 0)
    assert find_in_one_fold(labels[kept], folds[kept], 3) == [1, 2]


def test_a_power_law_is_found_again() -> None:
    photos = np.array([100.0, 200, 400, 800])
    steep, flat = 2 * photos**-0.5, 3 * photos**-0.65 + 0.1
    fitted = fit_power_law(photos, np.stack([steep, flat]), 10_000, with_floor=True)
    assert fitted.error(1600) == pytest.approx([2 * 1600**-0.5, 3 * 1600**-0.65 + 0.1], abs=0.003)
    bare = fit_power_law(photos, flat[None], 10_000, with_floor=False)
    assert bare.floor.tolist() == [0]
    found = forecast(photos, np.stack([steep] * 3), 10_000, 800, 1600)
    assert found.error == pytest.approx(0.05, abs=0.002)
    assert found.gain == pytest.approx(2 * 800**-0.5 - 0.05, abs=0.002)
    # where nothing falls, nothing is forecast to fall
    level = forecast(photos, np.full((3, 4), 0.2), 10_000, 800, 1600)
    assert level.gain == pytest.approx(0, abs=0.005)


def test_the_curve_falls_and_its_forecast_holds_the_truth() -> None:
    random = np.random.default_rng(1)
    labels = random.integers(0, 4, 800)
    features = (1.2 * np.eye(16)[labels] + random.standard_normal((800, 16))).astype(np.float32)
    contents = [f"{number:05}" for number in range(800)]
    half = np.arange(800) % 2 == 0
    curves = []
    for rows in (half, np.ones(800, bool)):
        mine = [content for content, chosen in zip(contents, rows, strict=True) if chosen]
        frozen = FrozenFeatures(features[rows], labels[rows], assign_folds(labels[rows], mine), 4)
        curves.append(measure_curve(frozen, mine, 0.01))
    small, whole = curves
    assert small.photos[-1] == pytest.approx(320, abs=1)
    assert small.errors()[0] > small.errors()[-1]
    expected = small.forecast(small.photos[-1], whole.photos[-1])
    assert expected.interval[0] <= whole.errors()[-1] <= expected.interval[1]
    assert expected.interval[0] <= expected.error <= expected.interval[1]


@pytest.mark.parametrize(
    ("gain", "interval", "expected"),
    [
        (0.002, (0.001, 0.003), "would hardly help"),
        (0.002, (0.001, 0.02), "would hardly help"),
        (0.0, (0.0, 0.001), "would hardly help"),
        (0.004, (0.0, 0.06), "are too few to show"),
        (0.03, (0.0, 0.06), "are too few to show"),
        (0.03, (0.01, 0.06), "would help, of no class clearly more"),
    ],
)
def test_what_a_curve_says_of_more_photos(gain: float, interval: tuple[float, float], expected: str) -> None:
    curve = LearningCurve(None, 200, 200, (), 0.1, 0.1 - gain, (0.0, 0.1), gain, interval)
    assert expected in describe_learning(curve, [])


def test_swapped_labels_come_first_on_the_page_and_in_the_list(digits: tuple[Path, set[str]], tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    folder, wrong = digits
    page = tmp_path / "doctor.html"
    found = document(tmp_path, "audit", folder, "--deep", "--weights", locate_model("digits"), "--out", page)
    deep = found["deep"]
    assert {Path(doubt["path"]).name for doubt in deep["doubtful"][: SWAPPED + 1]} >= wrong
    assert deep["images"] == 200
    assert deep["top1"] > 0.8
    assert deep["written"] == [str(page), str(page.with_suffix(".csv"))]
    assert [curve["label"] for curve in deep["class_curves"]] != sorted(found["classes"])
    assert deep["curve"]["interval_twice"][0] <= deep["curve"]["error_twice"] <= deep["curve"]["interval_twice"][1]
    text = page.read_text(encoding="utf-8")
    assert all(name in text for name in wrong)
    assert text.count("data:image/") >= SWAPPED
    with page.with_suffix(".csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {Path(row["path"]).name for row in rows[: SWAPPED + 1]} >= wrong
    assert {row["finding"] for row in rows} >= {"label", "loss"}
    assert AuditReport.from_dict(json.loads(json.dumps(found))).to_dict() == found
    with pytest.raises(OutputError, match="doctor.html exists"):
        package.audit(folder, deep=True, weights=locate_model("digits"), out=page)


def _make_run(folder: Path, photos: list[Path]) -> RunFolder:
    """Write a run with a model of digits, and the record of the photos that it was trained on; none: no record."""
    run = RunFolder(folder, must_exist=False)
    run.compressed_path.mkdir(parents=True)
    shutil.copy(locate_model("digits"), run.compressed_path / "digits.tflite")
    run.write_record({"config": {}})
    rows = [f"train,{path.parent.name},{shorten(content_hash(path.read_bytes()))}" for path in photos]
    if rows:
        run.images_path.write_text("\n".join(["split,class,content", *rows]) + "\n")
    return run


def test_photos_that_the_network_was_trained_on_are_named_and_more_photos_are_not_judged(
    digits: tuple[Path, set[str]], tmp_path: Path
) -> None:
    photos = sorted(digits[0].glob("*/*.png"))
    run = _make_run(tmp_path / "run", photos[:150])
    found = document(tmp_path, "audit", digits[0], "--deep", "--weights", run.compressed_path / "digits.tflite")
    (note,) = [one for one in found["deep"]["notes"] if "was trained on" in one]
    assert "was trained on 150 of these 200 photos: labels that it learned look right" in note
    assert (found["deep"]["curve"], found["deep"]["class_curves"]) == (None, [])
    assert "whether more photos would help does not show" in found["deep"]["more_photos"]


@pytest.mark.parametrize("recorded", [True, False])
def test_a_network_of_other_photos_judges_these_and_one_of_unknown_photos_says_so(
    digits: tuple[Path, set[str]], tmp_path: Path, recorded: bool
) -> None:
    other = tmp_path / "0" / "other.png"
    other.parent.mkdir()
    other.write_bytes(b"another photo")
    run = _make_run(tmp_path / "run", [other] if recorded else [])
    deep = package.audit(digits[0], deep=True, weights=run.compressed_path / "digits.tflite").deep
    assert deep is not None
    assert deep.curve is not None
    said = [note for note in deep.notes if "was trained on" in note]
    assert [note.split("; ")[0] for note in said] == (
        [] if recorded else [f"which photos {deep.features_of} was trained on is not known"]
    )


def test_a_class_of_one_burst_of_photos_does_not_end_the_audit(digits: tuple[Path, set[str]], tmp_path: Path) -> None:
    folder = tmp_path / "burst"
    for label in ("0", "1"):
        shutil.copytree(digits[0] / label, folder / label)
    (folder / "burst").mkdir()
    image = cv2.GaussianBlur(np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8), (0, 0), 5)
    for number in range(6):
        assert cv2.imwrite(str(folder / "burst" / f"{number}.png"), image + np.uint8(number))
    found = document(tmp_path, "audit", folder, "--deep", "--weights", locate_model("digits"))
    assert {len(group["paths"]) for group in found["near_duplicates"]} >= {6}
    assert [note for note in found["deep"]["notes"] if note.startswith("all photos of class 'burst' look alike")]


def test_tiny_and_stretched_photos_are_named(digits: tuple[Path, set[str]], tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    random = np.random.default_rng(0)
    for label in ("a", "b"):
        (folder / label).mkdir(parents=True)
        for number in range(4):
            noise = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            assert cv2.imwrite(str(folder / label / f"{number}.png"), noise)
    assert cv2.imwrite(str(folder / "a" / "tiny.png"), random.integers(0, 256, (7, 9, 3), dtype=np.uint8))
    assert cv2.imwrite(str(folder / "b" / "wide.png"), random.integers(0, 256, (40, 120, 3), dtype=np.uint8))
    deep = package.audit(folder, deep=True, weights=locate_model("digits")).deep
    assert deep is not None
    assert [(Path(odd.path).name, odd.kind) for odd in deep.odd_shapes] == [
        ("wide.png", "stretched"),
        ("tiny.png", "tiny"),
    ]
    # 16 pixels from 7, and 120 : 40 seen as 16 : 16
    assert [odd.factor for odd in deep.odd_shapes] == [3.0, pytest.approx(16 / 7, abs=0.01)]
    assert deep.curve is None
    assert "too few photos for a learning curve" in deep.more_photos


def test_features_that_are_not_finite_are_refused(
    digits: tuple[Path, set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgeclf.training.data_doctor import features

    real = features.extract_features

    def overflow(*arguments: Any, **settings: Any) -> Any:
        found = real(*arguments, **settings)
        return dataclasses.replace(found, values=np.where(found.values > 0, np.inf, found.values))

    monkeypatch.setattr(features, "extract_features", overflow)
    with pytest.raises(ModelError, match="its features of these photos are not finite"):
        package.audit(digits[0], deep=True, weights=locate_model("digits"))


def test_what_deep_cannot_take_is_refused_in_a_line(digits: tuple[Path, set[str]], tmp_path: Path) -> None:
    folder, _ = digits
    for option, *value in (("--weights", locate_model("digits")), ("--overwrite",), ("--trust-model",)):
        done = edgeclf(tmp_path, "audit", folder, option, *value)
        line = f"edgeclf: {option} is for --deep: give --deep as well, or leave it out\n"
        assert (done.exit_code, done.stderr) == (2, line)
    with pytest.raises(InputError, match="^--overwrite is for --deep"):
        package.audit(folder, overwrite=True)
    with pytest.raises(ModelError, match="four_channels.tflite: not an image classifier"):
        package.audit(folder, deep=True, weights=TFLITE / "four_channels.tflite")
    linear = write_color_model(tmp_path / "linear.tflite", hues(3))
    with pytest.raises(ModelError, match="linear.tflite: expected a classifier that ends in one fully connected layer"):
        package.audit(folder, deep=True, weights=linear)
    with pytest.raises(InputError, match="ends in .html, got doctor.pdf"):
        package.audit(folder, deep=True, weights=locate_model("digits"), out="doctor.pdf")
    with pytest.raises(ModelError, match="cannot be read"):
        package.audit(folder, deep=True, weights=tmp_path / "none.tflite")
    manifest = tmp_path / "photos.csv"
    manifest.write_text("path,label\n")
    for data, out, message in (
        (manifest, tmp_path / "photos.html", "photos.csv: is the manifest itself"),
        (folder, manifest / "page.html", "cannot be written"),
        (write_balls(tmp_path / "balls", 2), None, "holds point clouds or meshes; --deep looks at photos"),
    ):
        with pytest.raises(InputError, match=message):
            package.audit(data, deep=True, weights=locate_model("digits"), out=out, overwrite=True)
    assert manifest.read_text() == "path,label\n"


@pytest.mark.slow
def test_without_weights_the_start_of_quick_is_taken_and_small_images_have_none(tmp_path: Path) -> None:
    pytest.importorskip("tf_keras")
    with pytest.raises(InputError, match="name one with --weights FILE"):
        package.audit("digits", deep=True)
    folder = tmp_path / "photos"
    random = np.random.default_rng(0)
    for number, label in enumerate(("dark", "light")):
        (folder / label).mkdir(parents=True)
        for place in range(8):
            pixels = random.integers(130 * number, 130 * number + 60, (96, 96, 3)).astype(np.uint8)
            assert cv2.imwrite(str(folder / label / f"{place}.png"), pixels)
    deep = package.audit(folder, deep=True).deep
    assert deep is not None
    assert deep.features_of == "edgeclf's backbone"
    assert deep.top1 == 1
