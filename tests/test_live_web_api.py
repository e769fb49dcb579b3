"""What the live page tells: state, events, pictures, health."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from live_scene import Scene, ask, eventually, new_state, picture_of, publish

from edgeclf.streaming.camera.source import SourceState
from edgeclf.streaming.loop.geometry import Geometry
from edgeclf.streaming.loop.state import BoardState, LiveState
from edgeclf.streaming.page import events as events_module
from edgeclf.streaming.page.encoder import PictureEncoder
from edgeclf.streaming.page.events import EventWriter
from edgeclf.streaming.page.server import WebView


@pytest.fixture
def state() -> LiveState:
    return new_state()


@pytest.fixture
def view(state: LiveState) -> Iterator[WebView]:
    view = WebView(state, host="127.0.0.1", port=0)
    view.start()
    yield view
    view.close()


@pytest.fixture
def client(view: WebView) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=view.url, timeout=30, verify=False, trust_env=False) as client:
        yield client


def parts(answer: httpx.Response) -> Iterator[bytes]:
    """The JPEG files of a multipart stream."""
    pending = b""
    for piece in answer.iter_bytes():
        pending += piece
        while b"\r\n\r\n" in pending:
            head, _, rest = pending.partition(b"\r\n\r\n")
            assert b"--edgeclf-picture" in head
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            if len(rest) < length:
                break
            yield rest[:length]
            pending = rest[length:]


def pixels_of(jpeg: bytes) -> np.ndarray:  # type: ignore[type-arg]
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


def events(answer: httpx.Response) -> Iterator[tuple[str, dict[str, object]]]:
    """Name and content of each server-sent event."""
    name = "message"
    for line in answer.iter_lines():
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            yield name, json.loads(line[6:])
            name = "message"


def test_state_is_what_the_loop_published(state: LiveState, client: httpx.Client) -> None:
    empty = client.get("/api/state").json()
    assert (empty["result"], empty["picture"], empty["sequence"]) == (None, None, 0)
    state.set_source(SourceState("/dev/video0", "running"))
    state.set_board(BoardState(51.0, 1500.0, ()))
    publish(state, "red", 7, geometry=Geometry(rotate=90, roi=(0.25, 0.25, 0.5, 0.5)))
    state.problems.begin("record", "the disk is full")
    told = client.get("/api/state").json()
    assert told.keys() == empty.keys()
    assert told["result"] == state.latest().result.to_dict()  # type: ignore[union-attr]
    assert told["picture"] == {"width": 240, "height": 320, "box": [60, 80, 180, 240]}
    assert told["source"]["status"] == "running"
    assert told["board"]["temperature_celsius"] == 51.0
    assert told["problems"] == {"record": "the disk is full"}
    assert told["collecting"] is False


def test_events_tell_all_once_and_then_what_is_new(state: LiveState, client: httpx.Client) -> None:
    publish(state, "red", 0)
    with client.stream("GET", "/api/events") as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        heard = events(answer)
        name, first = next(heard)
        assert name == "state"
        assert first["labels"] == list(state.labels)
        assert first["history"]
        publish(state, "blue", 1)
        for name, event in heard:
            assert name == "message"
            assert not {"labels", "history"} & event.keys()
            if event["sequence"] == 2:
                break
        assert event["result"]["label"] == "blue"  # type: ignore[index]
        assert [change["label"] for change in event["changes"]] == ["red", "blue"]  # type: ignore[attr-defined]
        state.set_source(SourceState("/dev/video0", "lost", "no such device; trying again"))
        for _, event in heard:
            if event["source"]["status"] == "lost":  # type: ignore[index]
                break
        assert "changes" not in event


def test_a_viewer_that_missed_a_change_gets_it_within_seconds(
    state: LiveState, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(event: bytes | None) -> Any:
        assert event is not None
        return json.loads(event.decode().partition("data: ")[2])

    publish(state, "red", 0)
    writer = EventWriter(state, collecting=False)
    assert "changes" in read(asyncio.run(writer.update()))
    publish(state, "red", 1)
    assert "changes" not in read(asyncio.run(writer.update()))
    monkeypatch.setattr(events_module, "CHANGES_SECONDS", 0.0)
    publish(state, "red", 2)
    assert [change["label"] for change in read(asyncio.run(writer.update()))["changes"]] == ["red"]


def test_viewers_see_the_end_of_a_stream_that_failed_and_get_the_next_one(
    state: LiveState, view: WebView, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(state, "red", 0)
    good, calls = state.current_dict, itertools.count()

    def fail_once() -> dict[str, Any]:
        if next(calls) == 1:  # the first call is for the whole state that a viewer gets at first
            raise RuntimeError("deque mutated during iteration")
        return good()

    monkeypatch.setattr(state, "current_dict", fail_once)
    with httpx.Client(base_url=view.url, timeout=20, trust_env=False) as client:
        with client.stream("GET", "/api/events") as stream:
            text = "".join(stream.iter_text())  # ends, where it hung for ever
        assert "event: state" in text
        assert "viewers were disconnected (deque mutated" in state.problems.now()["web page events"]
        with client.stream("GET", "/api/events") as stream:
            lines = stream.iter_lines()
            assert next(line for line in lines if line.startswith("event: "))
            assert next(line for line in lines if line.startswith("data: "))
            assert next(line for line in lines if line.startswith("data: "))
    eventually(lambda: "web page events" not in state.problems.now())


def test_the_document_is_made_only_where_something_changed(state: LiveState, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    good = state.current_dict

    def counted() -> dict[str, Any]:
        made.append(1)
        return good()

    monkeypatch.setattr(state, "current_dict", counted)
    monkeypatch.setattr(state, "to_dict", lambda: pytest.fail("the history is not part of an update"))
    writer = EventWriter(state, collecting=False)

    async def work() -> None:
        publish(state, "red", 0)
        assert await writer.update() is not None
        for _ in range(66):  # a second of polls
            assert await writer.update() is None
        assert len(made) == 1
        publish(state, "red", 1)
        assert await writer.update() is not None
        state.problems.begin("record", "the disk is full")
        assert await writer.update() is not None
        assert len(made) == 3

    asyncio.run(work())


def test_events_come_ten_times_a_second_at_most_and_are_the_newest(state: LiveState, client: httpx.Client) -> None:
    with Scene(state, rate=200), client.stream("GET", "/api/events") as answer:
        heard = events(answer)
        next(heard)
        next(heard)
        began, first = time.monotonic(), next(heard)[1]
        last = first
        for _ in range(10):
            last = next(heard)[1]
        seconds = time.monotonic() - began
    assert seconds >= 0.85  # ten periods of a tenth of a second, less what the first was late
    assert last["sequence"] > first["sequence"]  # type: ignore[operator]


def test_silence_is_interrupted_by_a_comment_and_an_event(state: LiveState, client: httpx.Client) -> None:
    publish(state, "red", 0)
    with client.stream("GET", "/api/events") as answer:
        lines = answer.iter_lines()
        for line in lines:
            if line == ": still here":
                break
        assert json.loads(next(lines).removeprefix("data: "))["sequence"] == 1


def test_the_stream_shows_the_newest_picture_and_then_the_next(state: LiveState, client: httpx.Client) -> None:
    publish(state, "red", 0)
    with client.stream("GET", "/stream.mjpg") as answer:
        assert answer.headers["content-type"].startswith("multipart/x-mixed-replace; boundary=")
        shown = parts(answer)
        assert abs(pixels_of(next(shown))[5, 5].astype(int) - picture_of("red", 0)[5, 5]).max() < 12
        publish(state, "blue", 1)
        assert abs(pixels_of(next(shown))[5, 5].astype(int) - picture_of("blue", 1)[5, 5]).max() < 12


def test_a_second_viewer_and_a_later_one_see_the_picture_of_a_source_that_stands_still(
    state: LiveState, client: httpx.Client, view: WebView
) -> None:
    publish(state, "green", 0)
    with client.stream("GET", "/stream.mjpg") as one, client.stream("GET", "/stream.mjpg") as two:
        readers = parts(one), parts(two)
        first, second = (next(reader) for reader in readers)
        assert first == second
        eventually(lambda: view.viewers == 2)
    eventually(lambda: view.viewers == 0)
    with client.stream("GET", "/stream.mjpg") as again:
        assert next(parts(again)) == first


def test_a_picture_is_encoded_once_for_all_and_only_while_somebody_looks(
    state: LiveState, client: httpx.Client, view: WebView, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[bool] = []
    original = cv2.imencode

    def counted(*given: object, **named: object) -> object:
        encoded.append(threading.current_thread().name.startswith("edgeclf web pictures"))
        return original(*given, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(cv2, "imencode", counted)
    publish(state, "red", 0)
    assert client.get("/api/state").json()["sequence"] == 1
    assert not encoded
    with (
        client.stream("GET", "/stream.mjpg") as one,
        client.stream("GET", "/stream.mjpg") as two,
        client.stream("GET", "/stream.mjpg") as three,
    ):
        readers = [parts(answer) for answer in (one, two, three)]
        for number in range(1, 6):
            assert len({next(reader) for reader in readers}) == 1
            publish(state, "red", number)
    eventually(lambda: view.viewers == 0)
    assert 5 <= len(encoded) <= 6
    assert all(encoded), "encoding belongs into its own thread"
    with Scene(state, rate=100):
        before = len(encoded)
        start = state.latest().sequence  # type: ignore[union-attr]
        eventually(lambda: state.latest().sequence > start + 20)  # type: ignore[union-attr]
        assert len(encoded) == before


def test_wide_pictures_are_scaled_down_in_the_stream_and_whole_in_a_snapshot(
    state: LiveState, client: httpx.Client
) -> None:
    publish(state, "blue", 0, picture_of("blue", 0, 1080, 3840))
    with client.stream("GET", "/stream.mjpg") as answer:
        jpeg = next(parts(answer))
    assert pixels_of(jpeg).shape == (360, 1280, 3)
    snapshot = client.get("/snapshot.jpg")
    assert pixels_of(snapshot.content).shape == (1080, 3840, 3)


def test_snapshots_asked_for_at_once_are_one(state: LiveState, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, encoded, original = threading.Event(), [], cv2.imencode

    def counted(*given: object) -> object:
        assert gate.wait(20)
        encoded.append(1)
        return original(*given)  # type: ignore[call-overload]

    async def ask_often(executor: Executor) -> list[Any]:
        encoder = PictureEncoder(state, executor, 640)
        asking = [asyncio.create_task(encoder.snapshot()) for _ in range(50)]
        await asyncio.sleep(0)
        asking[0].cancel()  # who asked first leaves
        gate.set()
        return await asyncio.gather(*asking, return_exceptions=True)

    monkeypatch.setattr(cv2, "imencode", counted)
    publish(state, "red", 0)
    with ThreadPoolExecutor(1) as executor:
        first, *others = asyncio.run(ask_often(executor))
    assert isinstance(first, asyncio.CancelledError)
    assert len(set(others)) == len(encoded) == 1
    assert pixels_of(others[0].jpeg).shape == (240, 320, 3)


def test_a_snapshot_is_a_file_whose_name_says_what_it_shows(state: LiveState, client: httpx.Client) -> None:
    assert client.get("/snapshot.jpg").status_code == 503
    publish(state, "red", 0, probability=0.934)
    answer = client.get("/snapshot.jpg")
    assert answer.headers["content-disposition"].startswith('attachment; filename="edgeclf-2')
    assert answer.headers["content-disposition"].endswith('-red-93.jpg"')
    hostile = LiveState("m", ('../a"\r\nX: y',), "s", state.problems)
    publish(hostile, '../a"\r\nX: y', 0)
    view = WebView(hostile, host="127.0.0.1", port=0)
    view.start()
    try:
        answer = ask(view, "/snapshot.jpg")
    finally:
        view.close()
    assert answer.headers["content-disposition"].endswith('-a-X-y-90.jpg"')


@pytest.mark.parametrize("status", ["lost", "stalled", "ended"])
def test_health_follows_the_source(state: LiveState, client: httpx.Client, status: str) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()["reason"]) == (503, "no result yet")
    publish(state, "red", 0)
    state.set_source(SourceState("rtsp://user:secret@camera", "running"))
    assert client.get("/healthz").status_code == 200
    state.set_source(SourceState("rtsp://user:secret@camera", status, "secret detail"))
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert status in answer.json()["reason"]
    assert "secret" not in answer.text


def test_health_sees_that_no_results_come_though_the_source_runs(state: LiveState, client: httpx.Client) -> None:
    state.set_source(SourceState("/dev/video0", "running"))
    publish(state, "red", 0)
    shown = state.latest()
    assert shown is not None
    object.__setattr__(shown.picture, "frame", replace(shown.picture.frame, captured=time.monotonic() - 11))
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["reason"] == "no result for 11 s"
    state.max_fps = 0.2  # one in five seconds was asked for, and one result is there yet
    object.__setattr__(shown, "result", replace(shown.result, fps=0.0))
    assert client.get("/healthz").status_code == 200
    state.max_fps = None
    object.__setattr__(shown, "result", replace(shown.result, fps=0.1))  # one in ten seconds is its usual rate
    assert client.get("/healthz").status_code == 200


def test_a_picture_that_cannot_be_encoded_is_told_and_over_with_the_next(
    state: LiveState, client: httpx.Client
) -> None:
    publish(state, "red", 0, np.zeros((1, 70_000, 3), np.uint8))  # JPEG ends at 65,535
    assert client.get("/snapshot.jpg").status_code == 503
    assert "cannot be encoded" in state.problems.now()["web page"]
    publish(state, "red", 1)
    assert client.get("/snapshot.jpg").status_code == 200
    assert state.problems.now() == {}


def test_head_ends_where_get_does_not(client: httpx.Client) -> None:
    for path in ("/stream.mjpg", "/api/events", "/", "/healthz"):
        answer = client.head(path)
        assert answer.content == b""
        assert answer.status_code in (200, 503)


@pytest.mark.parametrize(
    "path",
    [
        "/../server.py",
        "/%2e%2e/server.py",
        "/..%2fserver.py",
        "/page/../../access.py",
        "/token.html",
        "/index.html",
        "//etc/passwd",
        "/page.css/../page.js",
        "/page.css%00",
        "/api/collected/..%2f..%2fetc%2fpasswd.jpg",
    ],
)
def test_no_path_leads_to_another_file(view: WebView, path: str) -> None:
    import socket

    with socket.create_connection(("127.0.0.1", view.port)) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400"))
    assert b"import" not in answer
    assert b"root:" not in answer


def test_nothing_is_changed_by_what_should_only_look(client: httpx.Client) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        for path in ("/", "/api/state", "/healthz", "/stream.mjpg", "/snapshot.jpg"):
            assert client.request(method, path).status_code == 405
    assert client.get("/api/collected/a/label").status_code == 405
    assert client.get("/api/collected/a/discard").status_code == 405


def test_nothing_is_printed_and_no_thread_stays(
    state: LiveState, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = set(threading.enumerate())  # some of which may end meanwhile
    view = WebView(state, host="127.0.0.1", port=0)
    view.start()
    ask(view, "/nothing")
    ask(view, "/snapshot.jpg", headers={"Host": "evil.example"})
    publish(state, "red", 0)
    ask(view, "/snapshot.jpg")
    view.close()
    view.close()
    eventually(lambda: set(threading.enumerate()) <= before)
    with pytest.raises(httpx.ConnectError):
        ask(view, "/")
    assert capfd.readouterr() == ("", "")
