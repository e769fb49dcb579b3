"""`bench --split all`: every photo of a source counts, but for those that a run has used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from linear_models import Digits, fit, load_digits, write_int8_model

from edgeclf import Classifier
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.dataset import load_dataset
from edgeclf.dataset.known_images import write_images
from edgeclf.errors import DataError, InputError
from edgeclf.measure.plan import BenchPlan
from edgeclf.measure.run import run_bench

NAMES = list("0123456789")


def write_photos(top: Path, digits: Digits, rows: range) -> Path:
    for row in rows:
        path = top / str(digits.test_labels[row]) / f"{row:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), digits.test_images[row][..., ::-1])
    return top


@pytest.fixture(scope="module")
def digits() -> Digits:
    return load_digits()


@pytest.fixture
def run(tmp_path: Path, digits: Digits) -> RunFolder:
    """A run that was trained on the first 150 digits."""
    photos = write_photos(tmp_path / "photos", digits, range(150))
    folder = RunFolder(tmp_path / "run", must_exist=False)
    folder.path.mkdir()
    folder.write_record({"name": "run", "finished": True, "config": {}, "data": {"class_names": NAMES}})
    write_images(folder, load_dataset(photos, image_size=8))
    folder.compressed_path.mkdir()
    write_int8_model(folder.compressed_path / "run-int8.tflite", *fit(digits))
    return folder


def right(run: RunFolder, digits: Digits, rows: range) -> float:
    classifier = Classifier(run.compressed_path / "run-int8.tflite")
    found = classifier.top1(np.asarray(digits.test_images[rows.start : rows.stop]))
    return float((found == digits.test_labels[rows.start : rows.stop]).mean())


def test_all_of_new_photos_count(run: RunFolder, digits: Digits, tmp_path: Path) -> None:
    new = range(150, 200)
    fresh = write_photos(tmp_path / "fresh", digits, new)
    for named in (run.path, run.compressed_path / "run-int8.tflite"):
        report = run_bench(BenchPlan((str(named),), str(fresh), split="all", runs=5, out=str(tmp_path / named.name)))
        assert report.data is not None
        assert (report.data.split, report.data.images) == ("all", 50)
        assert report.models[0].top1 == pytest.approx(right(run, digits, new))
        assert not any("used in training" in note or "not known" in note for note in report.notes)


def test_what_a_run_has_used_is_left_out_and_said(run: RunFolder, digits: Digits, tmp_path: Path) -> None:
    both = write_photos(tmp_path / "both", digits, range(100, 200))
    used = load_dataset(tmp_path / "photos", image_size=8).splits
    contents = {content for split in ("train", "validation") for content in used[split].hashes}
    everything = load_dataset(both, image_size=8, whole=True).splits["all"]
    left_out = sum(content in contents for content in everything.hashes)
    assert 0 < left_out < 50, "the run's test photos stay"
    report = run_bench(BenchPlan((str(run.path),), str(both), split="all", runs=5))
    assert report.data is not None
    assert report.data.images == 100 - left_out
    assert f"{left_out} images of 100 were used in training run: left out" in report.notes


def test_a_model_of_no_run_is_measured_on_everything_with_a_remark(digits: Digits, tmp_path: Path) -> None:
    fresh = write_photos(tmp_path / "fresh", digits, range(30))
    model = write_int8_model(tmp_path / "other.tflite", *fit(digits))
    report = run_bench(BenchPlan((str(model),), str(fresh), split="all", runs=5))
    assert report.data is not None
    assert report.data.images == 30
    assert any(note.startswith("other.tflite: not known which images it was trained on") for note in report.notes)


def test_a_source_that_has_splits_is_taken_as_one(run: RunFolder, digits: Digits, tmp_path: Path) -> None:
    top = tmp_path / "sets"
    write_photos(top / "test", digits, range(150, 200))
    plan = BenchPlan((str(run.path),), str(top), split="all", runs=5)
    with pytest.raises(DataError, match=r"no train folder; .* give test/ to bench with --split all"):
        run_bench(plan)
    write_photos(top / "train", digits, range(200, 290))
    report = run_bench(plan)
    assert report.data is not None
    assert report.data.images == 140


def test_what_it_grew_from_counts_as_used(run: RunFolder, digits: Digits, tmp_path: Path) -> None:
    write_photos(tmp_path / "later", digits, range(150, 290))
    made = RunFolder(tmp_path / "made", must_exist=False)
    made.path.mkdir()
    config = {"from_run": str(run.path), "weights": "auto"}
    made.write_record({"name": "made", "finished": True, "config": config, "data": {"class_names": NAMES}})
    write_images(made, load_dataset(tmp_path / "later", image_size=8))
    made.compressed_path.mkdir()
    write_int8_model(made.compressed_path / "made-int8.tflite", *fit(digits))
    plan = BenchPlan((str(made.path),), str(tmp_path / "photos"), split="all", runs=5)
    first = load_dataset(tmp_path / "photos", image_size=8).splits["test"]
    report = run_bench(plan)
    assert report.data is not None
    assert report.data.images == len(first), "what the first was not trained on"
    run.images_path.unlink()
    assert any(f"{run.path}: made began from it" in note for note in run_bench(plan).notes)
    for weights, unknown in (("runs/gone", True), ("runs/gone/model.keras", True), ("mobilenet.tflite", False)):
        config = {"from_run": None, "weights": weights}
        made.write_record({"name": "made", "finished": True, "config": config, "data": {"class_names": NAMES}})
        assert any(f"{weights}: made began from it" in note for note in run_bench(plan).notes) == unknown


def test_a_model_is_of_its_run_wherever_it_is_named_from(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link.tflite").symlink_to(run.compressed_path / "run-int8.tflite")
    monkeypatch.chdir(run.compressed_path)
    for name in ("run-int8.tflite", str(tmp_path / "link.tflite")):
        report = run_bench(BenchPlan((name,), str(tmp_path / "photos"), split="all", runs=5))
        assert report.data is not None
        assert report.data.images < 60
        assert any("were used in training run: left out" in note for note in report.notes)


def test_nothing_left_and_no_record_are_refused(run: RunFolder, tmp_path: Path) -> None:
    used = load_dataset(tmp_path / "photos", image_size=8).splits["train"]
    for path in used.paths:
        target = tmp_path / "again" / Path(path).parent.name / Path(path).name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(Path(path).read_bytes())
    plan = BenchPlan((str(run.path),), str(tmp_path / "again"), split="all", runs=5)
    with pytest.raises(DataError, match="every one of its images was used in training run"):
        run_bench(plan)
    run.images_path.unlink()
    with pytest.raises(InputError, match="does not record which images it was trained on"):
        run_bench(plan)


def test_without_data_a_run_says_where_its_own_are(run: RunFolder, tmp_path: Path) -> None:
    record = run.run_json
    record["data"] |= {"source": str(tmp_path / "photos"), "splits": {"train": {}, "test": {}}}
    run.write_record(record)
    plan = BenchPlan((str(run.path),), runs=5)
    note = f"run was trained on {tmp_path / 'photos'}: --data {tmp_path / 'photos'} measures its test split"
    report = run_bench(plan)
    assert (report.data, report.notes) == (None, (note,))
    (tmp_path / "photos").rename(tmp_path / "moved")
    assert run_bench(replace(plan, overwrite=True)).notes == ()


def test_photos_that_a_run_was_trained_on_are_counted_where_they_were_sorted_anew(
    run: RunFolder, digits: Digits, tmp_path: Path
) -> None:
    used = load_dataset(tmp_path / "photos", image_size=8).splits
    contents = {content for split in ("train", "validation") for content in used[split].hashes}
    top = tmp_path / "sorted"
    write_photos(top / "train", digits, range(200, 290))
    write_photos(top / "test", digits, range(80, 160))
    test = load_dataset(top, image_size=8).splits["test"]
    seen = sum(content in contents for content in test.hashes)
    assert 40 < seen < 70, "the run's test photos do not count"
    report = run_bench(BenchPlan((str(run.path),), str(top), runs=5))
    assert report.data is not None
    assert report.data.in_training == seen
    warned = f"{seen} of 80 test images were seen in training, too, so accuracy on test is optimistic"
    assert warned in report.notes, "without audit, which does not know the run"
    own = run_bench(BenchPlan((str(run.path),), str(tmp_path / "photos"), runs=5, out=str(tmp_path / "own")))
    assert own.data is not None
    assert own.data.in_training == 0
