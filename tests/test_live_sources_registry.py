"""A camera source from outside the package: one file, one line in the registry, for Python and the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_source import Kept

import edgeclf
from edgeclf.errors import InputError
from edgeclf.streaming.camera.sources.registry import SOURCES, choose_source
from edgeclf.streaming.camera.sources.usb_camera import UsbCameraSource

ROOT = Path(__file__).resolve().parents[1]
BLINKER = '''
"""A camera that blinks: bright and dark pictures in turn."""

import time

import numpy as np

from edgeclf.errors import InputError
from edgeclf.streaming.camera.frame import Shot
from edgeclf.streaming.camera.source import EndOfSourceError
from edgeclf.streaming.camera.sources.registry import SOURCES


class Blinker:
    endless = False

    def __init__(self, count):
        self.name, self._left = f"blinker:{count}", count

    def open(self):
        pass

    def read(self):
        if not self._left:
            raise EndOfSourceError
        self._left -= 1
        return Shot(np.full((48, 64, 3), 255 * (self._left % 2), np.uint8), time.monotonic())

    def close(self):
        pass


def open_blinker(request):
    if request.size is not None:
        raise InputError("--size is not for blinkers")
    return Blinker(int(request.camera.partition(":")[2]))


SOURCES[r"blinker:\\d+"] = open_blinker
'''


@pytest.fixture
def blinker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the new file, which is imported."""
    before = dict(SOURCES)
    (tmp_path / "blinker.py").write_text(BLINKER)
    monkeypatch.syspath_prepend(tmp_path)
    __import__("blinker")
    yield tmp_path
    sys.modules.pop("blinker")
    SOURCES.clear()
    SOURCES.update(before)


def test_a_source_from_outside_is_classified_from_python(blinker: Path) -> None:
    kept = Kept()
    summary = edgeclf.live("digits", camera="blinker:6", every_frame=True, window=False, outputs=[kept])
    assert (summary.frames_classified, summary.ended) == (6, "end of source")
    assert [result.frame for result in kept.results] == list(range(6))
    with pytest.raises(InputError, match="--size is not for blinkers"):
        choose_source("blinker:6", size=(64, 48))


def test_and_from_the_command_line(blinker: Path) -> None:
    code = "import sys, blinker; from edgeclf.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "live", "digits", "--camera", "blinker:4", "--every-frame", "--json"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(blinker)])}
    done = subprocess.run([*command, "--no-window"], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["frame"] for line in lines[:-1]] == [0, 1, 2, 3]
    assert lines[-1]["summary"]["frames_classified"] == 4


@pytest.mark.parametrize("camera", ["rtsp://host/stream", "videotestsrc ! videoconvert"])
def test_a_rate_is_refused_where_there_is_none_to_ask_for(camera: str) -> None:
    with pytest.raises(InputError, match="--rate is asked of cameras and folders of images"):
        choose_source(camera, rate=5)


def test_a_bracket_in_a_password_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="this is no address") as caught:
        choose_source("rtsp://admin:pa[ss@192.168.1.5/stream")
    assert "pa[ss" not in str(caught.value)


def test_the_last_entry_that_matches_takes_precedence_and_may_decline(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def decline(request: object) -> None:
        asked.append(request.camera)  # type: ignore[attr-defined]

    monkeypatch.setitem(SOURCES, r"\d+", decline)
    assert isinstance(choose_source("93"), UsbCameraSource)
    assert asked == ["93"]
