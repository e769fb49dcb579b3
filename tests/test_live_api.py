"""`edgeclf.live` as a function, and the parts of a run that are not the loop."""

from __future__ import annotations

import contextlib
import io
import json
import os
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import tflite_models
from digit_video import write_video
from scripted_source import Kept

import edgeclf
from edgeclf.artifact import model_file
from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.model_file import ModelFile
from edgeclf.errors import EdgeclfError, InputError, UnknownNameError
from edgeclf.streaming.camera.frame import Frame
from edgeclf.streaming.camera.sources.video_file import VideoFileSource
from edgeclf.streaming.loop import run, state
from edgeclf.streaming.loop.result import Result
from edgeclf.streaming.loop.settings import LiveSettings
from edgeclf.streaming.loop.state import LiveState
from edgeclf.streaming.outputs import json_lines, window
from edgeclf.streaming.outputs.json_lines import JsonLines
from edgeclf.streaming.supervision.background import Background
from edgeclf.streaming.supervision.closing import Closing
from edgeclf.streaming.supervision.problems import Problems
from edgeclf.streaming.supervision.threads import choose_count, choose_threads, list_thread_counts

RESULT = Result(7, "2026-01-01T00:00:00+00:00", "cat", 0.91234, "dog", 0.5, 12.0, 3.0, 30.0, ())


@pytest.fixture(autouse=True)
def _earlier_threads() -> None:
    """Forget the threads of other tests, whose cameras hang on purpose."""
    EARLIER.update(threading.enumerate())


EARLIER: set[threading.Thread] = set()


def live_threads() -> list[str]:
    started = (thread for thread in threading.enumerate() if thread not in EARLIER)
    return [thread.name for thread in started if thread.name.startswith("edgeclf")]


def test_a_video_is_classified_by_the_function(tmp_path: Path) -> None:
    truth = write_video(tmp_path / "digits.avi", (3, 7), 5)
    kept = Kept()
    summary = edgeclf.live(
        "digits", camera=str(tmp_path / "digits.avi"), every_frame=True, window=False, outputs=[kept]
    )
    assert [result.raw_label for result in kept.results] == [str(number) for number in truth]
    assert summary.frames_classified == 10
    assert summary.ended == "end of source"
    assert type(summary).from_json(summary.to_json()) == summary
    assert not live_threads()
    assert kept.closed


def test_photos_of_a_folder_are_not_smoothed_into_each_other(tmp_path: Path) -> None:
    images, labels = tflite_models.digits()
    chosen = [int((labels == digit).argmax()) for digit in range(10)]
    (tmp_path / "scans").mkdir()
    for number, row in enumerate(chosen):
        cv2.imwrite(str(tmp_path / "scans" / f"{number}.png"), images[row])
    kept = Kept()
    edgeclf.live("digits", camera=str(tmp_path / "scans"), every_frame=True, window=False, outputs=[kept])
    assert all(result.label in (result.raw_label, "unknown") for result in kept.results)
    assert len({result.label for result in kept.results} - {"unknown"}) >= 5


def test_a_video_is_smoothed_over_its_own_time(tmp_path: Path) -> None:
    write_video(tmp_path / "digits.avi", (3,), 10)
    source = VideoFileSource(tmp_path / "digits.avi", every_frame=True)
    source.open()
    rate = cv2.VideoCapture(str(tmp_path / "digits.avi")).get(cv2.CAP_PROP_FPS)
    assert [source.read().position for _ in range(10)] == pytest.approx([number / rate for number in range(10)])
    source.close()
    # a source that knows no position has 30 frames a second
    frame = Frame(60, np.zeros((2, 2, 3), np.uint8), 7.5, 0.0)
    assert (frame.moment(paced=True), frame.moment(paced=False)) == (7.5, 2.0)


def test_an_event_stops_it(tmp_path: Path) -> None:
    write_video(tmp_path / "long.avi", (3,), 600, side=32)
    stop, kept = threading.Event(), Kept()

    class StopAtTheFirst(Kept):
        def take(self, result: object, picture: object) -> None:
            stop.set()

    watching = [kept, StopAtTheFirst()]
    summary = edgeclf.live("digits", camera=str(tmp_path / "long.avi"), window=False, outputs=watching, stop=stop)
    assert summary.ended == "interrupted"
    assert len(kept.results) == 1


def test_a_window_that_cannot_be_opened_ends_the_loop_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "long.avi", (3,), 600, side=32)

    def refuse(*_: object) -> None:
        raise cv2.error("no window")

    monkeypatch.setattr(run, "window_possible", lambda stop: True)
    monkeypatch.setattr(cv2, "namedWindow", refuse)
    kept = Kept()
    with pytest.raises(cv2.error, match="no window"):
        edgeclf.live("digits", camera=str(tmp_path / "long.avi"), outputs=[kept])
    assert not live_threads()
    assert kept.closed


def test_a_reader_that_leaves_ends_the_run_with_an_error_of_the_tree(tmp_path: Path) -> None:
    write_video(tmp_path / "long.avi", (3,), 600, side=32)
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    with pytest.raises(EdgeclfError, match="the reader of the JSON lines closed its end"):
        edgeclf.live("digits", camera=str(tmp_path / "long.avi"), window=False, json_lines=stream)
    with contextlib.suppress(BrokenPipeError):
        stream.close()
    assert not live_threads()


def test_outputs_are_closed_where_nothing_came_of_it() -> None:
    kept = Kept()
    with pytest.raises(InputError, match="no such file"):
        edgeclf.live("digits", camera="nothere.mp4", outputs=[kept])
    assert kept.closed


def test_all_is_released_at_once_and_a_failure_is_told() -> None:
    together = threading.Barrier(3)

    def fail() -> None:
        together.wait(20)
        raise OSError("the camera is stuck")

    def work(error: Exception | None) -> None:
        with Closing() as closing:
            closing.add(fail)
            closing.add(lambda: together.wait(20) and None)
            closing.add(lambda: together.wait(20) and None)
            if error is not None:
                raise error

    with pytest.raises(OSError, match="stuck"):
        work(None)
    with pytest.raises(KeyError, match="the first one"):
        work(KeyError("the first one"))


def test_a_token_that_nobody_would_be_told_is_no_token(tmp_path: Path) -> None:
    write_video(tmp_path / "digits.avi", (3,), 5)
    asked = {"camera": tmp_path / "digits.avi", "web": "0.0.0.0:0", "window": False}
    with pytest.raises(InputError, match="shown nowhere"):
        edgeclf.live("digits", **asked)
    assert edgeclf.live("digits", **asked, token="a token of my own".replace(" ", "-")).ended == "end of source"


def test_a_display_that_does_not_answer_does_not_delay_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":1789")
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "    GUI:    QT5\n")
    monkeypatch.setattr(window, "_TRY", "import time; time.sleep(600)")
    monkeypatch.setattr(window, "_TRY_SECONDS", 600.0)
    stop, answers = threading.Event(), []
    thread = threading.Thread(target=lambda: answers.append(window.window_possible(stop)), daemon=True)
    thread.start()
    stop.set()
    thread.join(20)
    assert answers == [False]


def test_the_time_since_the_start_is_right_though_the_clock_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = LiveState("digits", ("3",), "0", Problems())
    monkeypatch.setattr(state.time, "time", lambda: 0.0)
    assert 0 <= shown.to_dict()["uptime_seconds"] < 60


def test_settings_are_checked_by_name_and_value() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'camera'"):
        edgeclf.live("digits", camra="0")
    with pytest.raises(InputError, match="rate must be between 0 and 1000"):
        LiveSettings(rate=-1)
    with pytest.raises(InputError, match="size must be WIDTHxHEIGHT"):
        LiveSettings(size=(0, 480))
    assert LiveSettings(camera=0, web=8765) == LiveSettings(camera="0", web="8765")  # type: ignore[arg-type]
    assert LiveSettings(camera=Path("x.mp4")).camera == "x.mp4"  # type: ignore[arg-type]
    settings = LiveSettings(camera="x", record="y.mp4")
    assert LiveSettings.from_json(settings.to_json()) == settings


def test_a_slow_reader_of_json_lines_misses_some_and_is_told() -> None:
    gate, problems = threading.Event(), Problems()

    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            gate.wait(30)
            return super().write(text)

    stream = Slow()
    lines = JsonLines(stream, problems, threading.Event(), every_frame=False)
    for _ in range(1500):
        lines.take(RESULT, None)  # type: ignore[arg-type]
    gate.set()
    lines.close()
    written = stream.getvalue().splitlines()
    assert 1000 <= len(written) < 1500
    assert problems.ever()["json"].startswith(f"{1500 - len(written)} lines left out")
    assert json.loads(written[0])["probability"] == 0.9123


def test_a_slow_reader_of_a_whole_file_gets_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "_CLOSE_SECONDS", 0.01)
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream, os.fdopen(reading) as reader:
        problems = Problems()
        lines = JsonLines(stream, problems, threading.Event(), every_frame=True)
        for _ in range(900):  # three times what the pipe holds
            lines.take(RESULT, None)  # type: ignore[arg-type]
        closing = threading.Thread(target=lines.close, daemon=True)
        closing.start()
        closing.join(0.7)
        assert closing.is_alive()  # it waits for the reader
        for _ in range(900):
            assert json.loads(reader.readline())["label"] == "cat"
        closing.join(20)
        assert not closing.is_alive()
        assert problems.ever() == {}


@pytest.mark.parametrize("every_frame", [False, True])
def test_a_reader_who_never_reads_holds_up_nothing(every_frame: bool) -> None:
    reading, writing = os.pipe()
    stop, problems = threading.Event(), Problems()
    with os.fdopen(reading), os.fdopen(writing, "w") as stream:
        lines = JsonLines(stream, problems, stop, every_frame=every_frame)

        def fill() -> None:
            for _ in range(3000):
                lines.take(RESULT, None)  # type: ignore[arg-type]

        filling = threading.Thread(target=fill, daemon=True)
        filling.start()
        filling.join(0.5)
        assert filling.is_alive() == every_frame  # it waits for the reader, or leaves lines out
        stop.set()
        filling.join(20)
        closing = threading.Thread(target=lines.close, daemon=True)
        closing.start()
        closing.join(20)
        assert not filling.is_alive()
        assert not closing.is_alive()
        assert "lines left out" in problems.ever()["json"]


def test_a_reader_that_left_stops_the_loop() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    stop = threading.Event()
    lines = JsonLines(Gone(), Problems(), stop, every_frame=True)
    lines.take(RESULT, None)  # type: ignore[arg-type]
    assert stop.wait(20)
    lines.close()
    assert lines.reader_left


def test_work_beside_the_loop_fails_and_recovers_in_one_line_each() -> None:
    told: list[str] = []
    problems, done = Problems(told.append), threading.Semaphore(0)

    def work(number: int) -> None:
        try:
            if number < 3:
                raise OSError(28, "No space left on device", "seen.mkv")
        finally:
            done.release()

    background = Background("record", work, problems, capacity=100)
    for number in range(5):
        background.offer(number)
    assert background.close(20)
    assert told == ["record: seen.mkv: no space left on device", "record: works again"]
    assert problems.now() == {}
    assert list(problems.ever()) == ["record"]


def test_work_that_fails_as_nobody_thought_goes_on() -> None:
    worked: list[int] = []
    problems = Problems()

    def work(number: int) -> None:
        worked.append(number)
        if number == 0:
            raise KeyError("top")

    background = Background("collect", work, problems, capacity=1, patient=True)
    for number in range(5):
        background.offer(number)
    assert background.close(20)
    assert worked == [0, 1, 2, 3, 4]
    assert list(problems.ever()) == ["collect"]


def test_a_log_that_nobody_reads_any_more_ends_nothing() -> None:
    def tell(line: str) -> None:
        raise BrokenPipeError

    problems = Problems(tell)
    problems.begin("record", "the disk is full")
    assert problems.now() == {"record": "the disk is full"}
    problems.end("record")
    assert problems.now() == {}


def test_work_that_hangs_is_left_behind() -> None:
    gate = threading.Event()
    background = Background("mqtt", lambda item: gate.wait(60) and None, Problems(), capacity=2)
    for number in range(10):
        background.offer(number)
    assert background.close(0.05) is False
    assert background.dropped >= 7
    gate.set()


@pytest.mark.parametrize(
    ("medians", "chosen"),
    [({1: 10.0}, 1), ({1: 10.0, 2: 9.5}, 1), ({1: 10.0, 2: 6.0, 4: 5.8}, 2), ({1: 10.0, 2: 11.0, 4: 4.0}, 4)],
)
def test_a_thread_must_be_worth_it(medians: dict[int, float], chosen: int) -> None:
    assert choose_count(medians) == chosen


def test_the_model_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "digits.avi", (3,), 2)
    parsed, real = [], model_file.parse
    monkeypatch.setattr(model_file, "parse", lambda content: (parsed.append(1), real(content))[1])
    edgeclf.live("digits", camera=str(tmp_path / "digits.avi"), every_frame=True, window=False, outputs=[Kept()])
    assert len(parsed) == 1


def test_threads_are_measured_on_the_model_itself() -> None:
    file = ModelFile.read(locate_model("digits"))
    chosen, medians = choose_threads(file, runtime="litert", normalization=None, counts=[1, 2])
    assert set(medians) == {1, 2}
    assert chosen in medians
    assert all(median > 0 for median in medians.values())
    assert (list_thread_counts(1), list_thread_counts(2), list_thread_counts(64)) == ((1,), (1, 2), (1, 2, 4))
