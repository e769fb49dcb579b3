"""The older runtime in its own environment, from the wheel, with the versions of its own constraints file."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tflite_models
from presence import refuse

pytestmark = pytest.mark.slow

TFLITE = Path(__file__).parent / "tflite"
WITH = ("--runtime", "tflite-runtime")


@pytest.fixture(scope="session")
def python() -> str:
    """The interpreter of the environment with tflite-runtime, which `tools/check.sh` makes."""
    found = os.environ.get("EDGECLF_TFLITE_RUNTIME_PYTHON")
    if not found:
        refuse("EDGECLF_TFLITE_RUNTIME_PYTHON is not set; tools/check.sh makes such an environment")
    return found


def run(python: str, folder: Path, *arguments: object) -> tuple[int, dict[str, Any]]:
    command = [python, "-m", "edgeclf", *map(str, arguments), "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_it_labels_photos_and_reports_its_name(python: str, tmp_path: Path) -> None:
    scans = np.load(TFLITE / "digits.npz")
    files = [tmp_path / f"{number:03}.png" for number in range(50)]
    for path, image in zip(files, scans["images"][:50], strict=True):
        cv2.imwrite(str(path), image)
    code, document = run(python, tmp_path, "predict", "digits", *files, *WITH)
    assert code == 0
    found = [one["labels"][0]["label"] for one in document["predictions"]]
    assert np.mean(np.array(found) == scans["labels"][:50].astype(str)) > 0.9
    code, document = run(python, tmp_path, "bench", "digits", "--runs", "20", *WITH)
    assert code == 0
    (model,) = document["models"]
    assert (model["runtime"], model["runtime_version"]) == ("tflite-runtime", "2.14.0")
    assert model["latency_ms"]["median"] > 0


@pytest.mark.parametrize("model", ["digits", "cifar10"])
def test_verify_names_the_runtime_whose_results_may_differ(python: str, tmp_path: Path, model: str) -> None:
    code, document = run(python, tmp_path, "verify", model, *WITH)
    assert code == (0 if document["ok"] else 1)
    assert document["runtime"] == "tflite-runtime"
    assert run(python, tmp_path, "verify", model)[0] == 0  # the default runtime lies beside it


def test_weights_of_four_bits_are_computed_alike(python: str, tmp_path: Path) -> None:
    model = tmp_path / "int4.tflite"
    model.write_bytes(tflite_models.packaged("int4"))
    scans = np.load(TFLITE / "digits.npz")
    files = [tmp_path / f"{number:03}.png" for number in range(20)]
    for path, image in zip(files, scans["images"][:20], strict=True):
        cv2.imwrite(str(path), image)
    found = []
    for runtime in ((), WITH):
        code, document = run(python, tmp_path, "predict", model, *files, *runtime)
        assert code == 0
        found.append([one["labels"][0]["label"] for one in document["predictions"]])
    assert sum(a == b for a, b in zip(*found, strict=True)) >= 19
