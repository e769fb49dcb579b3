"""The commands that train ask TensorFlow for its faster kernels, those that measure do not, and the user decides."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgeclf.cli.training_kernels import VARIABLE, use_training_kernels
from edgeclf.measure import machine

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
    monkeypatch.setattr(machine, "processor_flags", lambda: frozenset([flags]))
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    # set first, so that what the function sets is taken back
    monkeypatch.setenv(VARIABLE, given or "")
    if given is None:
        monkeypatch.delenv(VARIABLE)
    use_training_kernels()
    assert os.environ.get(VARIABLE) == found


def test_nothing_is_changed_once_tensorflow_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "processor_flags", lambda: frozenset(["avx2"]))
    monkeypatch.setitem(sys.modules, "tensorflow", machine)
    monkeypatch.delenv(VARIABLE, raising=False)
    use_training_kernels()
    assert VARIABLE not in os.environ
