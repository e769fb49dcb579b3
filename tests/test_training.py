"""Training on real digits: what the run folder holds, and that an interrupted run ends like an undisturbed one."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import colored_squares
import numpy as np
import pytest
from color_photos import hues, write_folders
from rich.console import Console

pytest.importorskip("tensorflow")

import edgeclf
from edgeclf import train
from edgeclf.cli.rendering_host import render_training
from edgeclf.dataset.probing import DataProbe
from edgeclf.errors import InputError, OutputError, UnknownNameError
from edgeclf.progress import SILENT
from edgeclf.training.config import TrainConfig
from edgeclf.training.evaluation import (
    evaluate,
    few_images_note,
    generalization_note,
    independent_difference_interval,
)
from edgeclf.training.networks import NETWORKS
from edgeclf.training.remarks import advise
from edgeclf.training.run_record import TrainReport
from edgeclf.training.starting import StartingPoint, find_start
from edgeclf.training.starts import KerasDownload

QUICK = TrainConfig(model="resnet8", image_size=8, epochs=3, batch_size=128, dropout=0.2, augment="strong")


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory: pytest.TempPathFactory, test_cache: Path) -> tuple[Path, TrainReport]:
    os.environ["EDGECLF_CACHE"] = str(test_cache)
    folder = tmp_path_factory.mktemp("runs") / "digits"
    return folder, train("digits", QUICK, out=folder)


def weights_of(folder: Path) -> list[np.ndarray]:
    import tf_keras

    return tf_keras.models.load_model(folder / "model.keras", compile=False).get_weights()


@pytest.mark.slow
def test_the_run_folder_holds_what_the_contract_lists(digits_run: tuple[Path, TrainReport]) -> None:
    folder, report = digits_run
    record = json.loads((folder / "run.json").read_text())
    assert record["finished"]
    assert record["config"]["model"] == "resnet8"
    assert record["data"]["class_names"] == list("0123456789")
    assert (folder / "labels.txt").read_text().split() == list("0123456789")
    assert len((folder / "history.csv").read_text().splitlines()) == 1 + 3
    for name in ("curves", "confusion-validation", "confusion-test", "worst-mistakes"):
        assert (folder / "plots" / f"{name}.png").stat().st_size > 5_000
    assert len(list((folder / "logs").iterdir())) == 1, "one TensorBoard file for all epochs"
    assert report.metrics["test"] is not None
    assert record["metrics"]["test"]["top1"] == report.metrics["test"].top1
    assert not list(folder.glob(".*"))
    assert "chose the epoch, so it is optimistic; the test split is not" in report.notes[-1]
    assert record["metrics_note"] == report.notes[-1]
    assert TrainReport.from_json(report.to_json()) == report


@pytest.mark.slow
def test_a_finished_run_is_reported_again_and_never_changed(
    digits_run: tuple[Path, TrainReport], tmp_path: Path
) -> None:
    folder, report = digits_run
    assert train("digits", QUICK, out=folder, resume=True) == report
    moved = shutil.copytree(folder, tmp_path / "moved")
    assert train("digits", QUICK, out=moved, resume=True) == dataclasses.replace(report, run=str(moved))
    with pytest.raises(OutputError, match="holds a run already"):
        train("digits", QUICK, out=folder)
    with pytest.raises(InputError, match="epochs 3, not 9; --resume cannot change it"):
        train("digits", QUICK.replace(epochs=9), out=folder, resume=True)


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_weights(digits_run: tuple[Path, TrainReport], tmp_path: Path) -> None:
    folder, _ = digits_run
    again = tmp_path / "again"
    program = (
        "import sys\nfrom pathlib import Path\nfrom edgeclf.training.config import TrainConfig\n"
        "from edgeclf import train\n"
        "train('digits', TrainConfig.from_json(sys.argv[1]), out=sys.argv[2], resume=True)\n"
    )
    command = [sys.executable, "-c", program, QUICK.to_json(), str(again)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    # The first checkpoint is the sign that one epoch is done; the second epoch is under way when the process dies.
    while not (again / "checkpoint" / "state.npz").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not json.loads((again / "run.json").read_text())["finished"]
    train("digits", QUICK, out=again, resume=True)
    assert len(list((again / "logs").iterdir())) == 2, "one TensorBoard file a session"
    for undisturbed, resumed in zip(weights_of(folder), weights_of(again), strict=True):
        np.testing.assert_array_equal(undisturbed, resumed)


def test_names_are_checked_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'resnet8'"):
        train("digits", TrainConfig(model="resnet-8"), out=tmp_path / "run")
    with pytest.raises(UnknownNameError, match="did you mean 'digits'"):
        train("digit", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_misspelt_setting_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown setting 'epoch'; did you mean 'epochs'"):
        edgeclf.train("digits", epoch=3, out=tmp_path / "run")
    with pytest.raises(UnknownNameError, match="did you mean 'resnet8'"):
        edgeclf.train("digits", model="resnet-8", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"image_size": 30}, "image_size must be a multiple of 8, got 30"),
        ({"epochs": 0}, "epochs must be between 1 and 100000, got 0"),
        ({"augment": "standrad"}, "did you mean 'standard'"),
    ],
)
def test_a_wrong_setting_is_named(setting: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainConfig(**setting)  # type: ignore[arg-type]


def test_metrics_agree_with_arithmetic_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]], np.float32)
    metrics = evaluate(probabilities, np.array([0, 1, 1, 0]), ("no", "yes"))
    assert metrics.top1 == 3 / 4
    assert metrics.confusion == ((2, 0), (1, 1))
    assert metrics.per_class["yes"].recall == 1 / 2
    assert metrics.per_class["no"].precision == pytest.approx(2 / 3)
    assert metrics.top5 is None
    # Four bins of one image each: |1 - 0.9|, |0 - 0.6|, |1 - 0.8|, |1 - 0.7|, each weighing a quarter.
    assert metrics.calibration_error == pytest.approx((0.1 + 0.6 + 0.2 + 0.3) / 4)


def test_overfitting_is_named() -> None:
    overfitting = generalization_note(0.99, 0.70, (1000, 500), augment="standard")
    assert overfitting.endswith("overfitting; more photos or stronger --augment or pretrained --weights help")
    best = generalization_note(0.99, 0.70, (1000, 500), augment="strongest", pretrained=True)
    assert best.endswith("overfitting; more photos help")
    assert "underfitting" in generalization_note(0.40, 0.39, (1000, 500))
    assert "healthy" in generalization_note(0.90, 0.88, (1000, 500))
    assert "healthy" in generalization_note(0.90, 0.81, (10**6, 10**6))


def test_the_report_of_an_earlier_version_is_read() -> None:
    values = {
        "run": "runs/a", "model": "cnn", "parameters": 3, "image_size": 16, "seconds": 1.5, "epochs": 2,
        "kept_epoch": 1, "device": "CPU", "metrics": {"test": None}, "notes": ["a note"],
    }  # fmt: skip
    report = TrainReport.from_dict(values)
    assert (report.started_from, report.elapsed_seconds, report.ended) == ("", None, None)
    console = Console(file=io.StringIO(), width=80)
    render_training(console, report)
    assert "2 epochs in 2 s on CPU." in console.file.getvalue()  # type: ignore[attr-defined]


def test_the_end_names_what_was_written_quoted_for_the_shell_and_the_time() -> None:
    report = TrainReport(
        run="my runs/a",
        model="cnn",
        parameters=3,
        image_size=16,
        seconds=1.5,
        epochs=1,
        kept_epoch=1,
        device="CPU",
        metrics={"test": None},
        notes=(),
        elapsed_seconds=70.0,
        ended="2026-02-03T04:05:06+00:00",
    )
    console = Console(file=io.StringIO(), width=80)
    render_training(console, report)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[-6:] == [
        "Plots: my runs/a/plots",
        "History: my runs/a/history.csv",
        "Logs: my runs/a/logs (tensorboard --logdir 'my runs/a/logs')",
        "Run folder: my runs/a, with the network of epoch 1 in my runs/a/model.keras",
        "1 epoch in 2 s on CPU; ended 2026-02-03 04:05:06, 70 s after the command began.",
        "Next: edgeclf compress 'my runs/a'",
    ]


def test_poor_networks_with_a_better_start_out_of_reach_get_advice_in_order() -> None:
    missed = NETWORKS["mobilenet-v1"].starts[0]
    data, config = colored_squares.dataset(), TrainConfig(model="mobilenet-v1", image_size=64, epochs=3)
    advice = advise(config, 0.5, data, missed) or ""
    assert isinstance(missed, KerasDownload)
    steps = (
        "ImageNet weights",
        missed.url,
        "more photos (40 to train on of each class)",
        "--image-size 96",
        "--epochs 6",
    )
    places = [advice.find(text) for text in steps]
    assert places == sorted(places)
    assert places[0] > 0
    assert advise(config, 0.9, data, missed) is None
    assert advise(config, 0.5, data, None) is None


def test_a_named_network_without_weights_gets_the_option_that_has_some_on_photos() -> None:
    photos, small = DataProbe("photos", (), 100, {}, 480, 640), DataProbe("scans", (), 100, {}, 32, 32)

    def start(probe: DataProbe, **settings: Any) -> StartingPoint:
        return find_start(TrainConfig(**settings), probe, trust_model=False, progress=SILENT)

    assert start(photos, model="resnet8").instead == "--model mobilenet-v1"
    assert start(photos, model="mobilenet-v1", width=0.33).instead == "leave --width 0.33 out"
    assert start(small, model="resnet8").instead == ""
    advice = advise(TrainConfig(model="resnet8"), 0.5, colored_squares.dataset(), None, "--model mobilenet-v1")
    assert str(advice).startswith("what would help, the most effective first: 1. pretrained weights (--model mobile")


def test_few_images_get_an_interval_in_words_and_no_verdict() -> None:
    for train_top1, validation_top1, images in ((1.0, 0.8, 25), (0.4, 0.4, 25), (0.95, 0.845, 110)):
        note = generalization_note(train_top1, validation_top1, (1000, images))
        assert "too few to tell" in note
        assert not any(verdict in note for verdict in ("overfitting", "underfitting", "healthy"))
    # 18 of 25: Wilson's interval by hand, with z = 1.96, is 0.524 to 0.857.
    probabilities = np.eye(2, dtype=np.float32)[[0] * 18 + [1] * 7]
    note = few_images_note("test", evaluate(probabilities, np.zeros(25, np.int64), ("no", "yes")))
    assert note == (
        "25 test images: too few to tell how good the network is; top-1 72.0 % means anything from 52 % to 86 % (95 %)"
    )
    many = evaluate(np.tile(probabilities, (40, 1)), np.zeros(1000, np.int64), ("no", "yes"))
    assert few_images_note("test", many) is None


def test_the_interval_of_a_difference_is_that_of_its_paper() -> None:
    """Newcombe's example: 56 of 70 against 48 of 80, method 10 gives 0.0524 to 0.3339."""
    assert independent_difference_interval(56 / 70, 70, 48 / 80, 80) == pytest.approx((0.0524, 0.3339), abs=1e-4)


@pytest.mark.slow
def test_the_example_with_own_photos_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = write_folders(tmp_path / "photos", ("red", "green", "blue"), hues(3), count=20)
    example = Path(__file__).resolve().parents[1] / "examples" / "own_photos.py"
    monkeypatch.setattr(sys, "argv", [str(example), str(photos), str(tmp_path / "run"), "1"])
    runpy.run_path(str(example), run_name="__main__")
    assert "points to float" in capsys.readouterr().out.splitlines()[-1]
