"""Slow, dead, rude and many viewers: what they cost is bounded, and the others see nothing of it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from live_scene import Scene, ask, eventually, new_state, publish

from edgeclf.streaming.loop.state import LiveState
from edgeclf.streaming.page.limits import Limits
from edgeclf.streaming.page.replies import json_reply
from edgeclf.streaming.page.server import WebView

pytestmark = pytest.mark.alone

Serve = Callable[..., WebView]
STREAM = b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def state() -> LiveState:
    state = new_state()
    publish(state, "red", 0)
    return state


@pytest.fixture
def serve(state: LiveState) -> Iterator[Serve]:
    """Starts a page with limits of one's own."""
    with contextlib.ExitStack() as stack:

        def start(**limits: object) -> WebView:
            view = WebView(state, host="127.0.0.1", port=0, limits=Limits(**limits))  # type: ignore[arg-type]
            view.start()
            stack.callback(view.close)
            return view

        yield start


@contextlib.contextmanager
def connected(view: WebView, request: bytes = b"", receive_buffer: int | None = None) -> Iterator[socket.socket]:
    with socket.socket() as connection:
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", view.port))
        connection.sendall(request)
        yield connection


def answer_to(view: WebView, request: bytes) -> bytes:
    """Everything until the server ends the connection."""
    with connected(view) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(request)
        return until_closed(connection)


def until_closed(connection: socket.socket) -> bytes:
    answer = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65536):
            answer += piece
    return answer


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def noise(number: int) -> np.ndarray:  # type: ignore[type-arg]
    """A picture whose JPEG has some 300 kB."""
    return np.random.default_rng(number).integers(0, 255, (480, 640, 3), dtype=np.uint8)


def test_a_head_without_end_is_cut_off(serve: Serve) -> None:
    view = serve()
    for head in (b"GET /" + b"a" * 100_000, b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 20_000):
        assert answer_to(view, head).startswith(b"HTTP/1.1 431 Request Header Fields Too Large")
    assert ask(view, "/").status_code == 200


@pytest.mark.parametrize("size", [9_000, 15_000, 40_000, 70_000, 300_000, 3_000_000])
def test_a_url_that_is_too_long_is_refused_in_one_line_that_arrives(state: LiveState, serve: Serve, size: int) -> None:
    view = serve()
    for _ in range(2):
        reply = answer_to(view, b"GET /?x=" + b"a" * size + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert reply.startswith((b"HTTP/1.1 414 ", b"HTTP/1.1 431 ")), reply[:100]
        assert b"URL" in reply
        head = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"a" * (size + 10_000)
        assert answer_to(view, head + b"\r\n\r\n").startswith(b"HTTP/1.1 431 ")
    assert ask(view, "/?x=" + "a" * 8000).status_code == 200
    assert state.problems.ever() == {}


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        (b"POST /api/collected/a/label", b"Content-Length: 65537\r\n\r\n" + b"a" * 65537, b"413"),
        (b"POST /api/collected/a/label", b"Content-Length: 99999999999999999999\r\n\r\n", b"413"),
        (b"POST /api/collected/a/label", b"Content-Length: -1\r\n\r\n", b"400"),
        (b"POST /nothing", b"Transfer-Encoding: chunked\r\n\r\n" + b"5\r\nhello\r\n" * 1000, b"404"),
        (b"GET /", b"Content-Length: 5\r\n\r\nhello", b"400"),
        (b"GET /healthz", b"Transfer-Encoding: chunked\r\n\r\n" + b"5\r\nhello\r\n" * 1000, b"400"),
        (b"GET /stream.mjpg", b"Content-Length: 1\r\n\r\n", b"400"),
    ],
)
def test_a_body_that_nobody_wants_ends_the_connection(serve: Serve, head: bytes, body: bytes, status: bytes) -> None:
    request = head + b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + body
    assert answer_to(serve(request_seconds=1000), request).startswith(b"HTTP/1.1 " + status)


def test_garbage_changes_nothing(state: LiveState, serve: Serve) -> None:
    view = serve()
    random = np.random.default_rng(5)
    before = descriptors()
    good = b"GET /api/state HTTP/1.1\r\nHost: localhost\r\nCookie: a=b\r\n\r\n"
    for number in range(150):
        request = bytearray(random.bytes(int(random.integers(1, 400))) if number % 3 else good)
        for _ in range(3):
            request[int(random.integers(len(request)))] = int(random.integers(256))
        with connected(view, bytes(request)) as connection:
            connection.shutdown(socket.SHUT_WR)
            until_closed(connection)
    assert ask(view, "/healthz").status_code == 200
    eventually(lambda: descriptors() <= before)
    assert state.problems.ever() == {}


def test_idle_and_half_sent_requests_are_closed(serve: Serve) -> None:
    view = serve(request_seconds=0.3)
    halves = (b"", b"GET / HT", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"POST / HTTP/1.1\r\nHost: l")
    for request in halves:
        with connected(view, request) as connection:
            until_closed(connection)  # ends


def test_a_viewer_is_not_idle(state: LiveState, serve: Serve) -> None:
    view = serve(request_seconds=0.2)
    with connected(view, STREAM) as connection:
        connection.recv(1000)
        began = time.monotonic()
        eventually(lambda: time.monotonic() > began + 1)
        assert view.viewers == 1


def test_where_there_are_too_many_the_longest_idle_makes_room(serve: Serve) -> None:
    view = serve(connections=20)
    with contextlib.ExitStack() as stack:
        stack.enter_context(connected(view, STREAM)).recv(1000)  # works, and is therefore not touched
        idle = [stack.enter_context(connected(view)) for _ in range(100)]
        assert ask(view, "/healthz").status_code == 200
        for connection in idle[:50]:
            assert until_closed(connection) == b""
        assert view.viewers == 1
        assert len(view._server.server_state.connections) <= 20


def test_one_thousand_idle_connections_leave_nothing_behind(serve: Serve) -> None:
    view = serve()
    ask(view, "/")
    before = descriptors()
    with contextlib.ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(connected(view))
        assert ask(view, "/healthz").status_code == 200
        eventually(lambda: len(view._server.server_state.connections) <= Limits().connections)
        assert descriptors() - before <= 1000 + Limits().connections + 1
    eventually(lambda: descriptors() <= before)


def test_streams_are_counted(serve: Serve) -> None:
    view = serve(streams=2)
    with connected(view, STREAM) as one, connected(view, STREAM) as two:
        one.recv(1000)
        two.recv(1000)
        refused = ask(view, "/stream.mjpg")
        assert refused.status_code == 503
        assert "too many viewers" in refused.text
        assert ask(view, "/api/events", "HEAD").status_code == 200
    eventually(lambda: view.viewers == 0)
    with connected(view, STREAM) as again:
        assert again.recv(1000).startswith(b"HTTP/1.1 200")


def test_who_reads_slowly_misses_pictures_and_then_sees_the_newest(state: LiveState, serve: Serve) -> None:
    view = serve()
    with connected(view, STREAM, receive_buffer=32768) as slow, connected(view, STREAM) as fast:
        received = slow.recv(100)
        for number in range(1, 31):
            publish(state, "red", number, noise(number))
            newest = f"X-Sequence: {number + 1}\r\n".encode()
            read = b""
            while newest not in read:  # the fast one sees every picture, however slow the other is
                read += fast.recv(65536)
        while newest not in received:
            received += slow.recv(65536)
    # The first, the one that was on its way when the kernel was full, and the newest; what came between was dropped.
    assert received.count(b"X-Sequence: ") <= 3


def test_a_reader_that_stopped_is_left(state: LiveState, serve: Serve) -> None:
    view = serve(send_seconds=0.3)
    with Scene(state, paint=lambda label, number: noise(number)), connected(view, STREAM, 32768) as connection:
        connection.recv(100)
        eventually(lambda: view.viewers == 1)
        eventually(lambda: view.viewers == 0)
        eventually(lambda: not view._server.server_state.connections)


def test_closing_takes_less_than_two_seconds_whoever_watches(state: LiveState, serve: Serve) -> None:
    before, threads = descriptors(), set(threading.enumerate())
    view = serve()
    with Scene(state, paint=lambda label, number: noise(number)), contextlib.ExitStack() as stack:
        for number in range(40):
            path = b"api/events" if number % 4 == 0 else b"stream.mjpg"
            connection = stack.enter_context(connected(view, STREAM.replace(b"stream.mjpg", path), 32768))
            assert connection.recv(10) == b"HTTP/1.1 2"  # and nothing is read any more
        for _ in range(100):
            stack.enter_context(connected(view))
        eventually(lambda: view.viewers == 30)
        began = time.monotonic()
        view.close()
        assert time.monotonic() - began < 2
    eventually(lambda: set(threading.enumerate()) <= threads)
    eventually(lambda: descriptors() <= before)


def test_many_at_once_are_all_answered(serve: Serve) -> None:
    view = serve()
    with httpx.Client(timeout=30, verify=False, trust_env=False) as client, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: client.get(view.url + "api/state").status_code, range(100)))
    assert answers == [200] * 100


def test_a_reply_carries_names_that_are_no_utf_8() -> None:
    body = json_reply({"source": "caf\udce9.mp4"}).body
    assert json.loads(bytes(body)) == {"source": "caf\udce9.mp4"}
