"""Images of one split that are images of another: counted from the hashes, and said wherever accuracy is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from photo_folders import make_folder, make_splits
from tflite_models import DIGIT_NAMES, packaged

from edgeclf.dataset import audit, load_dataset
from edgeclf.measure.plan import BenchPlan
from edgeclf.measure.run import run_bench


class Recorder:
    """Progress that keeps its warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def task(self, description: str, total: int | None) -> object:
        from edgeclf.progress import SILENT

        return SILENT.task(description, total)

    def info(self, line: str) -> None:
        pass

    def warn(self, line: str) -> None:
        self.warnings.append(line)


def leak(folder: Path, split: str, count: int) -> None:
    """Copy `count` training images of each class into another split."""
    for classes in (folder / "train").iterdir():
        for number in range(count):
            shutil.copy(classes / f"{number:03}.png", folder / split / classes.name / f"again{number}.png")


def test_test_images_that_are_training_images_are_counted_and_warned_of(tmp_path: Path) -> None:
    folder = make_splits(tmp_path, ["train", "validation", "test"], per_class=4)
    clean = Recorder()
    assert load_dataset(folder, image_size=8, progress=clean).count_in_training("test") == 0  # type: ignore[arg-type]
    assert clean.warnings == []
    leak(folder, "test", 3)
    warned = Recorder()
    data = load_dataset(folder, image_size=8, progress=warned)  # type: ignore[arg-type]
    assert [data.count_in_training(split) for split in ("train", "validation", "test")] == [0, 0, 6]
    assert warned.warnings == [
        "6 of 14 test images were seen in training, too, so accuracy on test is optimistic; edgeclf audit lists them"
    ]
    assert len([found for found in audit(folder).leaks if found.kind == "exact"]) == 6


def test_images_that_chose_the_epoch_count_too(tmp_path: Path) -> None:
    """Validation is split off the training images here."""
    folder = make_splits(tmp_path, ["train", "test"], per_class=20)
    leak(folder, "test", 20)
    assert load_dataset(folder, image_size=8).count_in_training("test") == 40


def test_a_split_of_our_own_never_shares_images(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"cat": 12, "dog": 12})
    for number in range(12):
        shutil.copy(folder / "cat" / f"{number:03}.png", folder / "cat" / f"again{number}.png")
    data = load_dataset(folder, image_size=8)
    assert [data.count_in_training(split) for split in data.splits] == [0, 0, 0]


def test_bench_reports_them(tmp_path: Path) -> None:
    folder = make_splits(tmp_path / "data", ["train", "validation", "test"], per_class=3, classes=DIGIT_NAMES[:2])
    leak(folder, "test", 1)
    model = tmp_path / "model.tflite"
    model.write_bytes(packaged("int8"))
    report = run_bench(BenchPlan((str(model),), data=str(folder), runs=1))
    assert report.data is not None
    assert report.data.in_training == 2
    assert any(note.startswith("2 of 8 test images were seen in training, too") for note in report.notes)
    assert json.loads(report.to_json())["data"]["in_training"] == 2


@pytest.mark.slow
def test_train_reports_them(tmp_path: Path) -> None:
    import edgeclf

    folder = make_splits(tmp_path / "data", ["Training", "Validation", "Testing"], per_class=8)
    (folder / "Training").rename(folder / "train")
    leak(folder, "Testing", 2)
    warned = Recorder()
    report = edgeclf.train(
        str(folder),
        model="cnn",
        image_size=16,
        epochs=1,
        out=tmp_path / "run",
        progress=warned,  # type: ignore[arg-type]
    )
    said = "4 of 20 test images were seen in training, too"
    assert any(line.startswith(said) for line in warned.warnings)
    assert report.in_training == {"validation": 0, "test": 4}
    assert any(note.startswith(said) for note in report.notes)
    assert any("Testing/ for test" in note for note in report.notes)
    assert report.notes[-1] == "validation top-1 is measured on the images that chose the epoch, so it is optimistic"
    compressed = edgeclf.compress(tmp_path / "run", dynamic=True, speed=False)
    assert compressed.in_training == report.in_training
    assert any(note.startswith(said) for note in compressed.notes)
    assert any("Testing/ for test" in note for note in json.loads(compressed.to_json())["notes"])
    data = json.loads((tmp_path / "run" / "run.json").read_text())["data"]
    assert data["in_training"] == {"validation": 0, "test": 4}
    assert any("Testing/ for test" in note for note in data["notes"])
