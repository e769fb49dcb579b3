"""Read bodies of requests within their bounds, and reply in JSON, errors too."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from edgeclf.errors import InputError, UnknownNameError
from edgeclf.json_text import write_json
from edgeclf.streaming.page.limits import Limits

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


class UnknownPathError(InputError):
    """There is nothing at that path."""


class BodyError(InputError):
    """The body of a request is not what was expected; carries the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def respond_to_error(request: Request, error: Exception) -> Response:
    """Respond to bad input: 404 where a name is unknown, else 400; 500 where it is no fault of who asked."""
    status = 404 if isinstance(error, (UnknownNameError, UnknownPathError)) else 400
    if isinstance(error, BodyError):
        status = error.status
    elif not isinstance(error, InputError):
        status = 500
    elif request.method in ("GET", "HEAD"):
        status = 404
    return json_reply({"error": str(error)}, status)


async def respond_to_leaving(request: Request, error: Exception) -> Response:
    """Respond to a viewer who left while a body was on its way: nobody reads it, and nothing was done."""
    return json_reply({"error": "the body is not complete"}, 400)


def json_reply(document: dict[str, Any], status: int = 200) -> Response:
    """Make a reply of one JSON document."""
    from starlette.responses import Response

    content = write_json(document).encode() + b"\n"
    return Response(content, status, media_type="application/json")


async def read_body(request: Request, limits: Limits) -> bytes:
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
