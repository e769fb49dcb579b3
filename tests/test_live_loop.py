"""The loop and the capture behind it: newest frame only, failures survived, ends that are clean."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from live_cards import write_video
from scripted_source import ColorNames, Kept, ScriptedSource, card

from edgeclf.errors import InputError, RunFailedError
from edgeclf.progress import SilentProgress
from edgeclf.streaming.camera.capture import Capture
from edgeclf.streaming.camera.retry import RetryPolicy
from edgeclf.streaming.camera.source import SourceError, SourceState
from edgeclf.streaming.camera.sources.replay import ReplaySource
from edgeclf.streaming.loop.geometry import Geometry
from edgeclf.streaming.loop.loop import NO_NUMBERS, Loop
from edgeclf.streaming.loop.opening import _find_rate
from edgeclf.streaming.loop.result import LiveSummary
from edgeclf.streaming.loop.run import _open_capture, _SourceWatcher
from edgeclf.streaming.loop.settings import Limits, LiveSettings, Smoothing
from edgeclf.streaming.loop.state import LiveState
from edgeclf.streaming.supervision.problems import Problems

pytestmark = pytest.mark.alone

QUICK = RetryPolicy(stalled=0.05, reopen=0.15, opening=0.4, first=0.6, delays=(0.005, 0.01))
AT_ONCE = Smoothing(seconds=0, threshold=0.5)


class Run:
    """A loop in a thread of its own."""

    def __init__(
        self,
        make: Callable[[], ScriptedSource],
        classifier: ColorNames | None = None,
        *,
        every_frame: bool = False,
        retry: RetryPolicy = QUICK,
        beat: Callable[[], None] = lambda: None,
        **settings_: object,
    ) -> None:
        self.states: list[SourceState] = []
        self.kept, self.stop = Kept(), threading.Event()
        self.capture = Capture(make, on_state=self._on_state, every_frame=every_frame, retry=retry)
        names = classifier or ColorNames()
        self.state = LiveState("colors", names.labels, "scripted", Problems())
        chosen = LiveSettings(**{"smoothing": AT_ONCE, "every_frame": every_frame, **settings_})  # type: ignore[arg-type]
        self.loop = Loop(self.capture, names, self.state, chosen, outputs=[self.kept], beat=beat)
        self.failure: BaseException | None = None
        self.ended = ""
        self._thread = threading.Thread(target=self._work, daemon=True)

    def _on_state(self, state: SourceState) -> None:
        self.states.append(state)
        self.state.set_source(state)

    def _work(self) -> None:
        try:
            self.ended = self.loop.run(self.stop)
        except Exception as failure:  # noqa: BLE001 - the tests look at it
            self.failure = failure

    def __enter__(self) -> Run:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish(stop=True)

    def finish(self, *, stop: bool = False, seconds: float = 20.0) -> LiveSummary:
        if stop:
            self.stop.set()
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the loop hangs"
        self.capture.close(0.1)
        return self.loop.summary(self.ended)

    def wait_until(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.states
            self.stop.wait(0.005)

    def runs_again(self) -> bool:
        return bool(self.states) and self.states[-1].status == "running"

    def told(self, status: str) -> list[SourceState]:
        return [state for state in self.states if state.status == status]


def pictures(count: int) -> Iterator[object]:
    return iter([card(0, 0, 255)] * count)


def test_every_frame_of_a_file_is_classified_in_order() -> None:
    script = pictures(200)
    with Run(lambda: ScriptedSource(script, endless=False, rate=1e6), every_frame=True) as run:
        summary = run.finish()
    assert [result.frame for result in run.kept.results] == list(range(200))
    assert run.ended == "end of source"
    assert (summary.frames_captured, summary.frames_classified, summary.frames_dropped) == (200, 200, 0)
    assert run.states[-1].status == "ended"


def test_frames_that_are_read_ahead_when_a_limit_ends_it_are_not_left_out() -> None:
    script, network = pictures(200), ColorNames(0.05)
    with Run(lambda: ScriptedSource(script, endless=False), network, every_frame=True, limits=Limits(frames=3)) as run:
        summary = run.finish()
    assert script.__length_hint__() < 195, "more frames were read than classified"
    assert (summary.frames_captured, summary.frames_classified, summary.frames_dropped) == (3, 3, 0)


def test_the_first_frame_is_tried_for_from_the_first_attempt_on() -> None:
    script = iter(["open fails", "frame", "frame"])
    capture = Capture(lambda: ScriptedSource(script), retry=dataclasses.replace(QUICK, first=0.2))
    threading.Event().wait(0.3)  # a model and a page are opened meanwhile
    deadline = time.monotonic() + 20
    while capture.take(0.05) is None:
        assert time.monotonic() < deadline
    capture.close()


def test_a_camera_that_was_asked_for_few_frames_is_waited_for() -> None:
    plain = RetryPolicy()
    assert plain.of_rate(None) == plain.of_rate(30.0) == plain
    slow = plain.of_rate(0.1)
    assert (slow.stalled, slow.reopen, slow.opening, slow.first) == pytest.approx((30, 60, 60, 30))


def test_a_file_whose_next_frame_is_due_later_is_no_failure() -> None:
    with Run(lambda: ReplaySource([card(0, 0, 255)] * 2, [0.0, 0.5], name="pauses")) as run:
        run.finish()
    assert run.ended == "end of source"
    assert not run.told("stalled")


def test_a_source_says_a_line_once_and_goes_on_where_nobody_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    class Log(SilentProgress):
        def info(self, line: str) -> None:
            said.append(line)
            if line == "unread":
                raise BrokenPipeError

    script = iter([("trying picamera2", "trying picamera2"), ("trying picamera2", "unread"), ("trying picamera2",)])

    def choose(camera: str, *, log: Callable[[str], None], **settings: object) -> ReplaySource:
        for line in next(script):
            log(line)
        return ReplaySource([card(0, 0, 255)], [0.0], name="one")

    monkeypatch.setattr("edgeclf.streaming.loop.run.choose_source", choose)
    capture = _open_capture(LiveSettings(), _SourceWatcher.__new__(_SourceWatcher), Log())
    for _ in range(2):  # after the first attempt, which making it is; a camera that is away is opened again and again
        capture._make()
    assert said == ["trying picamera2", "unread", "trying picamera2"]


@pytest.mark.parametrize("form", ["{}", "file://{}", "FILE://{}"])
def test_a_recording_of_a_file_has_its_rate_however_it_is_named(tmp_path: Path, form: str) -> None:
    film = write_video(tmp_path / "film.mkv", [card(0, 0, 255)] * 3, rate=10)
    assert _find_rate(LiveSettings(camera=form.format(film))) == 10


def test_a_frame_that_has_become_too_small_for_the_region_is_left_out() -> None:
    script = iter(["resize", "frame", "resize", "end"])
    with Run(
        lambda: ScriptedSource(script, endless=False), every_frame=True, geometry=Geometry(roi=(0, 0, 40, 40))
    ) as run:
        summary = run.finish()
    assert run.failure is None
    assert (summary.frames_captured, summary.frames_classified) == (3, 2)
    assert "roi 0,0,40,40 reaches beyond the picture of 32 x 24 pixels" in summary.problems["region"]


def test_a_slow_network_gets_the_newest_frame_and_the_others_are_counted() -> None:
    script = pictures(150)
    with Run(lambda: ScriptedSource(script, endless=False, rate=500), ColorNames(0.02)) as run:
        summary = run.finish()
    assert summary.frames_captured == 150
    assert summary.frames_classified + summary.frames_dropped == 150
    assert summary.frames_dropped > 0
    frames = [result.frame for result in run.kept.results]
    assert frames == sorted(set(frames))
    assert frames[-1] == 149  # the last one is never left out


def test_a_result_says_when_how_old_and_how_sure() -> None:
    script = pictures(3)
    with Run(lambda: ScriptedSource(script, endless=False), ColorNames(0.01), every_frame=True) as run:
        run.finish()
    first = run.kept.results[0]
    assert first.label == first.raw_label == "red"
    assert first.raw_probability == pytest.approx(256 / 258, abs=1e-3)
    assert first.frame_age_ms >= first.inference_ms >= 10
    assert first.time.endswith("+00:00")
    assert [score.label for score in first.top] == ["red", "green", "blue"]
    shown = run.state.latest()
    assert shown is not None
    assert shown.sequence == 3
    assert run.state.to_dict()["counts"]["frames_classified"] == 3


def test_the_label_follows_the_scene_and_an_undecided_one_is_unknown() -> None:
    scenes = [card(0, 0, 255)] * 3 + [card(90, 90, 90)] * 3 + [card(255, 0, 0)] * 3
    script: Iterator[object] = iter(scenes)
    with Run(lambda: ScriptedSource(script, endless=False), every_frame=True) as run:
        run.finish()
    assert [result.label for result in run.kept.results] == ["red"] * 3 + ["unknown"] * 3 + ["blue"] * 3
    assert (
        run.kept.results[4].raw_label == "red"
    )  # a frame's own best class is never unknown; ties go to the lowest index
    assert [change["label"] for change in run.state.to_dict()["changes"]] == ["red", "unknown", "blue"]


def test_only_the_region_is_looked_at() -> None:
    half = np.concatenate([card(0, 0, 255), card(255, 0, 0)], axis=1)
    script: Iterator[object] = iter([half])
    geometry = Geometry(roi=(0.5, 0, 0.5, 1))
    with Run(lambda: ScriptedSource(script, endless=False), every_frame=True, geometry=geometry) as run:
        run.finish()
    assert run.kept.results[0].label == "blue"


def test_limits_end_it() -> None:
    script = pictures(1000)
    with Run(lambda: ScriptedSource(script), limits=Limits(frames=5)) as run:
        summary = run.finish()
    assert (run.ended, summary.frames_classified) == ("limit reached", 5)
    with Run(lambda: ScriptedSource(iter(())), limits=Limits(seconds=0.05)) as run:
        run.finish()
    assert run.ended == "limit reached"


def test_the_rate_can_be_capped() -> None:
    limits = Limits(seconds=0.5, max_fps=20)
    with Run(lambda: ScriptedSource(iter(())), limits=limits) as run:
        summary = run.finish()
    assert 1 <= summary.frames_classified <= 11  # 20 a second for half a second, and the first one


def test_a_camera_that_stalls_is_told_though_the_next_result_is_wanted_much_later() -> None:
    script: Iterator[object] = iter(["frame", "frame", "stall"])
    with Run(lambda: ScriptedSource(script), limits=Limits(max_fps=0.01)) as run:
        run.wait_until(lambda: run.told("lost"))
        run.wait_until(run.runs_again)
        assert len(run.kept.results) == 1


def test_the_end_of_a_file_is_seen_though_the_next_result_is_wanted_much_later() -> None:
    script: Iterator[object] = iter(["frame"])
    with Run(lambda: ScriptedSource(script, endless=False), limits=Limits(max_fps=0.01)) as run:
        assert run.finish().frames_classified == 1
    assert run.ended == "end of source"


def test_a_file_that_waits_for_a_slow_network_has_not_stalled() -> None:
    script, slow, limits = pictures(40), ColorNames(0.7), Limits(frames=6)
    retry = dataclasses.replace(QUICK, reopen=0.6)  # less than the network takes

    def make() -> ScriptedSource:
        return ScriptedSource(script, endless=False)

    with Run(make, slow, every_frame=True, limits=limits, retry=retry) as run:
        run.finish()
    assert not run.told("stalled")


def test_the_beat_goes_on_while_the_camera_is_gone() -> None:
    beats = []
    script: Iterator[object] = iter(["frame", "dead"])
    with Run(lambda: ScriptedSource(script), beat=lambda: beats.append(time.monotonic())) as run:
        run.kept.wait_for(1)
        before = len(beats)
        run.wait_until(lambda: len(beats) > before + 5)


def test_a_lost_camera_is_told_and_comes_back() -> None:
    script: Iterator[object] = iter(["frame", "frame", "read fails", "open fails", "open fails"])
    with Run(lambda: ScriptedSource(script)) as run:
        run.kept.wait_for(10)
        run.wait_until(run.runs_again)
        summary = run.finish(stop=True)
    assert run.told("lost")[0].detail == "the device was unplugged; trying again"
    assert run.told("running")[-1].reconnects == summary.reconnects == 1
    assert run.ended == "interrupted"


def test_a_stalled_camera_is_told_and_opened_anew() -> None:
    script: Iterator[object] = iter(["frame", "stall"])
    with Run(lambda: ScriptedSource(script)) as run:
        run.kept.wait_for(10)
        run.wait_until(run.runs_again)
        summary = run.finish(stop=True)
    assert run.told("stalled")
    assert run.told("lost")
    assert summary.reconnects == 1


def test_a_driver_that_hangs_is_left_behind_and_few_of_them_are() -> None:
    hanging = 0

    def make() -> ScriptedSource:
        nonlocal hanging
        hanging += 1
        return ScriptedSource(iter(["frame", "dead"]))

    retry = dataclasses.replace(QUICK, delays=(0.005,))
    with Run(make, retry=retry) as run:
        run.wait_until(lambda: any("driver does not respond" in state.detail for state in run.states))
        began = time.monotonic()
        run.finish(stop=True)
        assert time.monotonic() - began < 5
    assert run.capture.hanging() == 3
    assert hanging <= 4


def test_a_camera_that_never_worked_ends_with_its_reason() -> None:
    def make() -> ScriptedSource:
        return ScriptedSource(iter(["open fails"]))

    with Run(make) as run:
        run.finish()
    assert isinstance(run.failure, RunFailedError)
    assert str(run.failure) == "scripted: no such device"


def test_a_file_that_breaks_ends_with_its_reason() -> None:
    script: Iterator[object] = iter(["frame", "read fails"])
    with Run(lambda: ScriptedSource(script, endless=False)) as run:
        run.finish()
    assert str(run.failure) == "scripted: the device was unplugged"


def test_a_quick_file_is_read_by_the_loop_itself_and_breaks_as_others_do() -> None:
    script: Iterator[object] = iter(["frame"] * 40 + ["read fails"])
    with Run(lambda: ScriptedSource(script, endless=False, rate=1e9), every_frame=True) as run:
        summary = run.finish()
    assert str(run.failure) == "scripted: the device was unplugged"
    assert [result.frame for result in run.kept.results] == list(range(40))
    assert (summary.frames_captured, summary.frames_dropped) == (40, 0)


@pytest.mark.parametrize("broken", [(np.nan, np.nan, np.nan), (1, np.nan, 0), (np.inf, 0, 0), (1, -np.inf, 0)])
def test_what_is_not_a_number_does_not_stay_and_is_reported(broken: tuple[float, ...]) -> None:
    class Broken(ColorNames):
        calls = 0

        def scores(self, image: np.ndarray) -> np.ndarray:
            self.calls += 1
            return super().scores(image) if self.calls != 2 else np.array(broken, np.float32)

    script = pictures(4)
    smoothing = Smoothing(seconds=0.01, threshold=0.5)
    with Run(lambda: ScriptedSource(script, endless=False), Broken(), every_frame=True, smoothing=smoothing) as run:
        summary = run.finish()
    shown = [(result.label, result.raw_label, result.raw_probability > 0) for result in run.kept.results]
    red = ("red", "red", True)
    assert shown == [red, ("unknown", "unknown", False), red, red]
    assert summary.problems == run.state.problems.now() == {"model": NO_NUMBERS}


def test_a_model_that_computes_numbers_again_works_again_and_one_that_alternates_is_reported_once() -> None:
    class Alternating(ColorNames):
        calls = 0

        def scores(self, image: np.ndarray) -> np.ndarray:
            self.calls += 1
            odd = self.calls % 2 and self.calls < 20
            return np.full(3, np.nan, np.float32) if odd else super().scores(image)

    lines: list[str] = []
    run = Run(lambda: ScriptedSource(pictures(200), endless=False), Alternating(), every_frame=True)
    run.state.problems = Problems(lines.append)
    with run:
        run.finish()
    assert lines == [f"model: {NO_NUMBERS}", "model: works again"]


def test_an_empty_file_is_an_error() -> None:
    with Run(lambda: ScriptedSource(iter(()), endless=False)) as run:
        run.finish()
    assert str(run.failure) == "scripted: holds no frame"


def test_every_frame_of_a_camera_is_refused() -> None:
    with pytest.raises(InputError, match="--every-frame is for files"):
        Capture(lambda: ScriptedSource(iter(())), every_frame=True)


FAULTS = st.sampled_from(["open fails", "read fails", "stall", "resize", "garbage", "end", "dead"])


@pytest.mark.slow
@settings(max_examples=11, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(st.one_of(st.just("frame"), FAULTS), min_size=1, max_size=6), min_size=10, max_size=10))
def test_random_faults_are_survived_or_end_with_one_line(scripts: list[list[object]]) -> None:
    """A hundred random scripts and more, ten at a time, since each of them mostly waits."""
    with ThreadPoolExecutor(len(scripts)) as pool:
        list(pool.map(play, scripts))


def play(steps: list[object]) -> None:
    """Afterwards the picture is back, or the reason stands in one line; the end is quick."""
    if steps.count("dead") > 2:  # with more threads inside a driver, nothing can come back
        steps = ["frame" if step == "dead" else step for step in steps]
    script = iter(steps)
    with Run(lambda: ScriptedSource(script)) as run:
        # The script has been read to its end, and results came after that; or the reason is there.
        run.wait_until(lambda: run.failure or script.__length_hint__() == 0)
        came = len(run.kept.results)
        run.wait_until(lambda: run.failure or (len(run.kept.results) >= came + 2 and run.runs_again()))
        began = time.monotonic()
        summary = run.finish(stop=True)
        assert time.monotonic() - began < 5
    if run.failure is not None:
        assert isinstance(run.failure, (RunFailedError, SourceError))
        assert summary.frames_captured == 0
        assert "\n" not in str(run.failure)
        assert str(run.failure).startswith("scripted: ")
    assert summary.frames_classified + summary.frames_dropped == summary.frames_captured
