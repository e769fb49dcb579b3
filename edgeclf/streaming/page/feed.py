"""Hand the newest item to any number of watchers: made once for all of them, and only while somebody watches."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")


class FeedFailedError(Exception):
    """The feed could not make an item; its stream ends, and the viewer connects again."""


class Numbered(NamedTuple, Generic[Item]):
    """An item and its place in the order in which they were made, from 1."""

    number: int
    item: Item


class Feed(Generic[Item]):
    """Watchers take the newest item and miss what they are too slow for. All of it happens in one event loop.

    Where `make` fails, each watcher gets FeedFailedError, and the next watcher that enters starts it again.

    Args:
        make: returns a new item, or None where there is nothing new.
        period: seconds between two items, at least.
        poll: seconds until `make` is asked again after it had nothing.
        report: called with the failure of `make`, and with None when items are made again.
    """

    def __init__(
        self,
        make: Callable[[], Awaitable[Item | None]],
        period: float,
        poll: float,
        report: Callable[[Exception | None], None] = lambda error: None,
    ) -> None:
        self._make, self._period, self._poll, self._report = make, period, poll, report
        self._newest: Numbered[Item] | None = None
        self._made = 0
        self._change = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failed = False
        self.watchers = 0

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Make items while at least one watcher is inside."""
        self.watchers += 1
        if self._task is None:
            self._newest = None  # from when somebody watched last
            self._task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self.watchers -= 1
            if not self.watchers and self._task:
                self._task.cancel()
                self._task = None

    async def newer(self, number: int) -> Numbered[Item]:
        """Wait for an item whose number is above `number`, and return the newest.

        Raises:
            FeedFailedError: no further item is made.
        """
        while self._newest is None or self._newest.number <= number:
            if self._task is None:
                raise FeedFailedError
            task, change = self._task, self._change
            await change.wait()
            if self._task is not task:
                raise FeedFailedError
        return self._newest

    async def _run(self) -> None:
        try:
            await self._make_items()
        except Exception as error:  # noqa: BLE001 - whatever it was, viewers must not wait for ever
            self._task, self._newest, self._failed = None, None, True
            self._announce()
            self._report(error)

    async def _make_items(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            item = await self._make()
            if item is None:
                await asyncio.sleep(self._poll)
                continue
            if self._failed:
                self._failed = False
                self._report(None)
            self._made += 1
            self._newest = Numbered(self._made, item)
            self._announce()
            await asyncio.sleep(max(0.0, started + self._period - loop.time()))

    def _announce(self) -> None:
        change, self._change = self._change, asyncio.Event()
        change.set()
