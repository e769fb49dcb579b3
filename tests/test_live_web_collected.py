"""Collected frames are labelled through the page."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import httpx
import pytest
from live_scene import new_state, picture_of

from edgeclf.errors import InputError, RunFailedError, UnknownNameError
from edgeclf.streaming.collection.collected import CollectedImage
from edgeclf.streaming.page.limits import Limits
from edgeclf.streaming.page.server import WebView


class Shelf:
    """Collected frames in memory."""

    def __init__(self, names: list[str]) -> None:
        self.waiting = {
            name: CollectedImage(name, "2026-01-31T12:00:00+00:00", "unsure", {"red": 0.5, "blue": 0.4})
            for name in names
        }
        self.sorted: dict[str, str] = {}
        self.failure: Exception | None = None

    def labels(self) -> list[str]:
        return ["red", "blue", "green"]

    def pending(self, limit: int) -> list[CollectedImage]:
        return list(self.waiting.values())[:limit]

    def jpeg(self, name: str) -> bytes:
        self._check(name)
        return cv2.imencode(".jpg", picture_of("red", 0))[1].tobytes()

    def label(self, name: str, label: str) -> None:
        self._check(name)
        if label == "unfit":
            raise InputError("no folder can be called that")
        del self.waiting[name]
        self.sorted[name] = label

    def discard(self, name: str) -> None:
        self._check(name)
        del self.waiting[name]

    def _check(self, name: str) -> None:
        if self.failure:
            raise self.failure
        if name not in self.waiting:
            raise UnknownNameError("image", name, self.waiting)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf(["20260131-120000-001", "second one", "third"])


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
    assert answer.json() == {"name": "second one", "label": "new class"}
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
        (b'{"label": "../up"}', 400, "a label has"),
        (b'{"label": "a\\\\b"}', 400, "a label has"),
        (b'{"label": ".hidden"}', 400, "a label has"),
        (b'{"label": "a\\u0000b"}', 400, "a label has"),
        (b'{"label": "' + b"a" * 101 + b'"}', 400, "at most 100 characters"),
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
    import socket

    with socket.create_connection((client.base_url.host, client.base_url.port)) as connection:
        connection.settimeout(20)
        connection.sendall(
            b"POST /api/collected/second/label HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 20\r\n\r\n{"
        )
        assert b"HTTP/1.1 408" in connection.recv(1000)


def test_a_full_disk_is_told_in_one_line(client: httpx.Client, shelf: Shelf) -> None:
    shelf.failure = RunFailedError("photos: the disk is full")
    answer = client.post("/api/collected/third/label", json={"label": "red"})
    assert (answer.status_code, answer.json()) == (500, {"error": "photos: the disk is full"})
    shelf.failure = OSError(5, "Input/output error")
    answer = client.post("/api/collected/third/discard", json={})
    assert (answer.status_code, answer.json()) == (500, {"error": "input/output error"})
    shelf.failure = None
    assert client.post("/api/collected/third/discard", json={}).status_code == 200
