"""What a case of `tools/strangers.py` is, and how it runs the command line."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CASES: list[Case] = []


@dataclass(frozen=True)
class Finding:
    """What a case found.

    Attributes:
        expected: a few words or a figure, known without edgeclf.
        got: the same of edgeclf.
        right: whether they agree; where they do not, the row is red and the exit code 1. None: not tried here, for want
            of what `got` names.
    """

    expected: str
    got: str
    right: bool | None


@dataclass(frozen=True)
class Case:
    """One situation: its subject, a title of a few words, the function that tries it in an empty folder, its module.

    `slow`: it takes long and is tried with `--all` alone; a shorter case or a test tries what is behind it every time.
    """

    subject: str
    title: str
    run: Callable[[Path], Finding]
    module: str
    slow: bool = False


@dataclass(frozen=True)
class Finished:
    """A finished command: exit code and what it wrote."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """The JSON document on stdout."""
        return json.loads(self.stdout)


def case(
    subject: str, title: str, *, slow: bool = False
) -> Callable[[Callable[[Path], Finding]], Callable[[Path], Finding]]:
    """Register a function `(empty folder) -> Finding` as a case."""

    def register(run: Callable[[Path], Finding]) -> Callable[[Path], Finding]:
        CASES.append(Case(subject, title, run, getattr(run, "func", run).__module__, slow))
        return run

    return register


def run_command(*arguments: str | Path, folder: Path | None = None) -> Finished:
    """Run `edgeclf ARGUMENTS` in this process, which saves the import of TensorFlow, and catch what it writes."""
    from typer.main import get_command

    from edgeclf.cli.main import app

    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr), _inside(folder):
        code = get_command(app).main([str(one) for one in arguments], prog_name="edgeclf", standalone_mode=False)
    return Finished(code if isinstance(code, int) else 0, stdout.getvalue(), stderr.getvalue())


def run_process(*arguments: str | Path, folder: Path | None = None, timeout: float = 120) -> Finished:
    """Run `edgeclf ARGUMENTS` in a process of its own: for what ends a process, or must not import TensorFlow."""
    command: Sequence[str] = [sys.executable, "-m", "edgeclf", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=timeout, check=False)
    texts = (stream.decode("utf-8", "surrogateescape") for stream in (done.stdout, done.stderr))
    return Finished(done.returncode, *texts)


@contextlib.contextmanager
def _inside(folder: Path | None) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder or before)
    try:
        yield
    finally:
        os.chdir(before)
