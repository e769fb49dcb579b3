"""The commands that train ask TensorFlow for its faster kernels, those that measure do not; a run keeps to its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgeclf import api
from edgeclf.cli import training_kernels
from edgeclf.cli.training_kernels import use_training_kernels
from edgeclf.compression.pipeline.stage_cache import StageCache
from edgeclf.errors import InputError
from edgeclf.measure.machine import ONEDNN_VARIABLE as VARIABLE
from edgeclf.measure.machine import processor_flags

PROGRAM = f"""
import os
import edgeclf.measure.machine
edgeclf.measure.machine.processor_flags = lambda: frozenset(["avx2"])
from edgeclf.cli.main import main
assert main() == 2
print(os.environ.get("{VARIABLE}", "unset"))
"""


@pytest.mark.parametrize(
    ("command", "found"), [("train", "1"), ("compress", "1"), ("bench", "unset"), ("explain", "unset")]
)
def test_commands_that_train_ask_for_them_and_those_that_measure_do_not(
    tmp_path: Path, command: str, found: str
) -> None:
    pytest.importorskip("tensorflow")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, command, "missing"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != VARIABLE},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == found


@pytest.mark.parametrize(
    ("flags", "given", "found"), [("avx2", None, "1"), ("avx2", "0", "0"), ("asimd", None, None), ("avx2", "1", "1")]
)
def test_the_environment_and_the_processor_decide(
    monkeypatch: pytest.MonkeyPatch, flags: str, given: str | None, found: str | None
) -> None:
    monkeypatch.setattr(training_kernels, "processor_flags", lambda: frozenset([flags]))
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    # set first, so that what the function sets is taken back
    monkeypatch.setenv(VARIABLE, given or "")
    if given is None:
        monkeypatch.delenv(VARIABLE)
    use_training_kernels()
    assert os.environ.get(VARIABLE) == found


def test_nothing_is_changed_once_tensorflow_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_kernels, "processor_flags", lambda: frozenset(["avx2"]))
    monkeypatch.setitem(sys.modules, "tensorflow", training_kernels)
    monkeypatch.delenv(VARIABLE, raising=False)
    use_training_kernels()
    assert VARIABLE not in os.environ


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch."""
    path = tmp_path_factory.mktemp("trained") / "run"
    api.train("digits", model="cnn", epochs=1, seed=3, out=path)
    return path


@pytest.fixture
def unfinished(trained: Path, tmp_path: Path) -> Path:
    """A run that was left after its first epoch, on a machine with the same kernels."""
    path = shutil.copytree(trained, tmp_path / "run")
    change(path, finished=False, report=None, config=record(path)["config"] | {"epochs": 2})
    return path


def record(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "run.json").read_text()))


def change(run: Path, **values: object) -> None:
    (run / "run.json").write_text(json.dumps(record(run) | values))


def resume(run: Path) -> int:
    return api.train("digits", out=run, resume=True).epochs


def test_a_run_records_its_kernels_and_goes_on_with_the_same(unfinished: Path) -> None:
    pytest.importorskip("tensorflow")
    from edgeclf.training.kernels import name_kernels

    assert record(unfinished)["kernels"] == name_kernels()
    assert resume(unfinished) == 2
    # a finished run is not trained on, so that its report is there for any process
    change(unfinished, kernels="another")
    assert resume(unfinished) == 2


def test_a_run_does_not_go_on_with_other_kernels(unfinished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgeclf.training import kernels

    began = record(unfinished)["kernels"]
    before = {path: path.read_bytes() for path in unfinished.rglob("*") if path.is_file()}
    monkeypatch.setattr(kernels, "uses_onednn", lambda: began != "oneDNN")
    with pytest.raises(InputError, match=f"kernels of {began}.*set {VARIABLE}={int(began == 'oneDNN')}"):
        resume(unfinished)
    assert {path: path.read_bytes() for path in unfinished.rglob("*") if path.is_file()} == before


def test_a_run_of_an_earlier_version_goes_on(unfinished: Path) -> None:
    change(unfinished, kernels=None)
    assert resume(unfinished) == 2


def test_a_training_of_a_step_is_not_taken_from_other_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgeclf.training import kernels

    found = []
    for library in (True, False, True):
        monkeypatch.setattr(kernels, "uses_onednn", lambda library=library: library)
        found.append(StageCache({"source": 1}).key(()))
    assert found[0] == found[2] != found[1]


@pytest.mark.slow
def test_the_command_trains_with_onednn_where_the_processor_has_avx2(tmp_path: Path) -> None:
    if "avx2" not in processor_flags():
        pytest.skip("a processor without AVX2")
    arguments = ["train", "digits", "--model", "cnn", "--epochs", "1", "--out", "run"]
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
    subprocess.run([sys.executable, "-m", "edgeclf", *arguments], cwd=tmp_path, env=environment, check=True)
    assert record(tmp_path / "run")["kernels"] == "oneDNN"
