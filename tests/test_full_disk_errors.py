"""Every way in which a library says that the disk is full ends in one line and exit code 1, without a traceback."""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tflite_models
import typer
from typer.testing import CliRunner

from edgeclf.atomic import atomic_file, is_full_disk, write_bytes
from edgeclf.cli.main import app
from edgeclf.cli.session import Outcome, Session, run
from edgeclf.errors import RunFailedError

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out/x")


def _raised_from(cause: Exception) -> Exception:
    try:
        raise KeyError("while cleaning up") from cause
    except KeyError as error:
        return error


ERRORS = [
    FULL,
    OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
    OSError("Unable to flush file (error message = 'No space left on device')"),  # HDF5
    RuntimeError("logs/events.v2; No space left on device"),  # TensorFlow has classes of its own
    sqlite3.OperationalError("database or disk is full"),
    _raised_from(FULL),
]


@pytest.mark.parametrize("error", ERRORS, ids=[type(error).__name__ + str(i) for i, error in enumerate(ERRORS)])
def test_a_command_ends_in_one_line(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    def work(session: Session) -> Outcome:
        raise error

    with pytest.raises(typer.Exit) as caught:
        run(Session(False, False, False, False, sys.stderr), work, "interrupted")
    written = capsys.readouterr()
    (line,) = written.err.splitlines()
    assert (caught.value.exit_code, written.out) == (1, "")
    assert line.endswith("the disk is full; free some space and run the command again")


def test_other_errors_are_not_called_so() -> None:
    assert not is_full_disk(OSError(errno.EACCES, "permission denied"))
    assert not is_full_disk(RuntimeError("anything else"))
    assert not is_full_disk(RunFailedError("disk.png: cannot be read"))


@pytest.fixture
def full_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever `edgeclf.atomic` opens for writing leads to a device that is always full."""
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    opened = os.fdopen

    def open_full(descriptor: int, mode: str = "r", **settings: object) -> object:
        if "w" not in mode:
            return opened(descriptor, mode, **settings)
        os.close(descriptor)
        return open("/dev/full", mode, **settings)  # type: ignore[call-overload]

    # Only what that module sees: the rest of the process goes on writing.
    monkeypatch.setattr("edgeclf.atomic.os", SimpleNamespace(**{**vars(os), "fdopen": open_full}))


@pytest.mark.parametrize("size", [1, 1_000_000])
@pytest.mark.usefixtures("full_device")
def test_nothing_is_left_of_a_file_that_found_no_room(size: int, tmp_path: Path) -> None:
    with pytest.raises(RunFailedError, match="the disk is full"):
        write_bytes(tmp_path / "x", bytes(size))
    with pytest.raises(RunFailedError, match="the disk is full"), atomic_file(tmp_path / "x.npz") as stream:
        np.savez(stream, values=np.zeros(size))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("full_device")
def test_bench_leaves_no_half_written_output(tmp_path: Path) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(tflite_models.packaged("uint8"))
    arguments = ["bench", str(model), "--runs", "2", "--out", str(tmp_path / "out"), "--quiet"]
    result = CliRunner().invoke(app, arguments, prog_name="edgeclf")
    (line,) = result.stderr.splitlines()
    assert (result.exit_code, result.stdout) == (1, "")
    assert (
        line
        == f"edgeclf: {tmp_path / 'out' / 'bench.json'}: the disk is full; free some space and run the command again"
    )
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
