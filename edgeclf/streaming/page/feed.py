"""The newest of something, for any number of watchers: made once for all, and only while somebody looks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")


class Numbered(NamedTuple, Generic[Item]):
    """An item and its place in the order in which they were made, from 1."""

    number: int
    item: Item


class Feed(Generic[Item]):
    """Watchers take the newest item and miss what they are too slow for. All of it happens in one event loop.

    Args:
        make: gives a new item, or None where there is nothing new.
        period: seconds between two items, at least.
        poll: seconds until `make` is asked again after it had nothing.
    """

    def __init__(self, make: Callable[[], Awaitable[Item | None]], period: float, poll: float) -> None:
        self._make, self._period, self._poll = make, period, poll
        self._newest: Numbered[Item] | None = None
        self._made = 0
        self._change = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.watchers = 0

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Items are made while at least one watcher is inside."""
        self.watchers += 1
        if self._task is None:
            self._newest = None  # from when somebody looked last
            self._task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self.watchers -= 1
            if not self.watchers and self._task:
                self._task.cancel()
                self._task = None

    async def newer(self, number: int) -> Numbered[Item]:
        """The newest item, once its number is above `number`."""
        while self._newest is None or self._newest.number <= number:
            await self._change.wait()
        return self._newest

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            item = await self._make()
            if item is None:
                await asyncio.sleep(self._poll)
                continue
            self._made += 1
            self._newest = Numbered(self._made, item)
            change, self._change = self._change, asyncio.Event()
            change.set()
            await asyncio.sleep(max(0.0, started + self._period - loop.time()))
