"""The feed behind the page's streams: shared by all viewers, made only while somebody looks, and never silent."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest
from live_scene import eventually, new_state, publish

from edgeclf.streaming.loop.state import LiveState
from edgeclf.streaming.page.events import EventWriter
from edgeclf.streaming.page.feed import Feed, FeedFailedError
from edgeclf.streaming.page.server import WebView


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(work(), 20)

    asyncio.run(bounded())


def failing_once(failure: Exception) -> Callable[[], Awaitable[int]]:
    """Counts from 1, but fails at 2."""
    numbers = itertools.count(1)

    async def make() -> int:
        number = next(numbers)
        if number == 2:
            raise failure
        return number

    return make


def test_a_failure_reaches_every_watcher_and_the_next_one_starts_anew() -> None:
    reports: list[Exception | None] = []
    failure = ValueError("a scene that cannot be drawn")

    async def work() -> None:
        feed = Feed(failing_once(failure), 0.0, 0.001, reports.append)

        async def watch() -> int:
            with feed.watch():
                number = 0
                while True:
                    number, _ = await feed.newer(number)

        ends = await asyncio.gather(*(watch() for _ in range(3)), return_exceptions=True)
        assert [type(end) for end in ends] == [FeedFailedError] * 3
        assert feed.watchers == 0
        with feed.watch():
            assert (await feed.newer(0)).item == 3

    run(work)
    assert reports == [failure, None]


def test_a_watcher_that_was_busy_during_the_failure_is_not_left_waiting() -> None:
    async def work() -> None:
        failed = asyncio.Event()
        feed = Feed(failing_once(ValueError()), 0.0, 0.001, lambda error: failed.set())
        with feed.watch():
            number, _ = await feed.newer(0)
            await failed.wait()  # it is writing to its viewer meanwhile
            with pytest.raises(FeedFailedError):
                await feed.newer(number)

    run(work)


@pytest.fixture
def state() -> LiveState:
    return new_state()


@pytest.fixture
def view(state: LiveState) -> Iterator[WebView]:
    view = WebView(state, host="127.0.0.1", port=0)
    view.start()
    yield view
    view.close()


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

    run(work)
