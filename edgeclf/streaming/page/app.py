"""Route the requests of the page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeclf.errors import EdgeclfError, InputError, UnknownNameError, one_line
from edgeclf.extras import extras
from edgeclf.streaming.collection.collected import CollectedImages
from edgeclf.streaming.loop.state import LiveState
from edgeclf.streaming.page.access import Access
from edgeclf.streaming.page.encoder import BOUNDARY, PART, PictureEncoder
from edgeclf.streaming.page.events import RETRY, EventWriter
from edgeclf.streaming.page.feed import Feed
from edgeclf.streaming.page.guard import Guard
from edgeclf.streaming.page.health import find_failure
from edgeclf.streaming.page.limits import Limits
from edgeclf.streaming.page.stream import Slots, Stream, Write

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PAGE = Path(__file__).parent / "static"
FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/chart.js": ("chart.js", "text/javascript"),
    "/labelling.js": ("labelling.js", "text/javascript"),
    "/stream.js": ("stream.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
MOST_PENDING = 12
LONGEST_LABEL = 100
LONGEST_NAME = 200
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
    ) -> None:
        self._state, self._limits, self._collected, self._reading = state, limits, collected, reading
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
        self.asgi = Guard(self._routes(), access, cookie_name, limits, (PAGE / "token.html").read_bytes())

    def _report_to(self, part: str) -> Callable[[Exception | None], None]:
        """Return what reports the failures of a feed as a problem of `part`."""
        problems = self._state.problems

        def report(error: Exception | None) -> None:
            if error is None:
                problems.end(part)
            else:
                problems.begin(part, f"viewers were disconnected ({one_line(error)}); they connect again")

        return report

    def _routes(self) -> Any:
        with extras("--web"):
            from starlette.applications import Starlette
            from starlette.routing import Route
        routes = [Route(path, _file(*kept)) for path, kept in FILES.items()]
        routes += [
            Route("/stream.mjpg", self._stream),
            Route("/snapshot.jpg", self._snapshot),
            Route("/healthz", self._health),
            Route("/api/state", self._whole_state),
            Route("/api/events", self._event_stream),
            Route("/api/collected", self._pending),
            Route("/api/collected/{name}.jpg", self._collected_picture),
            Route("/api/collected/{name}/label", self._label, methods=["POST"]),
            Route("/api/collected/{name}/discard", self._discard, methods=["POST"]),
        ]
        return Starlette(routes=routes, exception_handlers={EdgeclfError: _respond_to_error, 500: self._failed})

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
            return _json({"error": "there is no picture yet"}, 503)
        disposition = f'attachment; filename="{snapshot.name}"'
        return Response(snapshot.jpeg, media_type="image/jpeg", headers={"Content-Disposition": disposition})

    async def _health(self, request: Request) -> Response:
        reason = find_failure(self._state)
        if reason is None:
            return _json({"status": "ok"})
        return _json({"status": "failing", "reason": reason}, 503)

    async def _whole_state(self, request: Request) -> Response:
        return _json(self._events.document())

    async def _pending(self, request: Request) -> Response:
        collected = self._collecting()
        labels, images = await self._on_disk(lambda: (collected.labels(), collected.pending(MOST_PENDING)))
        return _json({"labels": labels, "images": [image.to_dict() for image in images]})

    async def _collected_picture(self, request: Request) -> Response:
        from starlette.responses import Response

        collected, name = self._collecting(), _name(request)
        return Response(await self._on_disk(lambda: collected.jpeg(name)), media_type="image/jpeg")

    async def _label(self, request: Request) -> Response:
        collected, name = self._collecting(), _name(request)
        label = _label_in(await _body(request, self._limits))
        await self._on_disk(lambda: collected.label(name, label))
        return _json({"name": name, "label": label})

    async def _discard(self, request: Request) -> Response:
        collected, name = self._collecting(), _name(request)
        await _body(request, self._limits)
        await self._on_disk(lambda: collected.discard(name))
        return _json({"name": name})

    async def _on_disk(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._reading, work)

    def _collecting(self) -> CollectedImages:
        if self._collected is None:
            raise UnknownPathError("no frames are collected; start with --collect DIR")
        return self._collected

    async def _failed(self, request: Request, error: Exception) -> Response:
        """Respond to an unexpected error, or a full disk, and report it as a problem, since the loop goes on."""
        self._state.problems.begin(PART, one_line(error))
        return _json({"error": one_line(error)}, 500)


class UnknownPathError(InputError):
    """There is nothing at that path."""


class BodyError(InputError):
    """The body of a request is not what was expected; carries the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def _respond_to_error(request: Request, error: Exception) -> Response:
    """Respond to bad input: 404 where a name is unknown, else 400."""
    status = 404 if isinstance(error, (UnknownNameError, UnknownPathError)) else 400
    if isinstance(error, BodyError):
        status = error.status
    elif not isinstance(error, InputError):
        status = 500
    elif request.method in ("GET", "HEAD"):
        status = 404
    return _json({"error": str(error)}, status)


def _file(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    """Make an endpoint with one fixed file: no path of a request ever becomes a path on the disk."""
    content = (PAGE / name).read_bytes()

    async def endpoint(request: Request) -> Response:
        from starlette.responses import Response

        return Response(content, media_type=media_type)

    return endpoint


def _json(document: dict[str, Any], status: int = 200) -> Response:
    from starlette.responses import Response

    content = json.dumps(document).encode() + b"\n"
    return Response(content, status, media_type="application/json")


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    if len(name) > LONGEST_NAME or name.startswith(".") or not name.isprintable() or set(name) & set("/\\"):
        raise UnknownPathError("there is no such image")
    return name


async def _body(request: Request, limits: Limits) -> bytes:
    """Read the body, within its bounds of size and time. JSON alone, which no form of another page can send.

    Raises:
        BodyError: it is too long, too slow, or not called JSON.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise BodyError(415, "the body must have the content type application/json")

    async def read() -> bytes:
        content = b""
        async for piece in request.stream():
            content += piece
            if len(content) > limits.body_bytes:
                raise BodyError(413, f"the body may have {limits.body_bytes} bytes")
        return content

    try:
        return await asyncio.wait_for(read(), limits.request_seconds)
    except asyncio.TimeoutError as error:
        raise BodyError(408, f"the body did not arrive within {limits.request_seconds:g} s") from error


def _label_in(body: bytes) -> str:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BodyError(400, 'the body must be JSON such as {"label": "cat"}') from error
    label = document.get("label") if isinstance(document, dict) else None
    if not isinstance(label, str) or not label.strip():
        raise BodyError(400, 'the body must be JSON such as {"label": "cat"}')
    label = label.strip()
    if len(label) > LONGEST_LABEL or label.startswith(".") or not label.isprintable() or set(label) & set("/\\"):
        raise BodyError(400, f"a label has at most {LONGEST_LABEL} characters, no slash, and does not begin with a dot")
    return label
