"""Send responses that do not end: each viewer is written to at its own speed, and its leaving is noticed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Write = Callable[[bytes], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Slots:
    """Places for viewers.

    Args:
        most: there are.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0


class Stream:
    """An ASGI response that `produce` writes for as long as the viewer stays and the server runs.

    `write(b"")` waits until what was written before has left; a producer that does so before it picks what to write
    next always writes the newest, and keeps no queue.

    Args:
        produce: writes, and never returns by itself.
        media_type: value of the Content-Type header.
        slots: one place is taken meanwhile; without a free one the response is 503.
        closing: set when the server ends.
    """

    def __init__(
        self, produce: Callable[[Write], Awaitable[None]], media_type: str, slots: Slots, closing: asyncio.Event
    ) -> None:
        self._produce, self._media_type, self._slots, self._closing = produce, media_type, slots, closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request."""
        if self._slots.taken >= self._slots.most:
            await _start_response(send, 503, b"text/plain; charset=utf-8", [(b"retry-after", b"10")])
            await send({"type": "http.response.body", "body": b"too many viewers; close one, or wait\n"})
            return
        await _start_response(send, 200, self._media_type.encode(), [])
        if scope["method"] != "HEAD":
            self._slots.taken += 1
            try:
                await self._run(receive, send)
            finally:
                self._slots.taken -= 1
        with contextlib.suppress(OSError):
            await send({"type": "http.response.body", "body": b""})

    async def _run(self, receive: Receive, send: Send) -> None:
        async def write(content: bytes) -> None:
            await send({"type": "http.response.body", "body": content, "more_body": True})

        async def left() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        async def produce() -> None:
            with contextlib.suppress(OSError):
                await self._produce(write)

        tasks = [asyncio.create_task(work) for work in (produce(), left(), self._closed())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _closed(self) -> None:
        await self._closing.wait()


async def _start_response(send: Send, status: int, media_type: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", media_type), *headers]})
