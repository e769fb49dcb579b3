"""The feed behind the page's streams: shared by all viewers, made only while somebody looks, and never silent.

What viewers see of it is in `test_live_web_api.py`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import pytest

from edgeclf.streaming.page.feed import Feed, FeedFailedError


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
