"""What a file that is written atomically looks like when it is there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgeclf import atomic
from edgeclf.atomic import write_text

_WRITE = """
import os, sys
os.umask(int(sys.argv[2], 8))
from edgeclf.atomic import write_text
write_text(sys.argv[1], "x")
print(oct(os.umask(0)))
"""


@pytest.mark.parametrize(("umask", "mode"), [("027", 0o640), ("077", 0o600), ("000", 0o666)])
def test_the_mode_of_a_file_follows_the_umask(tmp_path: Path, umask: str, mode: int) -> None:
    command = [sys.executable, "-c", _WRITE, str(tmp_path / "x"), umask]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (tmp_path / "x").stat().st_mode & 0o777 == mode
    assert done.stdout == f"{oct(int(umask, 8))}\n"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the umask cannot be read without changing it")
def test_the_umask_of_other_threads_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed: list[int] = []
    monkeypatch.setattr(os, "umask", lambda mask: changed.append(mask) or 0o022)
    write_text(tmp_path / "x", "x")
    assert changed == []


def test_where_the_system_does_not_show_the_umask_it_is_found_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "status").write_text("Name:\tpython\n")  # as Linux before 4.7
    before = os.umask(0o027)
    try:
        for place in ("nowhere", "status"):
            monkeypatch.setattr(atomic, "_STATUS", tmp_path / place)
            write_text(tmp_path / f"x-{place}", "x")
            assert (tmp_path / f"x-{place}").stat().st_mode & 0o777 == 0o640
            assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
