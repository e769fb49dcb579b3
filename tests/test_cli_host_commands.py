"""`train`, `compress` and `bench` through the real command line, on the embedded digits; also interrupted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from command_line import document, edgeclf

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
QUICK = ("--epochs", "2", "--seed", "3")


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "edgeclf", *arguments]
    environment = {
        "EDGECLF_CACHE": str(folder / "cache"),
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "CUDA_VISIBLE_DEVICES": "",
    }
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def document_of_process(folder: Path, *arguments: str) -> dict[str, Any]:
    """The JSON document of a command in a process of its own, as a shell starts it."""
    process = start(folder, *arguments, "--json")
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    assert out.count("\n") == 1
    return dict(json.loads(out))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained and compressed run of the digits in `runs/digits`."""
    folder = tmp_path_factory.mktemp("workplace")
    trained = document_of_process(folder, "train", "--out", "runs/digits", *QUICK)
    assert trained["run"] == "runs/digits"
    assert {"model", "parameters", "image_size", "seconds", "metrics"} <= set(trained)
    assert 0 < trained["metrics"]["validation"]["top1"] <= 1
    compressed = document(folder, "compress", "runs/digits", "--int8")
    (model,) = compressed["models"]
    assert Path(model["path"]) == Path("runs/digits/compressed/digits-int8.tflite")
    assert model["recipe"] == "int8"
    assert model["size_bytes"] == (folder / model["path"]).stat().st_size
    return folder


def test_bench_compares_with_the_float_network(workplace: Path) -> None:
    measured = document(
        workplace, "bench", "runs/digits", "--data", "digits", "--runs", "50", "--out", "b", "--report", "b/report.html"
    )
    (model,) = measured["models"]
    assert measured["baseline"]["top1"] is not None
    assert measured["baseline"]["device"]
    assert model["difference"] == pytest.approx(model["top1"] - measured["baseline"]["top1"])
    assert json.loads((workplace / "b" / "bench.json").read_text())["models"] == measured["models"]
    page = (workplace / "b" / "report.html").read_text(encoding="utf-8")
    assert "<html" in page
    flips = measured["comparisons"][0]["flips"]
    for method in ("float network: Grad-CAM", "this model: class activation map"):
        assert (method in page) == bool(flips)


def test_bench_without_data_leaves_accuracy_null(workplace: Path) -> None:
    measured = document(workplace, "bench", "runs/digits/compressed/digits-int8.tflite", "--runs", "50")
    assert measured["data"] is None
    assert [measured["models"][0][key] for key in ("top1", "difference", "p_value")] == [None, None, None]


def test_explain_shows_both_networks_of_a_run_side_by_side(workplace: Path, tmp_path: Path) -> None:
    digits = pytest.importorskip("sklearn.datasets").load_digits().images[3]
    assert cv2.imwrite(str(tmp_path / "three.png"), np.round(digits * 255 / 16).astype(np.uint8))
    found = document(workplace, "explain", "runs/digits", tmp_path / "three.png")
    assert [source["method"] for source in found["sources"]] == ["class activation map", "Grad-CAM"]
    (photo,) = found["photos"]
    assert photo["correlation"] == found["correlation"] > 0.9
    assert found["page"] == "runs/digits/explained/index.html"
    assert all((workplace / one["saved"]).is_file() for one in photo["maps"])
    alone = document(workplace, "explain", "runs/digits/model.keras", tmp_path / "three.png", "--out", tmp_path / "a")
    assert alone["photos"][0]["maps"][0]["rows"] == photo["maps"][1]["rows"]


def test_the_model_travels_alone(workplace: Path) -> None:
    inspected = document(workplace, "inspect", "runs/digits")
    assert inspected["integrity"] == "verified"
    assert inspected["labels"] == [str(n) for n in range(10)]
    assert document(workplace, "verify", "runs/digits")["ok"] is True


def test_nothing_is_overwritten_unless_asked(workplace: Path) -> None:
    for arguments in (("train", "--out", "runs/digits", *QUICK), ("compress", "runs/digits", "--int8")):
        done = edgeclf(workplace, *arguments)
        assert (done.exit_code, done.stdout) == (2, "")
        assert "--overwrite" in done.stderr.splitlines()[-1]
    done = edgeclf(workplace, "bench", "runs/digits", "--runs", "50", "--out", "runs/digits/run.json")
    assert done.exit_code == 2
    assert "run.json exists" in done.stderr


def test_resume_of_a_finished_run_prints_its_report(workplace: Path) -> None:
    first = json.loads((workplace / "runs" / "digits" / "run.json").read_text())
    again = document(workplace, "train", "--out", "runs/digits", "--resume", *QUICK)
    assert again["metrics"]["validation"]["top1"] == first["metrics"]["validation"]["top1"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", [("train", "--out", "runs/digits", "--resume", *QUICK), ("inspect", "runs/digits")])
def test_a_signal_when_all_is_done_changes_nothing(
    workplace: Path, command: tuple[str, ...], number: signal.Signals
) -> None:
    # sent by the process itself where the interpreter begins to end, if it gets there
    program = (
        "import atexit, os, sys; from edgeclf.cli.main import run_process; "
        f"atexit.register(os.kill, os.getpid(), {int(number)}); sys.argv[0] = 'edgeclf'; run_process()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", program, *command, "--json"],
        cwd=workplace,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_training_resumes_to_the_same_weights(
    workplace: Path, tmp_path: Path, number: signal.Signals
) -> None:
    for _ in range(5):  # a run may be over before the signal reaches it; then another one is interrupted
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        process = start(tmp_path, "train", "--out", "run", "--json", *QUICK)
        deadline = time.monotonic() + 300
        while not list((tmp_path / "run").glob("checkpoint/*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(number)
        out, err = process.communicate(timeout=300)
        if process.returncode:
            break
    assert process.returncode == 130, err
    assert json.loads(out)["exit_code"] == 130
    assert "--resume" in err.splitlines()[-1]
    document(tmp_path, "train", "--out", "run", "--resume", *QUICK)
    weights = [_weights(folder / "model.keras") for folder in (tmp_path / "run", workplace / "runs" / "digits")]
    for resumed, undisturbed in zip(*weights, strict=True):
        np.testing.assert_array_equal(resumed, undisturbed)


def _weights(path: Path) -> list[np.ndarray]:
    import tf_keras

    return list(tf_keras.models.load_model(path, compile=False).get_weights())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "no-such-folder/photos"), "no-such-folder/photos"),
        (("train", "digitz"), "did you mean 'digits'?"),
        (("train", "--model", "resnet-8"), "did you mean 'resnet8'?"),
        (("train", "--weights", "missing.h5"), "missing.h5"),
        (("compress", "no-such-run"), "no-such-run"),
        (("bench", "no-such-model.tflite"), "no-such-model.tflite"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    done = edgeclf(tmp_path, *arguments, "--quiet")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
