"""The command line inside this process: TensorFlow, which takes seconds to import, is imported once for all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result


def edgeclf(folder: Path, *arguments: str | Path) -> Result:
    """Run `edgeclf ARGUMENTS` in `folder`; `exit_code`, `stdout` and `stderr` are those of the command."""
    from edgeclf.cli.main import app

    before = Path.cwd()
    os.chdir(folder)
    try:
        return CliRunner().invoke(app, [str(one) for one in arguments], prog_name="edgeclf")
    finally:
        os.chdir(before)


def document(folder: Path, *arguments: str | Path) -> dict[str, Any]:
    """The JSON document that a command prints, alone and on one line."""
    done = edgeclf(folder, *arguments, "--json")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.count("\n") == 1
    return dict(json.loads(done.stdout))
