"""Which images are known to have been used: those of a run, of the runs before it, and of its teachers."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from edgeclf.artifact.ensemble_folder import AVERAGE, RECORD, EnsembleRecord
from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.dataset import load_dataset
from edgeclf.dataset.known_images import write_images
from edgeclf.dataset.types import Dataset
from edgeclf.dataset.used_images import read_history, read_used, runs_of_teacher


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits", image_size=16)


def swap_splits(dataset: Dataset) -> Dataset:
    """Return the data set of somebody who trained on what is the test split here."""
    splits = dataset.splits
    return dataclasses.replace(dataset, splits={**splits, "train": splits["test"], "test": splits["train"]})


def make_run(path: Path, dataset: Dataset, **config: object) -> RunFolder:
    run = RunFolder(path, must_exist=False)
    run.compressed_path.mkdir(parents=True)
    names = list(dataset.class_names)
    run.write_record({"name": path.name, "finished": True, "config": config, "data": {"class_names": names}})
    write_images(run, dataset)
    shutil.copy(locate_model("digits"), run.compressed_path / "digits.tflite")
    return run


def test_what_a_teacher_was_trained_on_counts_for_its_student(digits: Dataset, tmp_path: Path) -> None:
    make_run(tmp_path / "teacher", swap_splits(digits))
    for teacher in ("teacher", "teacher/compressed/digits.tflite"):
        student = make_run(tmp_path / f"of-{len(teacher)}", digits, teacher=str(tmp_path / teacher), weights="none")
        used, notes = read_used([student])
        tested = dataclasses.replace(digits, used=used)
        assert tested.count_in_training("test") == len(digits.splits["test"])
        assert notes == ()


def test_a_teacher_of_the_same_split_gives_no_alarm(digits: Dataset, tmp_path: Path) -> None:
    teacher = make_run(tmp_path / "teacher", digits)
    student = make_run(tmp_path / "student", digits, teacher=str(teacher.path))
    used, notes = read_used([student, *runs_of_teacher(str(teacher.path))])
    counts = [dataclasses.replace(digits, used=used).count_in_training(split) for split in digits.splits]
    assert (counts, notes) == ([0, 0, 0], ())


def test_each_member_of_a_teacher_counts(digits: Dataset, tmp_path: Path) -> None:
    first, second = (make_run(tmp_path / "both" / name, digits) for name in ("first", "second"))
    record = EnsembleRecord(("first", "second"), digits.class_names, AVERAGE, None, finished=True)
    (tmp_path / "both" / RECORD).write_text(record.to_json())
    for teacher in (str(tmp_path / "both"), f"{first.path}+{second.path}"):
        assert [run.path.name for run in runs_of_teacher(teacher)] == ["first", "second"]
    assert runs_of_teacher(None) == runs_of_teacher("digits") == runs_of_teacher(str(locate_model("digits"))) == ()


@pytest.mark.parametrize(("teacher", "missing"), [("digits", ()), ("old.keras", ()), ("runs/gone", ("runs/gone",))])
def test_a_teacher_that_is_gone_is_named_and_a_model_of_the_zoo_is_none(
    digits: Dataset, tmp_path: Path, teacher: str, missing: tuple[str, ...]
) -> None:
    run = make_run(tmp_path / "student", digits, teacher=teacher)
    history = read_history(run)
    assert history.missing == missing
    assert ("student began from it or learned from it" in history.describe_missing("student")) == bool(missing)


def test_a_student_counts_the_test_images_that_its_teacher_learned_from(digits: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("tf_keras")
    from edgeclf.training.config import TrainConfig
    from edgeclf.training.distribution import choose_devices
    from edgeclf.training.inputs import load_inputs
    from edgeclf.training.plan import TrainPlan
    from edgeclf.training.run_plan import plan_run
    from edgeclf.training.run_record import count_in_training, describe_optimism

    for name, data, learned in (("honest", digits, 0), ("other", swap_splits(digits), len(digits.splits["test"]))):
        teacher = make_run(tmp_path / name, data).compressed_path / "digits.tflite"
        config = TrainConfig(model="cnn", weights="none", epochs=1, teacher=str(teacher))
        request = TrainPlan("digits", config, out=tmp_path / f"student-of-{name}")
        found = load_inputs(request, plan_run(request), choose_devices())
        assert count_in_training(found.dataset) == {"validation": 0, "test": learned}
        assert describe_optimism(found.dataset, config).endswith("the test split is not") == (not learned)
