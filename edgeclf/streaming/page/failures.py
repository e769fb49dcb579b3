"""Report requests that fail as problems of the page, and end a problem with the next request that succeeds."""

from __future__ import annotations

from edgeclf.errors import one_line
from edgeclf.streaming.page.encoder import PART
from edgeclf.streaming.page.stream import Application, Message, Receive, Scope, Send
from edgeclf.streaming.supervision.problems import Problems

REQUESTS, SORTING = f"{PART} requests", f"{PART} sorting"


class FailureWatch:
    """An ASGI application around another.

    Requests that change something have a problem of their own: the page goes on asking what waits for a label, and
    that this succeeds says nothing about a disk that is too full to sort on.

    Args:
        inner: responds; where it fails, it calls `begin_failure`.
        problems: where failures are reported.
    """

    def __init__(self, inner: Application, problems: Problems) -> None:
        self._inner, self._problems = inner, problems

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request, and end the problem of its kind where it succeeds."""

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                self._problems.end(find_part(scope["method"]))
            await send(message)

        await self._inner(scope, receive, watch)


def begin_failure(problems: Problems, method: str, error: Exception) -> None:
    """Report that a request failed, through no fault of who asked."""
    problems.begin(find_part(method), one_line(error))


def find_part(method: str) -> str:
    """Return the part that a request belongs to, by its HTTP method."""
    return REQUESTS if method in ("GET", "HEAD") else SORTING
