"""`predict`, `inspect` and `verify` through the command line, on files that edgeclf did not make."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from edgeclf.artifact.class_names import UNNAMED
from edgeclf.cli.main import app

TFLITE = Path(__file__).parent / "tflite"
MODEL = str(TFLITE / "uint8.tflite")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments], prog_name="edgeclf")


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Four readable images, not written in the order of their names; one unreadable; and what is no image."""
    images = np.load(TFLITE / "digits.npz")["images"]
    folder = tmp_path / "scans"
    (folder / "deeper").mkdir(parents=True)
    for number in (2, 0, 3, 1):
        cv2.imwrite(str(folder / f"{number}.png"), images[number])
    (folder / "bad.jpg").touch()
    (folder / "._0.png").write_bytes(b"what macOS leaves on foreign disks")
    (folder / "notes.txt").write_text("not an image")
    cv2.imwrite(str(folder / "deeper" / "9.png"), images[9])
    return folder


def test_a_folder_gives_its_image_files_in_sorted_order(scans: Path) -> None:
    result = run("predict", MODEL, scans, "--json", "--top", 2)
    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert result.stdout.count("\n") == 1
    assert [Path(p["path"]).name for p in document["predictions"]] == ["0.png", "1.png", "2.png", "3.png"]
    assert [len(p["labels"]) for p in document["predictions"]] == [2, 2, 2, 2]
    assert [Path(u["path"]).name for u in document["unreadable"]] == ["bad.jpg"]
    assert f"{scans / 'bad.jpg'}: " in result.stderr
    for label in document["predictions"][0]["labels"]:
        assert label["label"] == str(label["index"])
        assert 0 <= label["probability"] <= 1


def test_arguments_keep_their_order(scans: Path) -> None:
    names = [scans / "3.png", scans / "0.png", scans / "3.png"]
    document = json.loads(run("predict", MODEL, *names, "--json").stdout)
    assert [p["path"] for p in document["predictions"]] == [str(n) for n in names]


def test_the_screen_shows_one_line_an_image_in_percent(scans: Path) -> None:
    result = run("predict", MODEL, scans / "0.png", scans / "3.png", "--top", 1)
    lines = result.stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"{scans / '0.png'}: 0 ")
    assert lines[0].endswith(" %")


def test_exit_code_is_2_only_when_nothing_was_read(scans: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing.jpg"
    assert run("predict", MODEL, missing, scans / "0.png").exit_code == 0
    result = run("predict", MODEL, missing, "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 2
    assert document["predictions"] == []
    assert document["unreadable"][0]["path"] == str(missing)
    assert (document["error"], document["exit_code"]) == (f"{missing}: no such file or directory", 2)
    assert result.stderr.endswith(f"edgeclf: {missing}: no such file or directory\n")
    several = run("predict", MODEL, missing, scans / "bad.jpg", "--json")
    assert json.loads(several.stdout)["error"].startswith(
        f"none of 2 can be read; the first: {missing}: no such file or directory"
    )
    assert several.stderr.count(str(missing)) == 2, "in its own line, and as the example"
    assert run("predict", MODEL, scans / "deeper" / "..", tmp_path / "scans" / "notes.txt").exit_code == 0
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "without image files" in run("predict", MODEL, empty).stderr


def test_given_input_range_is_used(scans: Path) -> None:
    model = TFLITE / "float_-1_1.tflite"
    document = json.loads(run("predict", model, scans, "--input-range", "-1,1", "--json").stdout)
    named = [p["labels"][0]["label"] for p in document["predictions"]]
    assert sum(label == truth for label, truth in zip(named, "0123", strict=True)) >= 3


def test_a_model_that_knows_its_input_range_refuses_another(scans: Path) -> None:
    result = run("predict", MODEL, scans, "--input-range=-1,1")
    assert result.exit_code == 2
    expected = "edgeclf: uint8.tflite knows its input: expected 0,255 (quantization of its uint8 input), got -1,1"
    assert result.stderr.startswith(expected)
    assert result.stderr.count("\n") == 1
    assert run("predict", MODEL, scans / "0.png", "--input-range", "0,255").exit_code == 0


def test_a_single_path_is_one_file(scans: Path) -> None:
    import edgeclf

    for one in (scans / "0.png", str(scans / "0.png")):
        (found,) = edgeclf.predict(MODEL, one).predictions
        assert found.path == str(one)


def test_measured_input_range_is_reported(scans: Path) -> None:
    result = run("predict", TFLITE / "float_0_1.tflite", scans, "--json")
    assert result.exit_code == 0
    assert "--normalize" in result.stderr
    assert json.loads(result.stdout)["notes"]
    assert "--normalize" not in run("predict", TFLITE / "float_0_1.tflite", scans, "--quiet").stderr


def test_unknown_model_and_runtime_name_the_nearest(scans: Path) -> None:
    result = run("predict", MODEL, scans / "0.png", "--runtime", "litrt")
    assert result.exit_code == 2
    assert "did you mean 'litert'?" in result.stderr
    result = run("predict", "no-such-model", scans / "0.png")
    assert result.exit_code == 2
    assert "no-such-model" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_missing_runtime_is_named_with_its_install_command(scans: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    try:
        import tflite_runtime  # noqa: F401
    except ImportError:
        result = run("predict", MODEL, scans / "0.png", "--runtime", "tflite-runtime")
        assert result.exit_code == 2
        ended = sys.version_info >= (3, 12)  # nothing to install can help there
        message = "tflite-runtime ended with Python 3.11" if ended else 'pip install "edgeclf[tflite-runtime]"'
        assert message in result.stderr


def test_inspect_describes_a_file() -> None:
    document = json.loads(run("inspect", MODEL, "--json").stdout)
    assert document["integrity"] == "unverified"
    assert document["inputs"][0]["shape"] == [1, 16, 16, 3]
    assert {"outputs", "labels", "parameters", "macs", "operators", "provenance"} <= set(document)
    shown = run("inspect", MODEL).stdout
    assert "CONV_2D" in shown
    assert f"{document['parameters']:,}" in shown


def test_inspect_of_something_else_is_one_line(tmp_path: Path) -> None:
    other = tmp_path / "photo.tflite"
    other.write_bytes(b"\xff\xd8\xff\xe0 not a model")
    result = run("inspect", other)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "photo.tflite" in result.stderr


def test_verify_refuses_files_without_samples() -> None:
    result = run("verify", MODEL)
    assert result.exit_code == 2
    assert "no samples" in result.stderr


@pytest.mark.slow
def test_native_libraries_write_neither_to_stdout_nor_stderr(scans: Path) -> None:
    command = [sys.executable, "-m", "edgeclf", "predict", MODEL, str(scans / "0.png"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == f"{UNNAMED}\n"
    assert json.loads(done.stdout)["predictions"]
    loud = subprocess.run([*command, "--verbose"], capture_output=True, text=True, check=True)
    assert json.loads(loud.stdout)["predictions"]


@pytest.mark.slow
def test_a_reader_that_leaves_early_is_no_error(scans: Path) -> None:
    line = f"{sys.executable} -m edgeclf predict {MODEL} {'0.png ' * 5000} --quiet | head -n 1"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run(["sh", "-c", line], cwd=scans, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_is_one_line_and_exits_with_130(scans: Path, number: signal.Signals) -> None:
    large = scans / "large.png"
    cv2.imwrite(str(large), np.zeros((4000, 4000, 3), np.uint8))
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeclf", "predict", MODEL, *[str(large)] * 5000],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    mapped = Path(f"/proc/{process.pid}/maps")
    while process.poll() is None and "ai_edge_litert" not in mapped.read_text():
        time.sleep(0.05)
    time.sleep(0.5)
    os.kill(process.pid, number)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out) == (130, b"")
    assert err.decode().splitlines()[-1].startswith("edgeclf: interrupted")
