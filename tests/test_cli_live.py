"""`edgeclf live` from end to end through the installed command: a rendered video of digits, and the zoo's model."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from digit_video import RATE, SHOWN, digit, write_video
from live_results import picture, wait_for
from live_results import result as a_result
from live_servers import MjpegServer
from rich.console import Console

from edgeclf import Classifier
from edgeclf.cli.live_lines import ChangeLines, status_line
from edgeclf.streaming.camera.source import SourceState
from edgeclf.streaming.loop.state import LiveState
from edgeclf.streaming.outputs.json_lines import has_room
from edgeclf.streaming.supervision.problems import Problems

EDGECLF = Path(sys.executable).with_name("edgeclf")
KEYS = {"frame", "time", "label", "probability", "raw_label", "frame_age_ms", "inference_ms", "fps"}
HEADLESS = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}


def live(folder: Path, *arguments: str | Path, **more: object) -> subprocess.CompletedProcess[str]:
    command = [EDGECLF, "live", *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=HEADLESS, capture_output=True, text=True, check=False, timeout=120, **more
    )  # type: ignore[call-overload, no-any-return]


def _heard() -> None:
    """What runs the tests may have been started with nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def start(folder: Path, *arguments: str | Path, **streams: int) -> subprocess.Popen[str]:
    command = [EDGECLF, "live", *map(str, arguments)]
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.Popen(
        command, cwd=folder, env={**HEADLESS, "TERM": "xterm"}, text=True, preexec_fn=_heard, **piped
    )


def documents(stdout: str) -> tuple[list[dict[str, object]], dict[str, object]]:
    lines = [json.loads(line) for line in stdout.splitlines()]
    assert list(lines[-1]) == ["summary"], lines[-1]
    return lines[:-1], lines[-1]["summary"]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    write_video(tmp_path / "digits.avi")
    return tmp_path / "digits.avi"


def test_every_digit_of_a_video_is_named(video: Path, tmp_path: Path) -> None:
    truth = [str(number) for number in SHOWN for _ in range(10)]
    done = live(tmp_path, "digits", "--camera", video, "--every-frame", "--json", "--smoothing", "0")
    assert done.returncode == 0, done.stderr
    results, summary = documents(done.stdout)
    assert [result["raw_label"] for result in results] == truth
    assert [result["label"] for result in results] == truth
    assert [result["frame"] for result in results] == list(range(80))
    assert all(set(result) >= KEYS for result in results)
    assert summary["frames_captured"] == summary["frames_classified"] == 80
    assert summary["frames_dropped"] == summary["reconnects"] == 0
    assert set(summary["frame_age_ms"]) == {"median", "p95", "max"}  # type: ignore[call-overload]


def test_frames_get_the_probabilities_that_predict_gives(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    for number in range(10):
        cv2.imwrite(str(tmp_path / "scans" / f"{number}.png"), digit(number))
    done = live(tmp_path, "digits", "--camera", "scans", "--every-frame", "--json", "--smoothing", "0")
    results, _ = documents(done.stdout)
    classifier = Classifier("digits")
    for number, result in enumerate(results):
        best = classifier.predict(tmp_path / "scans" / f"{number}.png").labels[0]
        assert (result["raw_label"], result["raw_probability"]) == (best.label, round(best.probability, 4))


def test_a_video_plays_at_its_own_rate_and_the_label_follows(video: Path, tmp_path: Path) -> None:
    done = live(tmp_path, "digits", "--camera", video, "--json", "--smoothing", "0.02", "--threads", "1")
    assert done.returncode == 0, done.stderr
    results, summary = documents(done.stdout)
    assert summary["seconds"] >= 79 / RATE - 0.1  # type: ignore[operator]
    assert summary["frames_captured"] == 80
    assert results[-1]["label"] == "6"
    frames = [int(result["frame"]) for result in results]  # type: ignore[call-overload]
    assert frames == sorted(set(frames))


def test_changes_are_written_as_lines_where_there_is_no_terminal(video: Path, tmp_path: Path) -> None:
    arguments = ("--every-frame", "--smoothing", "0", "--web", "0", "--no-stay", "--record", "seen.avi")
    done = live(tmp_path, "digits", "--camera", video, *arguments, "--collect", "my frames")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[1] for line in lines[: len(SHOWN)]] == [str(number) for number in SHOWN]
    assert lines[len(SHOWN)].startswith("end of source: 80 results in ")
    assert "page: http://127.0.0.1:" in done.stderr
    assert "recording: seen.avi" in lines
    assert lines[-1].startswith("collected: ")
    assert lines[-1].endswith("(edgeclf collected 'my frames' sorts them)")


def test_with_web_the_page_outlives_the_video_and_ctrl_c_ends_it_with_0(video: Path, tmp_path: Path) -> None:
    process = start(tmp_path, "digits", "--camera", video, "--every-frame", "--web", "0")
    assert process.stdout is not None
    try:
        assert any(line.startswith("end of source: 80 results") for line in process.stdout)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        output, complaint = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, "end of source" in output) == (0, False), complaint
    assert (
        "digits.avi has ended; the page stays up until Ctrl-C or SIGTERM (--no-stay: ends now): http://127.0.0.1:"
        in complaint
    )


def test_the_region_is_what_counts(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    both = np.concatenate([digit(3), digit(7)], axis=1)
    cv2.imwrite(str(tmp_path / "scans" / "both.png"), cv2.rotate(both, cv2.ROTATE_90_COUNTERCLOCKWISE))
    arguments = ["digits", "--camera", "scans", "--every-frame", "--json", "--rotate", "90", "--smoothing", "0"]
    left = documents(live(tmp_path, *arguments, "--roi", "0,0,0.5,1").stdout)[0]
    right = documents(live(tmp_path, *arguments, "--roi", "160,0,160,160").stdout)[0]
    assert (left[0]["raw_label"], right[0]["raw_label"]) == ("3", "7")


def test_what_is_seen_is_recorded(video: Path, tmp_path: Path) -> None:
    arguments = ["digits", "--camera", video, "--every-frame", "--json", "--record", "seen.avi"]
    done = live(tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    seen = cv2.VideoCapture(str(tmp_path / "seen.avi"))
    assert int(seen.get(cv2.CAP_PROP_FRAME_COUNT)) == 80
    assert seen.get(cv2.CAP_PROP_FPS) == pytest.approx(RATE)
    again = live(tmp_path, *arguments)
    assert again.returncode == 2
    assert "seen.avi" in again.stderr
    assert live(tmp_path, *arguments, "--overwrite").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_it_with_the_summary_as_last_line(number: signal.Signals, tmp_path: Path) -> None:
    write_video(tmp_path / "long.avi", (3,), 3000, side=32)
    process = start(tmp_path, "digits", "--camera", "long.avi", "--json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["label"] == "3"
    process.send_signal(number)
    rest, complaint = process.communicate(timeout=30)
    assert process.returncode == 130, complaint
    _, summary = documents(rest)
    assert summary["ended"] == "interrupted"
    assert "Traceback" not in complaint


def test_a_reader_that_leaves_ends_it_quietly(tmp_path: Path) -> None:
    write_video(tmp_path / "long.avi", (3,), 3000, side=32)
    process = start(tmp_path, "digits", "--camera", "long.avi", "--json", "--quiet")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=30) == 1
    assert process.stderr is not None
    assert process.stderr.read() == ""


@pytest.mark.parametrize("arguments", [["--json"], ["--json", "--every-frame"], ["--smoothing", "0"]])
def test_who_never_reads_cannot_keep_it_from_stopping(arguments: list[str], tmp_path: Path) -> None:
    write_video(tmp_path / "long.avi", SHOWN, 400, side=32)
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    process = start(tmp_path, "digits", "--camera", "long.avi", *arguments, stdout=writing)
    try:
        with os.fdopen(writing, "w") as pipe, os.fdopen(reading):
            wait_for(lambda: not has_room(pipe, 0), 60)
            process.send_signal(signal.SIGTERM)
            _, complaint = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130, complaint
    assert "edgeclf: nobody reads stdout; the summary is left out" in complaint
    assert "Traceback" not in complaint


def test_changes_wait_for_a_reader_who_is_behind_and_hold_up_nothing() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    shown = picture(np.zeros((4, 4, 3), np.uint8))
    with os.fdopen(reading) as reader, os.fdopen(writing, "w") as stream:
        lines = ChangeLines(stream)
        for label in ("cat", "dog", "cow"):  # the pipe takes one
            lines.take(a_result(label), shown)
        assert reader.readline().split()[1] == "cat"
        lines.take(a_result("cow"), shown)  # no news, but not told so far
        assert reader.readline().split()[1] == "cow"
        stop = threading.Event()
        patient = ChangeLines(stream, stop)
        patient.take(a_result("cat"), shown)
        waiting = threading.Thread(target=lambda: patient.take(a_result("dog"), shown), daemon=True)
        waiting.start()
        assert reader.readline().split()[1] == "cat"
        assert reader.readline().split()[1] == "dog"
        waiting.join(20)
        patient.take(a_result("cow"), shown)
        stop.set()
        patient.take(a_result("dog"), shown)  # returns, though nobody reads


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
@pytest.mark.parametrize("label", ["3", "猫" * 30, "Cardigan, Cardigan Welsh corgi " * 4])
def test_the_line_in_a_terminal_is_one_line(width: int, label: str) -> None:
    shown = LiveState("digits", (label,), "a camera with a name that is longer than the terminal", Problems())
    console = Console(file=io.StringIO(), width=width, force_terminal=True, markup=False)
    assert len(console.render_lines(status_line(shown, width))) == 1
    shown.set_source(SourceState("0", "running"))
    shown.publish(a_result(label), picture(np.zeros((4, 4, 3), np.uint8)), 1, 0)
    line = status_line(shown, width)
    assert len(console.render_lines(line)) == 1
    if width >= 60:
        assert line.plain.rstrip().endswith("ms old")
        assert line.cell_len <= width
    assert ("█" in line.plain) == (width >= 80)


def test_a_stalled_camera_is_told_above_the_line_that_is_rewritten(tmp_path: Path) -> None:
    controlling, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 70, 0, 0))
    seen, deadline = "", time.monotonic() + 60
    with MjpegServer([digit(3)]) as server:
        process = start(tmp_path, "digits", "--camera", server.address, stdin=terminal, stderr=terminal)
        steps = [
            ("ms old", server.paused.set),
            ("warning: ", server.paused.clear),
            (": frames again", lambda: process.send_signal(signal.SIGINT)),
        ]
        try:
            os.close(terminal)
            with contextlib.suppress(OSError):  # once the other end is closed
                while True:
                    assert time.monotonic() < deadline, seen
                    seen += os.read(controlling, 4096).decode(errors="replace")
                    if steps and steps[0][0] in seen:
                        steps.pop(0)[1]()
            output, _ = process.communicate(timeout=30)
        finally:
            process.kill()
            os.close(controlling)
    assert process.returncode == 130, seen
    assert output.startswith("interrupted: ")
    beginning = r"(?:\n|\x1b\[2K)(?:\x1b\[[0-9;]*m)*"  # of a line, or of one that was wiped
    assert re.search(rf"{beginning}warning: http://[\w.:/]*: no frame for 2 s", seen), seen
    assert re.search(rf"{beginning}http://[\w.:/]*: frames again", seen), seen


def bad_inputs() -> Iterator[tuple[list[str], str]]:
    yield ["digits", "--camera", "nothere.mp4"], "'nothere.mp4': no such file or folder"
    yield ["digits", "--camera", "7"], "/dev/video7: no such camera"
    yield ["digts", "--camera", "digits.avi"], "did you mean 'digits'?"
    yield ["digits", "--camera", "digits.avi", "--rotate", "45"], "rotate must be one of 0, 90, 180, 270, got 45"
    yield ["digits", "--camera", "digits.avi", "--roi", "1,2"], "--roi takes X,Y,WIDTH,HEIGHT"
    yield ["digits", "--camera", "digits.avi", "--size", "big"], "--size takes WIDTHxHEIGHT such as 640x480, got 'big'"
    yield ["digits", "--camera", "digits.avi", "--size", "64x48"], "--size is asked of cameras; digits.avi has a size"
    yield ["digits", "--camera", "digits.avi", "--rate", "5"], "--rate is asked of cameras and folders of images"
    yield ["digits", "--camera", "digits.avi", "--threads", "many"], "--threads takes a positive whole number or auto"
    yield ["digits", "--camera", "digits.avi", "--threshold", "2"], "threshold must be between 0 and 1, got 2"
    yield ["digits", "--camera", "digits.avi", "--max-fps", "0"], "max-fps must be above 0, got 0"
    yield ["digits", "--camera", "digits.avi", "--duration", "-1"], "duration must be above 0, got -1"
    yield ["digits", "--camera", "digits.avi", "--collect-quota", "lots"], "--collect-quota takes a size such as 500MB"
    yield ["digits", "--camera", "digits.avi", "--web", "a:b:c"], "an IPv6 address stands in brackets"
    yield ["digits", "--camera", "digits.avi", "--token", "x" * 20], "give --web [HOST:]PORT as well"
    yield ["digits", "--camera", "digits.avi", "--stay"], "--stay keeps the page up: give --web [HOST:]PORT as well"
    yield ["digits", "--camera", "digits.avi", "--overwrite"], "--overwrite is for a recording: give --record FILE as"
    yield ["digits", "--camera", "digits.avi", "--collect-quota", "1GB"], "give --collect DIR as well"
    yield ["digits", "--camera", "digits.avi", "--collect", ""], "a folder (--collect), got an empty text"
    yield ["digits", "--camera", "digits.avi", "--heatmap"], "--heatmap draws over the window, the page and the recor"
    yield ["digits", "--camera", "digits.avi", "--threads", "99999999999"], "threads must be from 1 to 256"
    yield ["digits", "--camera", "digits.avi", "--roi", "0,0,161,160"], "beyond the picture of 160 x 160 pixels"
    yield ["digits", "--camera", "digits.avi", "--web", "0.0.0.0:0", "--token", "short"], "at least 16 characters"
    yield ["digits", "--camera", "digits.avi", "--web", "0.0.0.0:0"], "the generated one would be shown nowhere"
    yield (
        ["digits", "--camera", "digits.avi", "--record", "seen.gif"],
        "--record seen.gif: expected a name that ends in",
    )
    yield ["digits", "--camera", "http://127.0.0.1:9/x", "--every-frame"], "--every-frame is for files"
    yield ["digits", "--camera", "broken.mp4"], "broken.mp4"
    yield ["digits", "--camera", "empty"], "empty"


@pytest.mark.parametrize(("arguments", "words"), list(bad_inputs()))
def test_bad_input_gives_one_line_and_exit_code_2(
    arguments: list[str], words: str, video: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(1000))
    (tmp_path / "empty").mkdir()
    done = live(tmp_path, *arguments, "--json", "--quiet")
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert json.loads(done.stdout)["exit_code"] == 2


def test_without_the_extra_the_page_names_the_install_command(video: Path, tmp_path: Path) -> None:
    (tmp_path / "none" / "starlette").mkdir(parents=True)
    (tmp_path / "none" / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name in ('starlette', 'uvicorn') else find(name, *rest)\n"
    )
    environment = {**HEADLESS, "PYTHONPATH": str(tmp_path / "none")}
    command = [EDGECLF, "live", "digits", "--camera", video, "--every-frame"]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == 0
    assert 'pip install "edgeclf[web]"' in told.stderr
    asked = subprocess.run([*command, "--web", "0"], env=environment, capture_output=True, text=True, check=False)
    assert asked.returncode == 2
    assert 'pip install "edgeclf[web]"' in asked.stderr
