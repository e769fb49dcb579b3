"""Two commands never work in one folder at the same time, and a command that was killed locks nobody out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgeclf.artifact.folder_lock import lock_folder, lock_folders
from edgeclf.errors import OutputError

ROOT = Path(__file__).resolve().parents[1]
HOLDER = """
import sys
from pathlib import Path
from edgeclf.artifact.folder_lock import lock_folder
with lock_folder(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


def test_a_second_command_is_refused_in_one_line_and_a_killed_one_locks_nobody_out(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = hold(folder)
    message = rf"run: another edgeclf \(process {process.pid}\) works in this folder"
    with pytest.raises(OutputError, match=message), lock_folder(folder):
        pass
    train = [sys.executable, "-m", "edgeclf", "train", "digits", "--out", str(folder)]
    done = subprocess.run(
        train, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"run: another edgeclf (process {process.pid}) works in this folder" in done.stderr.splitlines()[-1]
    process.send_signal(signal.SIGKILL)
    process.wait()
    with lock_folder(folder):
        pass
    assert list(folder.iterdir()) == []


def test_folders_that_were_made_for_the_lock_alone_go_again(tmp_path: Path) -> None:
    with lock_folders([tmp_path / "a" / "b", tmp_path / "a" / "b", tmp_path / "kept"]):
        (tmp_path / "kept" / "file").touch()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "kept"]


def test_a_folder_of_two_names_is_locked_once(tmp_path: Path) -> None:
    (tmp_path / "trials" / "a").mkdir(parents=True)
    (tmp_path / "best").symlink_to(tmp_path / "trials" / "a")
    with lock_folders([tmp_path / "best", tmp_path / "trials" / "a", tmp_path / "trials" / ".." / "best"]):
        (tmp_path / "best" / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with lock_folders([tmp_path / "loop"]):  # whoever writes there says what is wrong
        pass


def test_a_folder_that_cannot_be_locked_is_left_to_those_who_write_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with lock_folder(tmp_path / "file" / "run"):
        pass
    assert (tmp_path / "file").is_file()


def test_a_lock_that_was_removed_by_its_owner_is_not_shared(tmp_path: Path) -> None:
    """Between opening and locking, the owner may end and remove the file: a lock on it would lock nothing."""
    with lock_folder(tmp_path):
        (tmp_path / ".lock").unlink()
        with lock_folder(tmp_path):
            assert (tmp_path / ".lock").exists()
