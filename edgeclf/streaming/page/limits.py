"""Bounds on what viewers of the page may cost, and how they are kept for each connection, below HTTP."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from edgeclf.extras import extras

DROP_SECONDS, DROPPED_BYTES = 2.0, 4 << 20
"""How long, and how much of, a refused request is taken and dropped, so that the refusal reaches its viewer."""


@dataclass(frozen=True)
class Limits:
    """Bounds on what strangers, slow readers and forgotten tabs may cost.

    Args:
        connections: open at once; with more, the one that has been idle longest is closed. All descriptors of the
            process stay below 1024 that way: OpenCV waits for a camera with select(), which writes past its own
            memory when a camera, opened again, gets a higher number.
        streams: pictures streamed at once, and as many event streams; one more gets 503.
        url_bytes: of a request's path and query.
        head_bytes: of a request's first line and headers.
        body_bytes: of a request's body.
        request_seconds: a connection may take to send a request, and may stay idle between two.
        send_seconds: nothing of what was sent is taken; then the connection is closed.
        send_buffer_bytes: that the kernel holds for a viewer, so that a slow one sees a late picture, not a queue.
        pictures_per_second: encoded at most.
        events_per_second: sent at most.
        picture_width: pixels; wider pictures are scaled down before they are encoded.
    """

    connections: int = 512
    streams: int = 64
    url_bytes: int = 8 * 1024
    head_bytes: int = 16 * 1024
    body_bytes: int = 64 * 1024
    request_seconds: float = 10.0
    send_seconds: float = 60.0
    send_buffer_bytes: int = 64 * 1024
    pictures_per_second: float = 30.0
    events_per_second: float = 10.0
    picture_width: int = 1280


class RefusingProtocol(asyncio.Protocol):
    """Makes refusals of uvicorn's HTTP/1.1 protocol reach their viewer; to be mixed in before it."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    _most_head_bytes = 0
    _refused = False
    _taken = 0

    def data_received(self, data: bytes) -> None:
        """Take a piece of a request; of one that is refused, drop it, within a bound."""
        self._taken += len(data)
        if not self._refused:
            super().data_received(data)
            if not self._is_idle():
                self._taken = 0
        elif self._taken > DROPPED_BYTES:
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, or has too long a head, and wait a moment until the viewer has read that."""
        status, text = "400 Bad Request", msg
        if self._taken > self._most_head_bytes:
            status, text = "431 Request Header Fields Too Large", "the URL, or the headers, are too long"
        body = f"{text}\n".encode()
        head = f"content-type: text/plain; charset=utf-8\r\ncontent-length: {len(body)}\r\nconnection: close"
        self.transport.write(f"HTTP/1.1 {status}\r\n{head}\r\n\r\n".encode() + body)
        self._refused, self._taken = True, 0
        self.transport.write_eof()
        self.loop.call_later(DROP_SECONDS, self.transport.abort)

    def _is_idle(self) -> bool:
        raise NotImplementedError


def make_bounded_protocol(limits: Limits) -> type[asyncio.Protocol]:
    """Derive uvicorn's HTTP/1.1 protocol so that every connection stays within `limits`.

    Uvicorn's public settings do not reach that, so its protocol class is extended, which is no public interface:
    `limit_concurrency` replies 503 to new requests and closes no connection, so that idle ones keep their descriptors;
    `timeout_keep_alive` counts from the end of a response, so that a connection that never sends a request, or sends
    half of one, is kept for ever; and there is none for a reader that takes nothing, nor for the write buffer. What it
    refuses it closes at once, so that the system resets the connection while the rest of the request is still on its
    way, and the viewer never sees the reply.
    """
    with extras("--web"):
        from uvicorn.protocols.http.h11_impl import H11Protocol

    class BoundedProtocol(RefusingProtocol, H11Protocol):
        """One connection within its bounds."""

        _request_timer: asyncio.TimerHandle | None = None
        _reader_timer: asyncio.TimerHandle | None = None
        _seen: Any = None
        _most_head_bytes = limits.head_bytes

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            """Make room where there are too many: close the longest idle one, else the new one."""
            super().connection_made(transport)
            # A write counts as unfinished until the kernel has all of it, so that what comes next is the newest.
            transport.set_write_buffer_limits(0)
            self._since = self.loop.time()
            if len(self.connections) > limits.connections:
                self._make_room()
            self._watch_request()

        def connection_lost(self, exc: Exception | None) -> None:
            """Cancel the timers."""
            super().connection_lost(exc)
            for timer in (self._request_timer, self._reader_timer):
                if timer is not None:
                    timer.cancel()

        def pause_writing(self) -> None:
            """Start the time within which a slow reader must take something."""
            super().pause_writing()
            self._reader_timer = self.loop.call_later(limits.send_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            """Stop that time: the reader took all of it."""
            super().resume_writing()
            if self._reader_timer is not None:
                self._reader_timer.cancel()

        def _make_room(self) -> None:
            # Those that are aborted already stay in the set until the event loop's next turn.
            there = [c for c in self.connections if isinstance(c, BoundedProtocol) and not c.transport.is_closing()]
            if len(there) > limits.connections:
                idle = (c for c in there if c is not self and c._is_idle())
                min(idle, key=lambda c: c._since, default=self).transport.abort()

        def _is_idle(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

        def _watch_request(self) -> None:
            if self._is_idle() and self._request_timer is not None and self.cycle is self._seen:
                self.transport.abort()  # no request since the last look
                return
            self._seen = self.cycle
            self._request_timer = self.loop.call_later(limits.request_seconds, self._watch_request)

    return BoundedProtocol
