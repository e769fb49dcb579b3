"""Streams that are closed, full, or whose reader has left: the exit code of the contract, no traceback, no hang."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgeclf.image import native_stderr

ROOT = Path(__file__).resolve().parents[1]
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line in which `edgeclf` stands for the command; a pipe's exit code is that of the part that failed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    function = f'set -o pipefail; edgeclf() {{ "{sys.executable}" -m edgeclf "$@"; }}; '
    command = ["bash", "-c", function + line]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("line", "code", "stderr"),
    [
        ("edgeclf inspect digits >&-", 0, "edgeclf: stdout is closed; the result is not shown\n"),
        ("edgeclf inspect digits --json >&- 2>&-", 0, ""),
        ("edgeclf inspect digits <&- >/dev/null", 0, ""),
        (
            "edgeclf inspect nothere --json >&-",
            2,
            "edgeclf: unknown model 'nothere'; known: cifar10, cifar10-best, cifar10-fast, cifar10-small, clothing, "
            "digits\n",
        ),
        ("edgeclf inspect digits --json 2>&- | tail -n 1 | wc -l | grep -q 1", 0, ""),
        ("edgeclf inspect digits | true", 1, ""),
        ("edgeclf predict --help | true", 1, ""),
        ("edgeclf --version >&-", 0, ""),
        ("edgeclf nonsense 2>&-", 2, ""),
    ],
)
@pytest.mark.slow
def test_closed_streams(tmp_path: Path, line: str, code: int, stderr: str) -> None:
    done = shell(line, tmp_path)
    assert (done.returncode, done.stderr) == (code, stderr)


@pytest.mark.slow
def test_a_report_goes_to_a_file_of_any_encoding(tmp_path: Path) -> None:
    shown = {}
    for encoding in ("utf-8", "latin-1", "ascii"):
        done = shell(f"PYTHONIOENCODING={encoding} edgeclf inspect cifar10 > {encoding}.txt", tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        shown[encoding] = (tmp_path / f"{encoding}.txt").read_bytes().decode(encoding)
    assert not shown["utf-8"].isascii()
    lines = {encoding: text.splitlines() for encoding, text in shown.items()}
    assert len(lines["utf-8"]) == len(lines["latin-1"]) == len(lines["ascii"]) > 10
    assert lines["ascii"][0] == lines["utf-8"][0]


@pytest.mark.slow
def test_what_belongs_to_a_closed_stderr_does_not_go_to_stdout(tmp_path: Path) -> None:
    done = shell("edgeclf inspect nothere 2>&-; echo code $?", tmp_path)
    assert (done.stdout, done.stderr) == ("code 2\n", "")


def test_what_libraries_say_takes_no_more_than_a_megabyte_however_long_a_command_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(native_stderr, "LOOK_SECONDS", 0.01)
    seen = []
    with native_stderr.bounded_scratch_file() as chatter:
        for _ in range(40):
            os.write(chatter.fileno(), b"Corrupt JPEG data: 1 extraneous bytes\n" * 10_000)
            deadline = time.monotonic() + 10
            while os.fstat(chatter.fileno()).st_size > native_stderr.MOST_BYTES and time.monotonic() < deadline:
                pass
            seen.append(os.fstat(chatter.fileno()).st_size)
        assert max(seen) <= native_stderr.MOST_BYTES
        os.ftruncate(chatter.fileno(), 0)
        os.write(chatter.fileno(), b"the last line\n")
        chatter.seek(0)
        assert chatter.read() == b"the last line\n"


@FULL
@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("edgeclf inspect digits --json >/dev/full", 1, "edgeclf: the disk is full"),
        ("edgeclf --version >/dev/full", 1, "edgeclf: stdout cannot be written (no space left on device)"),
        ("edgeclf inspect nothere 2>/dev/full >&2", 2, ""),
        ("edgeclf verify digits 2>/dev/full", 0, ""),
    ],
)
def test_full_streams(tmp_path: Path, line: str, code: int, words: str) -> None:
    done = shell(line, tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1 if words else 0)
    assert done.stderr.startswith(words)


@pytest.mark.slow
def test_a_log_whose_reader_left_ends_no_work(tmp_path: Path) -> None:
    from digit_video import write_video

    write_video(tmp_path / "digits.avi", (3, 1), 5)
    line = "edgeclf live digits --camera digits.avi --every-frame --no-window --json 2> >(true)"
    done = shell(line, tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout.splitlines()[-1])["summary"]["frames_classified"] == 10
    audited = shell("mkdir a b; edgeclf audit . 2> >(true); echo code $?", tmp_path)
    assert audited.stdout == "code 2\n"


@pytest.mark.parametrize(("code", "loaded", "ended"), [(130, True, ""), (130, False, ""), (0, True, "ended\n")])
def test_an_interrupted_call_does_not_wait_for_tensorflows_threads(code: int, loaded: bool, ended: str) -> None:
    """Those that wait for Python while the interpreter ends abort the process, which then has another exit code."""
    program = f"""
import atexit, sys, types
from edgeclf.cli import main
if {loaded}:
    sys.modules["tensorflow"] = types.ModuleType("tensorflow")
main.run_with_streams = lambda work: {code}
atexit.register(print, "ended")
main.run_process()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, ended), done.stderr
