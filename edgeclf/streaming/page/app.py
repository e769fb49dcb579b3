"""Route the requests of the page."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeclf.errors import EdgeclfError, InputError, one_line
from edgeclf.extras import extras
from edgeclf.streaming.collection.images import CollectedImages
from edgeclf.streaming.loop.state import LiveState
from edgeclf.streaming.page.access import Access
from edgeclf.streaming.page.encoder import BOUNDARY, PART, PictureEncoder
from edgeclf.streaming.page.events import RETRY, EventWriter
from edgeclf.streaming.page.failures import FailureWatch, begin_failure
from edgeclf.streaming.page.feed import Feed
from edgeclf.streaming.page.guard import Guard
from edgeclf.streaming.page.health import find_failure
from edgeclf.streaming.page.limits import Limits
from edgeclf.streaming.page.replies import json_reply, respond_to_error, respond_to_leaving
from edgeclf.streaming.page.sorting import SortingRoutes
from edgeclf.streaming.page.stream import Slots, Stream, Write

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PAGE = Path(__file__).parent / "static"
FILES = {
    "/page.css": ("page.css", "text/css"),
    "/collected.js": ("collected.js", "text/javascript"),
    "/page.js": ("page.js", "text/javascript"),
    "/chart.js": ("chart.js", "text/javascript"),
    "/labelling.js": ("labelling.js", "text/javascript"),
    "/stream.js": ("stream.js", "text/javascript"),
    "/visible.js": ("visible.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
POLL_SECONDS = 0.015


class PageApplication:
    """Responds to requests. Made inside the event loop that serves it.

    Args:
        state: what is shown.
        access: who may see it.
        cookie_name: of the cookie that holds the proof of the token.
        limits: bounds on all of it.
        collected: frames that wait for a label; None where none are collected.
        encoding: does the encoding of pictures.
        reading: does what touches the disk.
        camera: there is one; else the page shows collected frames alone.
    """

    def __init__(
        self,
        state: LiveState,
        access: Access,
        cookie_name: str,
        limits: Limits,
        collected: CollectedImages | None,
        encoding: Executor,
        reading: Executor,
        camera: bool = True,
    ) -> None:
        self._state = state
        self._sorting = SortingRoutes(collected, reading, limits)
        self.closing = asyncio.Event()
        self._encoder = PictureEncoder(state, encoding, limits.picture_width)
        self._events = EventWriter(state, collected is not None)
        self.pictures = Feed(
            self._encoder.part, 1 / limits.pictures_per_second, POLL_SECONDS, self._report_to(f"{PART} pictures")
        )
        self.updates = Feed(
            self._events.update, 1 / limits.events_per_second, POLL_SECONDS, self._report_to(f"{PART} events")
        )
        self._picture_slots, self._event_slots = Slots(limits.streams), Slots(limits.streams)
        watched = FailureWatch(self._starlette(camera), state.problems)
        self.asgi = Guard(watched, access, cookie_name, limits, (PAGE / "token.html").read_bytes())

    def _report_to(self, part: str) -> Callable[[Exception | None], None]:
        """Return what reports the failures of a feed as a problem of `part`."""
        problems = self._state.problems

        def report(error: Exception | None) -> None:
            if error is None:
                problems.end(part)
            else:
                problems.begin(part, f"viewers were disconnected ({one_line(error)}); they connect again")

        return report

    def _starlette(self, camera: bool) -> Any:
        with extras("--web"):
            from starlette.applications import Starlette
            from starlette.requests import ClientDisconnect
            from starlette.routing import Route
        index = ("index.html", "text/html") if camera else ("collected.html", "text/html")
        files = {"/": index, **FILES}
        routes = [Route(path, _file(*kept)) for path, kept in files.items()]
        routes += self._camera_routes() if camera else [Route("/healthz", self._well)]
        routes += self._sorting.routes()
        handlers: dict[Any, Any] = {
            EdgeclfError: self._refused,
            ClientDisconnect: respond_to_leaving,
            500: self._failed,
        }
        return Starlette(routes=routes, exception_handlers=handlers)

    def _camera_routes(self) -> list[Any]:
        from starlette.routing import Route

        return [
            Route("/stream.mjpg", self._stream),
            Route("/snapshot.jpg", self._snapshot),
            Route("/healthz", self._health),
            Route("/api/state", self._whole_state),
            Route("/api/events", self._event_stream),
        ]

    async def _stream(self, request: Request) -> Any:
        async def produce(write: Write) -> None:
            if not self.pictures.watchers:
                self._encoder.forget()
            with self.pictures.watch():
                await write(f"--{BOUNDARY}\r\n".encode())
                number = 0
                while True:
                    await write(b"")
                    number, part = await self.pictures.newer(number)
                    await write(part)

        media_type = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
        return Stream(produce, media_type, self._picture_slots, self.closing)

    async def _event_stream(self, request: Request) -> Any:
        async def produce(write: Write) -> None:
            with self.updates.watch():
                await write(RETRY + self._events.whole())
                number = 0
                while True:
                    await write(b"")
                    number, event = await self.updates.newer(number)
                    await write(event)

        return Stream(produce, "text/event-stream", self._event_slots, self.closing)

    async def _snapshot(self, request: Request) -> Response:
        from starlette.responses import Response

        snapshot = await self._encoder.snapshot()
        if snapshot is None:
            return json_reply({"error": "there is no picture yet"}, 503)
        disposition = f'attachment; filename="{snapshot.name}"'
        return Response(snapshot.jpeg, media_type="image/jpeg", headers={"Content-Disposition": disposition})

    async def _health(self, request: Request) -> Response:
        reason = find_failure(self._state)
        if reason is None:
            return json_reply({"status": "ok"})
        return json_reply({"status": "failing", "reason": reason}, 503)

    async def _well(self, request: Request) -> Response:
        return json_reply({"status": "ok"})

    async def _whole_state(self, request: Request) -> Response:
        return json_reply(self._events.document())

    async def _refused(self, request: Request, error: Exception) -> Response:
        """Respond to bad input, or to work that cannot be finished, as on a full disk, which is a problem too."""
        if not isinstance(error, InputError):
            begin_failure(self._state.problems, request.method, error)
        return await respond_to_error(request, error)

    async def _failed(self, request: Request, error: Exception) -> Response:
        """Respond to an unexpected error, and report it as a problem, since the loop goes on."""
        begin_failure(self._state.problems, request.method, error)
        return json_reply({"error": one_line(error)}, 500)


def _file(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    """Make an endpoint with one fixed file: no path of a request ever becomes a path on the disk."""
    content = (PAGE / name).read_bytes()

    async def endpoint(request: Request) -> Response:
        from starlette.responses import Response

        return Response(content, media_type=media_type)

    return endpoint
