"""The board's sensors, read from trees like those of real boards."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeclf.measure.board import BoardReading, read_board, read_temperature
from edgeclf.streaming.loop.state import BoardState, LiveState
from edgeclf.streaming.supervision.board_watch import BoardWatch
from edgeclf.streaming.supervision.problems import Problems

PI_4 = "sys/devices/platform/soc/soc:firmware/get_throttled"
PI_5 = "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"
TEMPERATURE = "sys/class/thermal/thermal_zone0/temp"
CLOCK = "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"
NOTHING = BoardReading(None, None, None, None)


@pytest.fixture(autouse=True)
def _no_vcgencmd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def board(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def vcgencmd(tmp_path: Path, script: str) -> None:
    program = tmp_path / "bin" / "vcgencmd"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.mark.parametrize("firmware", [PI_4, PI_5])
def test_a_raspberry_pi_tells_all(tmp_path: Path, firmware: str) -> None:
    root = board(tmp_path, {TEMPERATURE: "61835\n", CLOCK: "1500000\n", firmware: "50005\n"})
    assert read_board(root) == BoardReading(
        temperature_celsius=61.835,
        clock_mhz=1500,
        throttled=("under-voltage", "throttled"),
        throttled_since_start=("under-voltage", "throttled"),
    )


@pytest.mark.parametrize(
    ("word", "now", "since_start"),
    [
        ("0", (), ()),
        ("1", ("under-voltage",), ()),
        ("2", ("frequency capped",), ()),
        ("4", ("throttled",), ()),
        ("8", ("soft temperature limit",), ()),
        ("10000", (), ("under-voltage",)),
        ("20000", (), ("frequency capped",)),
        ("40000", (), ("throttled",)),
        ("80000", (), ("soft temperature limit",)),
        ("0xe0008\n", ("soft temperature limit",), ("frequency capped", "throttled", "soft temperature limit")),
        ("fff0fff0", (), ()),
    ],
)
def test_each_bit_has_its_name(tmp_path: Path, word: str, now: tuple[str, ...], since_start: tuple[str, ...]) -> None:
    reading = read_board(board(tmp_path, {PI_4: word}))
    assert (reading.throttled, reading.throttled_since_start) == (now, since_start)


def test_vcgencmd_is_asked_where_the_kernel_does_not_tell(tmp_path: Path) -> None:
    vcgencmd(tmp_path, '[ "$1" = get_throttled ] && echo throttled=0x20002')
    reading = read_board(tmp_path)
    assert (reading.throttled, reading.throttled_since_start) == (("frequency capped",), ("frequency capped",))
    assert read_board(board(tmp_path, {PI_4: "0\n"})).throttled == ()


@pytest.mark.parametrize(
    "script",
    [
        "exit 1",
        "echo throttled=0x20002; exit 255",
        "echo 'VCHI initialization failed'",
        "echo throttled=",
        "printf '\\377'",
    ],
)
def test_a_vcgencmd_that_does_not_work_tells_nothing(tmp_path: Path, script: str) -> None:
    vcgencmd(tmp_path, script)
    assert read_board(tmp_path) == NOTHING


def test_no_sensor_is_no_trouble(tmp_path: Path) -> None:
    reading = read_board(tmp_path)
    assert reading == NOTHING
    assert not reading.has_sensors()
    assert read_board(tmp_path / "missing") == NOTHING


@pytest.mark.parametrize("content", ["", "hot\n", "1e3", "12.5", "٣", "\0\0", "0x10"])
def test_odd_content_is_no_figure(tmp_path: Path, content: str) -> None:
    reading = read_board(board(tmp_path, {TEMPERATURE: content, CLOCK: content}))
    assert reading == NOTHING
    assert read_board(board(tmp_path, {PI_4: "throttled"})).throttled is None


def test_a_folder_or_a_closed_file_in_their_place_is_no_figure(tmp_path: Path) -> None:
    for name in (TEMPERATURE, CLOCK, PI_4):
        (tmp_path / name).mkdir(parents=True)
    assert read_board(tmp_path) == NOTHING


def test_frost_has_a_sign(tmp_path: Path) -> None:
    assert read_temperature(board(tmp_path, {TEMPERATURE: "-12500\n"})) == -12.5


def test_a_reading_survives_json() -> None:
    reading = BoardReading(48.3, 1800.0, (), ("under-voltage",))
    assert BoardReading.from_json(reading.to_json()) == reading


def test_this_machine_answers() -> None:
    assert isinstance(read_board(), BoardReading)


class Watched(LiveState):
    """A state that reports when the board was set."""

    def __init__(self) -> None:
        super().__init__("digits", ["0"], "replay", Problems())
        self.boards: list[BoardState] = []

    def set_board(self, board: BoardState) -> None:
        super().set_board(board)
        self.boards.append(board)


def wait(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    pause, deadline = threading.Event(), time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        pause.wait(0.005)


def test_the_watch_shows_each_reading(tmp_path: Path) -> None:
    root = board(tmp_path, {TEMPERATURE: "50000", CLOCK: "1800000", PI_4: "0"})
    state = Watched()
    watch = BoardWatch(state, every=0.005, root=root)
    watch.start()
    assert state.boards[0] == BoardState(50.0, 1800.0, ())
    board(root, {TEMPERATURE: "82100", CLOCK: "600000", PI_4: "80008"})
    hot = BoardState(82.1, 600.0, ("soft temperature limit",))
    wait(lambda: hot in state.boards)
    assert state.to_dict()["board"] == {
        "temperature_celsius": 82.1,
        "clock_mhz": 600.0,
        "throttled": ["soft temperature limit"],
    }
    (root / PI_4).unlink()  # nothing is known, which is not nothing
    wait(lambda: BoardState(82.1, 600.0, None) in state.boards)
    watch.close()
    assert "edgeclf board" not in {thread.name for thread in threading.enumerate()}


def test_the_watch_does_nothing_where_the_board_tells_nothing(tmp_path: Path) -> None:
    state = Watched()
    watch = BoardWatch(state, every=0.005, root=tmp_path)
    watch.start()
    assert "edgeclf board" not in {thread.name for thread in threading.enumerate()}
    watch.close()
    assert state.boards == []
    assert state.to_dict()["board"] is None


def test_a_watch_that_was_never_started_closes(tmp_path: Path) -> None:
    BoardWatch(Watched(), root=tmp_path).close()


def test_readings_are_cheap(tmp_path: Path) -> None:
    root = board(tmp_path, {TEMPERATURE: "50000", CLOCK: "1800000", PI_4: "0"})
    before = len(os.listdir("/proc/self/fd"))
    began = time.process_time()
    for _ in range(200):
        read_board(root)
    # A millisecond each would be 0.2 s of this process's own time; it takes about 30 ms.
    assert time.process_time() - began < 1.0
    assert len(os.listdir("/proc/self/fd")) == before
