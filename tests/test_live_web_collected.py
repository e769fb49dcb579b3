"""Collected frames are labelled through the page."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator

import httpx
import pytest
from live_scene import ask, eventually, new_state
from live_shelf import Shelf

from edgeclf.errors import RunFailedError
from edgeclf.streaming.page.limits import Limits
from edgeclf.streaming.page.server import WebView


@pytest.fixture
def shelf() -> Shelf:
    return Shelf(["20260131-120000-001", "second one", "third"], {"red": 0.5, "blue": 0.4})


@pytest.fixture
def client(shelf: Shelf) -> Iterator[httpx.Client]:
    view = WebView(new_state(), host="127.0.0.1", port=0, collected=shelf, limits=Limits(request_seconds=1))
    view.start()
    with httpx.Client(base_url=view.url, timeout=30, verify=False, trust_env=False) as client:
        yield client
    view.close()


def test_what_waits_is_listed_and_shown(client: httpx.Client) -> None:
    answer = client.get("/api/collected").json()
    assert answer["labels"] == ["red", "blue", "green"]
    assert answer["images"][0] == {
        "name": "20260131-120000-001",
        "time": "2026-01-31T12:00:00+00:00",
        "reason": "unsure",
        "scores": {"red": 0.5, "blue": 0.4},
    }
    picture = client.get("/api/collected/second%20one.jpg")
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.content[:2] == b"\xff\xd8"
    assert client.get("/api/state").json()["collecting"] is True


def test_a_label_sorts_and_a_discard_deletes(client: httpx.Client, shelf: Shelf) -> None:
    answer = client.post("/api/collected/second%20one/label", json={"label": " new class "})
    assert answer.json().items() >= {"name": "second one", "label": "new class"}.items()
    assert client.post("/api/collected/third/discard", json={}).status_code == 200
    assert shelf.sorted == {"second one": "new class"}
    assert [image["name"] for image in client.get("/api/collected").json()["images"]] == ["20260131-120000-001"]


def test_a_frame_that_is_gone_is_not_found(client: httpx.Client, shelf: Shelf) -> None:
    for answer in (
        client.get("/api/collected/gone.jpg"),
        client.post("/api/collected/gone/label", json={"label": "red"}),
        client.post("/api/collected/gone/discard", json={}),
        client.get("/api/collected/.index.jpg"),
        client.get("/api/collected/..%2Fthird.jpg"),
        client.get("/api/collected/..%5Cthird.jpg"),
    ):
        assert answer.status_code == 404
    assert len(shelf.waiting) == 3


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "must be JSON such as"),
        (b"[]", 400, "must be JSON such as"),
        (b'{"label": 5}', 400, "must be JSON such as"),
        (b'{"label": "  "}', 400, "must be JSON such as"),
        (b"\xff", 400, "must be JSON such as"),
        (b"[" * 60_000, 400, "must be JSON such as"),
        (b'{"label": "' + b"a" * 1001 + b'"}', 400, "at most 1000 characters"),
        (b'{"label": "unfit"}', 400, "no folder can be called that"),
        (b'{"label": "' + b"a" * 70_000 + b'"}', 413, "the body may have 65536 bytes"),
    ],
)
def test_a_label_that_cannot_be_is_refused(
    client: httpx.Client, shelf: Shelf, body: bytes, status: int, message: str
) -> None:
    answer = client.post("/api/collected/third/label", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert message in answer.text
    assert shelf.sorted == {}


def test_a_form_of_another_page_cannot_label(client: httpx.Client, shelf: Shelf) -> None:
    body = b'{"label": "red"}'
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", ""):
        answer = client.post("/api/collected/third/label", content=body, headers={"Content-Type": content_type})
        assert answer.status_code == 415
    assert shelf.sorted == {}
    host = client.base_url.netloc.decode()
    own = {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/api/collected/third/label", json={"label": "red"}, headers=own).status_code == 200


def test_a_body_in_pieces_is_bounded_in_size_and_time(client: httpx.Client, shelf: Shelf) -> None:
    headers = {"Content-Type": "application/json"}
    answer = client.post("/api/collected/third/label", content=iter([b"a" * 30_000] * 4), headers=headers)
    assert answer.status_code == 413
    answer = client.post("/api/collected/third/label", content=iter([b'{"label"', b': "red"}']), headers=headers)
    assert answer.status_code == 200
    with socket.create_connection((client.base_url.host, client.base_url.port)) as connection:
        connection.settimeout(20)
        connection.sendall(
            b"POST /api/collected/second/label HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 20\r\n\r\n{"
        )
        assert b"HTTP/1.1 408" in connection.recv(1000)


def test_a_full_disk_is_a_problem_until_sorting_works_again(shelf: Shelf) -> None:
    state = new_state()
    view = WebView(state, host="127.0.0.1", port=0, collected=shelf, camera=False)
    view.start()
    try:
        for failure, line in (
            (RunFailedError("photos: the disk is full"), "photos: the disk is full"),
            (OSError(5, "Input/output error"), "input/output error"),
        ):
            shelf.failure = failure
            assert ask(view, "/api/collected/third/label", "POST", json={"label": "red"}).status_code == 500
            shelf.failure = None
            assert ask(view, "/api/collected").status_code == 200  # the page goes on asking
            assert ask(view, "/api/collected/third/label", "POST", json={"label": ""}).status_code == 400
            assert state.problems.now() == {"web page sorting": line}
            body = {"names": list(shelf.waiting)[:1], "label": "red"}
            assert ask(view, "/api/collected/label", "POST", json=body).status_code == 200
            assert state.problems.now() == {}
    finally:
        view.close()


def test_a_request_that_failed_is_a_problem_until_the_next_one(shelf: Shelf) -> None:
    state = new_state()
    view = WebView(state, host="127.0.0.1", port=0, collected=shelf)
    view.start()
    try:
        shelf.failure = KeyError("nobody thought of it")
        assert ask(view, "/api/collected/third.jpg").status_code == 500
        assert "nobody thought of it" in state.problems.now()["web page requests"]
        assert ask(view, "/api/collected/.index.jpg").status_code == 404  # did not work either
        assert list(state.problems.now()) == ["web page requests"]
        assert ask(view, "/api/state").status_code == 200
        assert state.problems.now() == {}
    finally:
        view.close()


def test_a_full_disk_is_told_in_one_line(client: httpx.Client, shelf: Shelf) -> None:
    shelf.failure = RunFailedError("photos: the disk is full")
    answer = client.post("/api/collected/third/label", json={"label": "red"})
    assert (answer.status_code, answer.json()) == (500, {"error": "photos: the disk is full"})
    shelf.failure = OSError(5, "Input/output error")
    answer = client.post("/api/collected/third/discard", json={})
    assert (answer.status_code, answer.json()) == (500, {"error": "input/output error"})
    shelf.failure = None
    assert client.post("/api/collected/third/discard", json={}).status_code == 200


def test_many_are_sorted_or_deleted_at_once_and_brought_back(client: httpx.Client, shelf: Shelf) -> None:
    names = ["third", "second one", "gone by now"]
    reply = client.post("/api/collected/label", json={"names": names, "label": "t-shirt/top"}).json()
    assert reply["names"] == ["third", "second one"]
    assert (reply["gone"], reply["label"]) == (["gone by now"], "t-shirt/top")
    listed = client.get("/api/collected").json()
    assert listed["waiting"] == 1
    assert [(one["label"], one["count"]) for one in listed["decisions"]] == [("t-shirt/top", 2)]
    client.post("/api/collected/discard", json={"names": ["20260131-120000-001"]})
    assert client.post("/api/collected/discard", json={"names": ["third"]}).status_code == 404
    decisions = client.get("/api/collected").json()["decisions"]
    assert [(one["label"], one["count"]) for one in decisions] == [(None, 1), ("t-shirt/top", 2)]
    for decision, count in zip(decisions, (1, 2), strict=True):
        undone = client.post("/api/collected/undo", json={"decision": decision["id"]})
        assert undone.json() == {"restored": count, "gone": 0}
        assert client.post("/api/collected/undo", json={"decision": decision["id"]}).status_code == 404
    assert client.get("/api/collected").json()["waiting"] == 3
    assert shelf.sorted == {}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("label", {"label": "red"}),
        ("label", {"names": [], "label": "red"}),
        ("label", {"names": ["third"] * 501, "label": "red"}),
        ("label", {"names": ["../third"], "label": "red"}),
        ("label", {"names": "third", "label": "red"}),
        ("discard", {"names": [7]}),
        ("discard", []),
        ("undo", {}),
        ("undo", {"decision": ["a"]}),
    ],
)
def test_a_body_for_many_that_cannot_be_is_refused(client: httpx.Client, shelf: Shelf, path: str, body: object) -> None:
    reply = client.post(f"/api/collected/{path}", json=body)
    assert (reply.status_code, "the body must be JSON" in reply.text) == (400, True)
    assert len(shelf.waiting) == 3


def test_a_label_is_sorted_to_whatever_its_signs(client: httpx.Client, shelf: Shelf) -> None:
    for name, label in (("third", "t-shirt / top"), ("second one", "../up" + "x" * 300)):
        assert client.post(f"/api/collected/{name}/label", json={"label": label}).json()["label"] == label
        assert shelf.sorted[name] == label


def test_a_viewer_who_leaves_while_posting_is_no_problem_of_the_page(shelf: Shelf) -> None:
    state = new_state()
    view = WebView(state, host="127.0.0.1", port=0, collected=shelf)
    view.start()
    head = b"POST /api/collected/third/label HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    try:
        for reset in (False, True):
            with socket.create_connection(("127.0.0.1", view.port)) as connection:
                connection.sendall(head + b"Content-Length: 20\r\n\r\n{")
                if reset:  # RST instead of FIN
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        eventually(lambda: not view._server.server_state.connections)
        assert ask(view, "/healthz").status_code in (200, 503)
        assert state.problems.ever() == {}
    finally:
        with contextlib.suppress(RuntimeError):
            view.close()
    assert len(shelf.waiting) == 3


def test_without_a_camera_the_page_is_that_of_collected_frames(shelf: Shelf) -> None:
    view = WebView(new_state(), host="127.0.0.1", port=0, collected=shelf, camera=False)
    view.start()
    try:
        assert "edgeclf <span>collected</span>" in ask(view, "/").text
        assert ask(view, "/api/collected").json()["waiting"] == 3
        assert ask(view, "/healthz").json() == {"status": "ok"}
        for path in ("/stream.mjpg", "/api/state", "/api/events", "/snapshot.jpg"):
            assert ask(view, path).status_code == 404
    finally:
        view.close()
