"""Programs run at a change of the label: what they get, how they fail, and that nothing of them stays."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from live_results import many_descriptors, picture, result, wait_for

from edgeclf.errors import InputError
from edgeclf.streaming.outputs import on_change
from edgeclf.streaming.outputs.on_change import OnChange
from edgeclf.streaming.supervision.problems import Problems

ROOT = Path(__file__).resolve().parents[1]
PIXELS = np.zeros((4, 4, 3), np.uint8)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def problems(told: list[str]) -> Problems:
    return Problems(told.append)


def show(output: OnChange, *labels: str) -> None:
    for number, label in enumerate(labels):
        output.take(result(label, 0.8, number=number), picture(PIXELS, number=number))


def python(code: str, *arguments: object) -> str:
    """A command line that runs `code` in Python."""
    return shlex.join([sys.executable, "-c", code, *map(str, arguments)])


def append_to(path: Path) -> str:
    """A program that appends what it reads to a file."""
    return shlex.join(["tee", "-a", str(path)])


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_each_change_is_an_event_on_stdin(tmp_path, problems, told):
    path = tmp_path / "events"
    output = OnChange(append_to(path), problems)
    for count, (label, changes) in enumerate([("cat", 1), ("cat", 1), ("dog", 2), ("dog", 2), ("Äpfel", 3)]):
        output.take(result(label, 0.8, number=count, raw_label="raw"), picture(PIXELS, number=count))
        wait_for(lambda changes=changes: path.exists() and path.read_bytes().count(b"\n") == changes)
    output.close()
    events = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [(event["label"], event["previous"], event["frame"]) for event in events] == [
        ("cat", None, 0),
        ("dog", "cat", 2),
        ("Äpfel", "dog", 4),
    ]
    assert events[0] == {
        "label": "cat",
        "previous": None,
        "probability": 0.8,
        "time": "2023-11-14T22:13:20+00:00",
        "frame": 0,
        "frame_age_ms": 41.5,
        "raw_label": "raw",
    }
    assert told == []


def test_while_one_runs_the_newest_waits(tmp_path, problems, told):
    path = tmp_path / "events"
    for label in "abcd":
        os.mkfifo(tmp_path / label)
    code = """
import json, sys
event = sys.stdin.read()
open(sys.argv[1] + "/" + json.loads(event)["label"]).read()
open(sys.argv[1] + "/events", "a").write(event)
"""
    output = OnChange(python(code, tmp_path), problems)
    show(output, "a")
    with open(tmp_path / "a", "w"):  # opens when the first program reads it
        show(output, "b", "c", "d")
    with open(tmp_path / "d", "w"):
        pass
    wait_for(lambda: path.exists() and path.read_bytes().count(b"\n") == 2)
    output.close()
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(event["label"], event["previous"]) for event in events] == [("a", None), ("d", "c")]
    assert told == []


def test_the_words_are_split_as_in_a_shell_but_no_shell_runs(tmp_path, problems, told):
    path = tmp_path / "two words; touch x"
    output = OnChange(f"tee '{path}'", problems)
    show(output, "a")
    output.close()
    assert json.loads(path.read_text())["label"] == "a"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    output = OnChange("echo $HOME '*' > /nonexistent/x", problems)
    show(output, "a")
    output.close()
    assert told == []


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "expected a program, got nothing"),
        ("   ", "expected a program, got nothing"),
        ("no-such-program-anywhere --x", "'no-such-program-anywhere' is not found on the PATH"),
        ("/no/such/program", "'/no/such/program' is no program that can be run"),
        ("tee 'open", "cannot be split into words"),
    ],
)
def test_what_cannot_be_run_is_told_at_the_start(problems, command, message):
    with pytest.raises(InputError, match=message):
        OnChange(command, problems)


def test_a_file_that_is_not_executable_is_told_at_the_start(tmp_path, problems):
    (tmp_path / "script").write_text("#!/bin/sh\n")
    with pytest.raises(InputError, match="chmod"):
        OnChange(str(tmp_path / "script"), problems)


def test_a_failure_is_told_with_its_last_line_and_ends_with_the_next_success(tmp_path, problems, told):
    flag = tmp_path / "fail"
    flag.touch()
    code = (
        "import sys, os; print('first\\nbroken: no lamp', file=sys.stderr); sys.exit(3 * os.path.exists(sys.argv[1]))"
    )
    output = OnChange(python(code, flag), problems)
    show(output, "a")
    wait_for(lambda: bool(told))
    assert told == [f"on-change: {sys.executable}: exit code 3 (broken: no lamp)"]
    flag.unlink()
    show(output, "b")
    wait_for(lambda: len(told) == 2)
    assert told[1] == "on-change: works again"
    output.close()


def test_a_program_that_dies_or_reads_nothing(problems, told):
    output = OnChange("true", problems)
    show(output, "a", "b", "c")
    output.close()
    assert told == []
    output = OnChange(python("import os; os.abort()"), problems)
    show(output, "a")
    wait_for(lambda: bool(told))
    output.close()
    assert told == [f"on-change: {sys.executable}: ended by SIGABRT"]


def test_endless_stderr_neither_blocks_nor_grows(problems, told, monkeypatch):
    monkeypatch.setattr(on_change, "TIME_OUT", 1.0)
    output = OnChange("sh -c 'exec yes line >&2'", problems)
    show(output, "a")
    wait_for(lambda: bool(told))
    output.close()
    assert told == ["on-change: sh took more than 1 seconds and was ended"]


def test_of_a_long_stderr_only_the_end_is_kept(problems, told):
    code = "import sys; sys.stderr.write(' '.join(map(str, range(100_000)))); sys.exit(3)"
    output = OnChange(python(code), problems)
    show(output, "a")
    wait_for(lambda: bool(told))
    output.close()
    assert len(told[0]) < 400
    assert "exit code 3 (" in told[0]
    assert "0 1 2 3" not in told[0]


def test_after_the_time_out_the_whole_group_is_killed(tmp_path, problems, told, monkeypatch):
    monkeypatch.setattr(on_change, "TIME_OUT", 1.0)
    pids = tmp_path / "pids"
    # neither it nor its child heeds SIGTERM
    code = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "600"])
open(sys.argv[1] + ".new", "w").write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(600)
"""
    output = OnChange(python(code, pids), problems)
    show(output, "a")
    wait_for(lambda: bool(told))
    assert "took more than 1 seconds and was ended" in told[0]
    for pid in map(int, pids.read_text().split()):
        wait_for(lambda pid=pid: not alive(pid))
    output.close()


def test_what_a_program_leaves_in_its_group_is_ended_with_it(tmp_path, problems, told):
    pid_file = tmp_path / "pid"
    output = OnChange(f"sh -c 'sleep 600 & echo $! > {pid_file}'", problems)
    show(output, "a")
    wait_for(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
    wait_for(lambda: not alive(int(pid_file.read_text())))
    output.close()
    assert told == []


def test_closing_ends_a_running_program_within_two_seconds(tmp_path, problems, told):
    pid_file = tmp_path / "pid"
    output = OnChange(f"sh -c 'echo $$ > {pid_file}; exec sleep 600'", problems)
    show(output, "a")
    wait_for(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
    show(output, "b")
    began = time.monotonic()
    output.close()
    assert time.monotonic() - began < 10  # 2 seconds, on any machine that is not far too busy
    wait_for(lambda: not alive(int(pid_file.read_text())))
    assert told == ["on-change: sh did not run to its end, as edgeclf ends"]


def test_a_signal_without_a_name_is_a_number(problems, told):
    number = signal.SIGRTMIN + 3
    output = OnChange(f"sh -c 'echo gone wrong >&2; kill -{number} $$'", problems)
    show(output, "a")
    output.close()
    assert told == [f"on-change: sh: ended by signal {number} (gone wrong)"]


def test_the_child_has_nothing_of_ours_and_hears_all_signals(tmp_path):
    code = """
import signal, socket, sys
import numpy as np
from live_results import picture, result, wait_for
from edgeclf.streaming.outputs.on_change import OnChange
from edgeclf.streaming.supervision.problems import Problems
from pathlib import Path
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
listening = socket.create_server(("127.0.0.1", 0))
listening.set_inheritable(True)
out = Path(sys.argv[1])
told = []
for command in (f"sh -c 'ls -l /proc/self/fd > {out}; cat; echo spoken'", f"cp /proc/self/status {out}.status"):
    output = OnChange(command, Problems(told.append))
    output.take(result("a"), picture(np.zeros((4, 4, 3), np.uint8)))
    output.close()
assert told == [], told
"""
    out = tmp_path / "out"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}"}
    command = [sys.executable, "-c", code, str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, input="ours")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    listed = out.read_text()
    assert "0 -> pipe:" in listed
    assert "socket:" not in listed
    status = Path(f"{out}.status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(fields["SigBlk"], 16) == 0
    assert int(fields["SigIgn"], 16) & (1 << (signal.SIGPIPE - 1)) == 0
    assert int(fields["SigCgt"], 16) == 0


def test_descriptors_do_not_leak(problems, told):
    output = OnChange("cat", problems)
    show(output, "warm")
    output.close()
    before = len(os.listdir("/proc/self/fd"))
    output = OnChange("cat", problems)
    for number in range(20):
        show(output, str(number))
    output.close()
    assert len(os.listdir("/proc/self/fd")) <= before
    assert told == []


def test_many_open_connections_are_no_hindrance(tmp_path, problems, told):
    with many_descriptors():
        output = OnChange(append_to(tmp_path / "events"), problems)
        show(output, "a")
        output.close()
    assert told == []
    assert (tmp_path / "events").exists()
