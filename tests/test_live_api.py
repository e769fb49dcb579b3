"""`edgeclf.live` as a function, and the parts of a run that are not the loop."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path

import pytest
from digit_video import write_video
from scripted_source import Kept

import edgeclf
from edgeclf.errors import InputError, UnknownNameError
from edgeclf.streaming.background import Background
from edgeclf.streaming.json_lines import JsonLines
from edgeclf.streaming.problems import Problems
from edgeclf.streaming.result import Result
from edgeclf.streaming.settings import LiveSettings
from edgeclf.streaming.threads import choose_threads, fewest_worthwhile, thread_counts

RESULT = Result(7, "2026-01-01T00:00:00+00:00", "cat", 0.91234, "dog", 0.5, 12.0, 3.0, 30.0, ())


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
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("edgeclf")]


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


def test_settings_are_checked_by_name_and_value() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'camera'"):
        edgeclf.live("digits", camra="0")
    with pytest.raises(InputError, match="rate must be between 0 and 1000"):
        LiveSettings(rate=-1)
    with pytest.raises(InputError, match="size must be WIDTHxHEIGHT"):
        LiveSettings(size=(0, 480))
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
    assert fewest_worthwhile(medians) == chosen


def test_threads_are_measured_on_the_model_itself() -> None:
    chosen, medians = choose_threads("digits", runtime="litert", input_range=None, counts=[1, 2])
    assert set(medians) == {1, 2}
    assert chosen in medians
    assert all(median > 0 for median in medians.values())
    assert (thread_counts(1), thread_counts(2), thread_counts(64)) == ((1,), (1, 2), (1, 2, 4))
