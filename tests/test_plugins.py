"""Plugins: loaded when a function needs a registry, never for help; a broken one is one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def install(folder: Path, name: str, code: str) -> None:
    """Put a distribution with one plugin module into `folder`, as pip would."""
    (folder / f"{name}.py").write_text(code)
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[edgeclf.plugins]\n{name} = {name}\n")


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One plugin that leaves a trace when it is loaded, and two that cannot be loaded."""
    install(tmp_path, "good_plugin", "with open('loaded', 'a') as trace:\n    trace.write('once ')\n")
    install(tmp_path, "raising_plugin", "raise ValueError('two\\nlines')\n")
    install(tmp_path, "lacking_plugin", "import no_such_package\n")
    return tmp_path


BROKEN = [
    "the plugin 'lacking_plugin' of lacking_plugin 1.0 is left out: "
    "ModuleNotFoundError: No module named 'no_such_package'",
    "the plugin 'raising_plugin' of raising_plugin 1.0 is left out: ValueError: two lines",
]


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["predict", "--help"]])
def test_help_loads_no_plugin(folder: Path, arguments: list[str]) -> None:
    done = python(folder, "-m", "edgeclf", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert not (folder / "loaded").exists()


@pytest.mark.parametrize("command", [["inspect", "cifar10"], ["verify", "cifar10"]])
def test_a_command_loads_every_plugin_once_and_warns_of_broken_ones(folder: Path, command: list[str]) -> None:
    done = python(folder, "-m", "edgeclf", *command)
    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if "plugin" in line] == [f"warning: {line}" for line in BROKEN]
    assert "Traceback" not in done.stderr
    assert (folder / "loaded").read_text() == "once "


def test_a_command_whose_help_lists_what_plugins_add_warns_too(folder: Path) -> None:
    install(folder, "loud_plugin", "print('hello')\n")
    done = python(folder, "-m", "edgeclf", "train", "missing", "--json")
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if "plugin" in line] == [f"warning: {line}" for line in BROKEN]
    assert "unknown folder or data set" in json.loads(done.stdout)["error"]


def test_quiet_and_json_stay_as_they_are(folder: Path) -> None:
    done = python(folder, "-m", "edgeclf", "inspect", "cifar10", "--json", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1


def test_from_python_a_broken_plugin_is_a_warning_and_the_call_works(folder: Path) -> None:
    code = """
import sys, warnings
import edgeclf
assert "good_plugin" not in sys.modules
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(2):
        assert edgeclf.inspect("cifar10").labels
    print(*(f"{warning.category.__name__} {warning.message}" for warning in caught), sep="\\n")
"""
    done = python(folder, "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"RuntimeWarning {line}" for line in BROKEN]
    assert (folder / "loaded").read_text() == "once "


def test_from_python_the_progress_that_is_handed_in_is_warned(folder: Path) -> None:
    code = """
import edgeclf
from edgeclf.progress import SilentProgress
class Lines(SilentProgress):
    def warn(self, line):
        print(line)
try:
    edgeclf.predict("no such model", [], progress=Lines())
except edgeclf.errors.InputError:
    pass
"""
    done = python(folder, "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == BROKEN


def test_public_functions_keep_their_signatures_and_docstrings() -> None:
    import inspect

    from edgeclf import api

    for name in ("train", "compress", "refit", "bench", "compare", "predict", "live", "inspect", "verify"):
        function = getattr(api, name)
        assert function.__name__ == name
        assert function.__doc__
        assert "arguments" not in inspect.signature(function).parameters
