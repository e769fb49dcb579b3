"""The wheel in an environment that holds nothing of the host side, as on a device."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from digit_video import write_video
from presence import refuse

pytestmark = pytest.mark.slow

TFLITE = Path(__file__).parent / "tflite"
SECONDS = 1.5
MEGABYTES = 150


@pytest.fixture(scope="session")
def edge_python() -> str:
    """The interpreter of the edge environment, which `tools/check.sh` makes."""
    python = os.environ.get("EDGECLF_EDGE_PYTHON")
    if not python:
        refuse("EDGECLF_EDGE_PYTHON is not set; tools/check.sh makes an edge environment")
    return python


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "scan.png"
    cv2.imwrite(str(path), np.load(TFLITE / "digits.npz")["images"][0])
    return path


def edgeclf(python: str, folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    # From another folder, so that the wheel is what is imported and not the checkout.
    command = [python, "-m", "edgeclf", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def document(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_nothing_of_the_host_side_is_installed(edge_python: str, tmp_path: Path) -> None:
    code = "import importlib.util as u; print([m for m in ('tensorflow', 'sklearn', 'matplotlib') if u.find_spec(m)])"
    done = subprocess.run([edge_python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_wheel_carries_the_zoo_and_the_report_template(edge_python: str, tmp_path: Path) -> None:
    code = """
from pathlib import Path
import edgeclf
root = Path(edgeclf.__file__).parent
assert "site-packages" in str(root), root
assert sorted(p.name for p in (root / "report" / "templates").iterdir())
from edgeclf.artifact.locate import list_zoo
print(*list_zoo())
"""
    done = subprocess.run([edge_python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    models = Path(__file__).resolve().parents[1] / "models"
    assert done.stdout.split() == sorted(p.name for p in models.iterdir() if list(p.glob("*.tflite")))


@pytest.mark.parametrize("model", ["digits", "cifar10", "cifar10-best", "cifar10-fast", "cifar10-small", "clothing"])
def test_zoo_models_predict_inspect_verify_and_bench(edge_python: str, model: str, photo: Path, tmp_path: Path) -> None:
    predicted = document(edgeclf(edge_python, tmp_path, "predict", model, photo, "--json"))
    assert len(predicted["predictions"]) == 1  # type: ignore[arg-type]
    inspected = document(edgeclf(edge_python, tmp_path, "inspect", model, "--json"))
    assert inspected["integrity"] == "verified"
    verified = document(edgeclf(edge_python, tmp_path, "verify", model, "--json"))
    assert verified["ok"] is True
    measured = document(edgeclf(edge_python, tmp_path, "bench", model, "--runs", "20", "--json"))
    assert measured["models"][0]["latency_ms"]["median"] > 0  # type: ignore[index]
    assert measured["models"][0]["top1"] is None  # type: ignore[index]


def test_bench_judges_accuracy_without_the_host_side(edge_python: str, tmp_path: Path) -> None:
    scans = np.load(TFLITE / "digits.npz")
    for number, (image, label) in enumerate(zip(scans["images"], scans["labels"], strict=True)):
        folder = tmp_path / "scans" / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{number}.png"), image)
    arguments = ["bench", TFLITE / "uint8.tflite", "--data", "scans", "--split", "train", "--runs", "20", "--json"]
    measured = document(edgeclf(edge_python, tmp_path, *arguments))
    assert measured["models"][0]["top1"] > 0.8  # type: ignore[index]
    assert measured["baseline"] is None


def test_a_run_folder_is_measured_without_its_float_network(edge_python: str, tmp_path: Path) -> None:
    (tmp_path / "run" / "compressed").mkdir(parents=True)
    (tmp_path / "run" / "run.json").write_text("{}")
    (tmp_path / "run" / "model.keras").write_bytes(b"")
    (tmp_path / "run" / "compressed" / "run-int8.tflite").write_bytes((TFLITE / "uint8.tflite").read_bytes())
    measured = document(edgeclf(edge_python, tmp_path, "bench", "run", "--runs", "20", "--json", "--quiet"))
    assert measured["baseline"] is None
    (note,) = measured["notes"]  # type: ignore[misc]
    assert 'pip install "edgeclf[train]"' in note
    assert 'pip install "edgeclf[train]"' in edgeclf(edge_python, tmp_path, "bench", "run", "--runs", "20").stdout


@pytest.mark.alone
def test_predict_starts_fast_and_stays_small(edge_python: str, photo: Path, tmp_path: Path) -> None:
    code = """
import resource, subprocess, sys, time
began = time.perf_counter()
subprocess.run([sys.executable, "-m", "edgeclf", "predict", *sys.argv[1:]], check=True, stdout=subprocess.DEVNULL)
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""
    command = [edge_python, "-c", code, str(TFLITE / "uint8.tflite"), str(photo)]
    tries = [subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True) for _ in range(3)]
    seconds, megabytes = zip(*(map(float, one.stdout.split()) for one in tries), strict=True)
    assert min(seconds) < SECONDS
    assert max(megabytes) < MEGABYTES


def test_live_on_a_video_without_the_page(edge_python: str, tmp_path: Path) -> None:
    truth = [str(number) for number in write_video(tmp_path / "digits.avi", (3, 1, 4), 5)]
    arguments = ["live", "digits", "--camera", "digits.avi", "--every-frame", "--no-window", "--smoothing", "0"]
    done = edgeclf(edge_python, tmp_path, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    *results, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert [result["label"] for result in results] == truth
    assert last["summary"]["frames_classified"] == 15
    told = edgeclf(edge_python, tmp_path, *arguments)
    assert told.returncode == 0
    assert 'pip install "edgeclf[web]"' in told.stderr


def test_host_commands_name_the_install_command(edge_python: str, tmp_path: Path) -> None:
    for arguments in (["train", "digits"], ["compress", "run"]):
        done = edgeclf(edge_python, tmp_path, *arguments)
        assert done.returncode == 2
        assert 'pip install "edgeclf[train]"' in done.stderr
        assert done.stderr.count("\n") == 1
