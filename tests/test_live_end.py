"""The end of `live`: what stays up, what is named, what the classifier noted, and a region that the picture lacks."""

from __future__ import annotations

import contextlib
import io
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from digit_video import digit, write_video
from linear_models import SIDE, write_float_model
from live_results import picture, result, wait_for
from live_scene import new_state
from scripted_source import Kept

import edgeclf
from edgeclf.errors import InputError, RunFailedError
from edgeclf.progress import SILENT
from edgeclf.streaming.loop.geometry import Geometry
from edgeclf.streaming.loop.notes import MOST_LOGGED, NoteWatch
from edgeclf.streaming.loop.result import LiveSummary
from edgeclf.streaming.loop.settings import Limits
from edgeclf.streaming.loop.state import LiveState
from edgeclf.streaming.outputs.json_lines import JsonLines
from edgeclf.streaming.supervision.problems import Problems


class Log:
    """Keeps what is logged."""

    task = SILENT.task

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, line: str) -> None:
        self.lines.append(line)

    warn = info

    def page(self) -> str:
        return next(line.removeprefix("page: ") for line in self.lines if line.startswith("page: "))


@pytest.mark.parametrize("kind", ["video", "folder"])
def test_the_page_stays_up_after_the_end_and_frames_are_sorted_there(tmp_path: Path, kind: str) -> None:
    if kind == "video":
        write_video(tmp_path / "seen.avi", (3, 7), 5)
        camera = tmp_path / "seen.avi"
    else:
        camera = tmp_path / "scans"
        camera.mkdir()
        for number in range(4):
            cv2.imwrite(str(camera / f"{number}.png"), digit(number))
    log, stop, ends, early = Log(), threading.Event(), [], []
    settings = {
        "camera": camera,
        "every_frame": True,
        "window": False,
        "web": 0,
        "stay": True,
        "record": str(tmp_path / "seen.mkv"),
        "collect": str(tmp_path / "kept"),
    }

    def work() -> None:
        ends.append(edgeclf.live("digits", stop=stop, progress=log, at_end=early.append, **settings))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        wait_for(lambda: early)
        wait_for(lambda: any("has ended; the page stays up" in line for line in log.lines))
        assert (tmp_path / "seen.mkv").exists()  # complete, though the page is still there
        assert early[0].recording == str(tmp_path / "seen.mkv")
        with httpx.Client(base_url=log.page(), trust_env=False) as client:
            source = client.get("/api/state").json()["source"]
            assert source["status"] == "ended"
            assert "the page stays up until edgeclf is stopped" in source["detail"]
            images = client.get("/api/collected").json()["images"]
            for image in images:
                assert client.post(f"/api/collected/{image['name']}/label", json={"label": "3"}).status_code == 200
        assert thread.is_alive()
    finally:
        stop.set()
        thread.join(20)
    summary = ends[0]
    assert summary.ended == "end of source"
    assert early[0].collected.new == early[0].collected.waiting == len(images)
    assert summary.collected.waiting == 0
    assert LiveSummary.from_json(summary.to_json()) == summary
    with pytest.raises(httpx.ConnectError):
        httpx.get(log.page(), trust_env=False)


def test_the_time_of_a_run_bounds_how_long_the_page_stays_up(tmp_path: Path) -> None:
    write_video(tmp_path / "seen.avi", (3,), 5)
    log, early, began = Log(), [], time.monotonic()
    settings = {"camera": tmp_path / "seen.avi", "every_frame": True, "window": False, "web": 0, "stay": True}
    summary = edgeclf.live("digits", limits=Limits(seconds=2.0), progress=log, at_end=early.append, **settings)
    assert (summary.ended, summary.frames_classified, len(early)) == ("end of source", 5, 1)
    assert time.monotonic() - began >= 2.0
    assert any("stays up until Ctrl-C or SIGTERM, or for the rest of --duration" in line for line in log.lines)


def test_what_was_written_is_named_where_the_run_fails_too(tmp_path: Path) -> None:
    write_video(tmp_path / "seen.avi", (3, 7), 5)

    class Broken(Kept):
        def take(self, result: object, picture: object) -> None:
            super().take(result, picture)
            if len(self.results) == 4:
                raise RunFailedError("the camera broke")

    log, seen, kept = Log(), tmp_path / "seen.mkv", tmp_path / "kept"
    files = {"record": str(seen), "collect": str(kept)}
    with pytest.raises(RunFailedError, match="the camera broke"):
        edgeclf.live(
            "digits",
            camera=str(tmp_path / "seen.avi"),
            every_frame=True,
            window=False,
            outputs=[Broken()],
            progress=log,
            **files,
        )
    assert seen.exists()
    assert f"recording: {seen}" in log.lines
    assert any(line.startswith("collected: ") and line.endswith(f" new in {kept}") for line in log.lines)


def test_without_stay_the_end_of_a_video_is_the_end(tmp_path: Path) -> None:
    write_video(tmp_path / "seen.avi", (3,), 2)
    early: list[LiveSummary] = []
    video = str(tmp_path / "seen.avi")
    summary = edgeclf.live("digits", camera=video, every_frame=True, window=False, web=0, at_end=early.append)
    assert (summary.ended, summary.recording, summary.collected, early) == ("end of source", None, None, [])


def test_a_page_that_nobody_asked_for_is_served_only_where_its_address_is_logged(tmp_path: Path) -> None:
    write_video(tmp_path / "seen.avi", (3,), 2)
    pages: list[str | None] = []

    @contextlib.contextmanager
    def look(state: LiveState) -> Iterator[None]:
        pages.append(state.page)
        yield

    log, video = Log(), str(tmp_path / "seen.avi")
    for more in ({}, {"web": 0}, {"progress": log}):
        edgeclf.live("digits", camera=video, every_frame=True, window=False, outputs=[Kept()], watch=look, **more)
    assert pages[0] is None
    assert pages[1] is not None
    assert pages[2] == log.page()


class Deciding:
    """Stands for a classifier whose notes change while frames come."""

    def __init__(self) -> None:
        self.notes: tuple[str, ...] = ("labels are numbers",)


def test_notes_reach_log_state_and_json_when_they_come(tmp_path: Path) -> None:
    classifier, log, state, stream = Deciding(), Log(), new_state(), io.StringIO()
    watch = NoteWatch(classifier, state, log)  # type: ignore[arg-type]
    assert state.to_dict()["notes"] == ["labels are numbers"]
    lines = JsonLines(stream, Problems(), threading.Event(), every_frame=True, notes=state.notes)
    pixels = picture(np.zeros((4, 4, 3), np.uint8))
    before = state.revision()
    for number in range(4):
        if number == 2:
            classifier.notes = ("labels are numbers", "the input range is -1..1, decided over 64 frames")
        watch.take(result("cat", number=number), pixels)
        lines.take(result("cat", number=number), pixels)
        wait_for(lambda number=number: stream.getvalue().count("\n") == number + 1)  # type: ignore[misc]
    lines.close()
    documents = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [document.get("notes") for document in documents] == [
        ["labels are numbers"],
        None,
        ["labels are numbers", "the input range is -1..1, decided over 64 frames"],
        None,
    ]
    assert log.lines == ["labels are numbers", "the input range is -1..1, decided over 64 frames"]
    assert state.revision() != before
    for number in range(300):
        classifier.notes = (f"{number} frames so far",)
        watch.look()
    assert len(log.lines) == MOST_LOGGED
    assert state.notes() == ("299 frames so far",)


def test_the_summary_has_what_was_found_out_on_the_first_frame(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).normal(size=(10, SIDE * SIDE * 3))
    model, log, kept = write_float_model(tmp_path / "other.tflite", weights, np.zeros(10)), Log(), Kept()
    write_video(tmp_path / "seen.avi", (3, 5), 3)
    video = str(tmp_path / "seen.avi")
    summary = edgeclf.live(model, camera=video, every_frame=True, window=False, outputs=[kept], progress=log)
    assert len(kept.results) == 6
    assert summary.notes
    assert all(note in log.lines for note in summary.notes)


@pytest.mark.parametrize(
    ("roi", "words"),
    [
        ((0.5, 0.5, 0.6, 0.5), "roi 0.5,0.5,0.6,0.5 reaches beyond the picture: as fractions"),
        ((0, 0.9, 1, 0.2), "roi 0,0.9,1,0.2 reaches beyond the picture: as fractions"),
    ],
)
def test_a_region_in_fractions_outside_the_picture_is_refused_at_once(roi: tuple[float, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Geometry(roi=roi)  # type: ignore[arg-type]


def test_a_region_in_pixels_outside_the_picture_ends_the_run_with_both_sizes(tmp_path: Path) -> None:
    assert Geometry(roi=(0.1, 0.2, 0.9, 0.8)).box(479, 641) == (64, 96, 641, 479)
    write_video(tmp_path / "seen.avi", (3,), 3)
    video, seen = str(tmp_path / "seen.avi"), tmp_path / "seen.mkv"
    words = "roi 100,0,100,100 reaches beyond the picture of 160 x 160 pixels; give another --roi"
    with pytest.raises(InputError, match=words):
        edgeclf.live("digits", camera=video, window=False, geometry=Geometry(roi=(100, 0, 100, 100)), record=str(seen))
    assert os.listdir(tmp_path) == ["seen.avi"]
