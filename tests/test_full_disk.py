"""A disk that runs full while a command writes: one clear line, exit code 1, nothing that only looks whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import edgeclf
from small_disk import small_file_system
from typer.testing import Result

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """An empty folder on a file system of 300 kB."""
    with small_file_system(tmp_path / "disk", "300k") as folder:
        yield folder


def assert_full(done: Result) -> None:
    assert done.exit_code == 1, done.stderr
    assert "disk is full" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_training_can_go_on_elsewhere(disk: Path, tmp_path: Path) -> None:
    quick = ("--epochs", "1", "--quiet")
    assert_full(edgeclf(tmp_path, "train", "digits", "--out", disk / "run", *quick))
    assert not list(disk.rglob("*.partial"))
    assert json.loads((disk / "run" / "run.json").read_text(encoding="utf-8"))["finished"] is False
    shutil.copytree(disk / "run", tmp_path / "roomy")
    done = edgeclf(tmp_path, "train", "digits", "--out", "roomy", "--resume", *quick)
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "roomy" / "model.keras").is_file()


def test_compressing_and_measuring(disk: Path, tmp_path: Path) -> None:
    run_folder = tmp_path / "run"
    assert edgeclf(tmp_path, "train", "digits", "--out", run_folder, "--epochs", "1", "--quiet").exit_code == 0
    assert_full(
        edgeclf(
            tmp_path, "compress", run_folder, "--float32", "--float16", "--int8", "--out", disk / "models", "--quiet"
        )
    )
    # What is there is whole; what is not there is not half there.
    assert not list(disk.rglob("*.partial"))
    for path in disk.rglob("*.tflite"):
        assert edgeclf(tmp_path, "inspect", path).exit_code == 0
    model = ROOT / "models" / "digits" / "digits-int8.tflite"
    (disk / "ballast").write_bytes(bytes(max(0, shutil.disk_usage(disk).free - 8192)))
    assert_full(
        edgeclf(
            tmp_path, "bench", model, "--data", "digits", "--runs", "5", "--report", disk / "report.html", "--quiet"
        )
    )
    assert not (disk / "report.html").exists()
