"""The window, on a display that exists in memory alone (Xvfb)."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from digit_video import write_video
from presence import needed

EDGECLF = Path(sys.executable).with_name("edgeclf")
ASK = "from edgeclf.streaming.outputs.window import window_possible; print(window_possible())"


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """A display of its own, such as `:3`."""
    for tool in ("Xvfb", "xdotool"):
        needed(tool)
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1024x768x24"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as told:
        number = told.readline().strip()
    try:
        yield f":{number}"
    finally:
        server.terminate()
        server.wait()


def possible(**environment: str) -> str:
    plain = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, "-c", ASK]
    return subprocess.run(command, env={**plain, **environment}, capture_output=True, text=True, check=True).stdout


def test_a_window_is_possible_where_a_display_answers(display: str) -> None:
    assert possible(DISPLAY=display) == "True\n"
    assert possible() == "False\n"
    # Named, but gone, as over SSH: OpenCV would end the process.
    assert possible(DISPLAY=":1789") == "False\n"


def test_the_window_shows_up_and_q_closes_it(display: str, tmp_path: Path) -> None:
    write_video(tmp_path / "long.avi", (3,), 3000, side=32)
    environment = {**os.environ, "DISPLAY": display}
    command = [EDGECLF, "live", "digits", "--camera", "long.avi"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().split()[1] == "3"
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            # A window that is just being set up may not take the key yet.
            search = ["xdotool", "search", "--sync", "--name", "^edgeclf: digits", "key", "q"]
            subprocess.run(search, env=environment, capture_output=True, check=False, timeout=60)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=1)
        output, complaint = process.communicate(timeout=60)
    assert process.returncode == 0, complaint
    assert output.splitlines()[0].startswith("window closed: ")
    assert "page:" not in complaint


def test_no_window_and_json_do_without(display: str, tmp_path: Path) -> None:
    write_video(tmp_path / "short.avi", (3,), 3, side=32)
    environment = {**os.environ, "DISPLAY": display}
    command = [EDGECLF, "live", "digits", "--camera", "short.avi", "--every-frame", "--no-window", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1])["summary"]["frames_classified"] == 3
    assert "page:" not in done.stderr
