"""Check every request and add headers to every response: the outermost layer of the page."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, quote, urlencode

from edgeclf.streaming.page.access import LOOPBACK_NAMES, Access, is_own_request
from edgeclf.streaming.page.limits import Limits
from edgeclf.streaming.page.stream import Application, Message, Receive, Scope, Send

HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        b"base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
OPEN_TO_ALL = ("/healthz", "/page.css", "/icon.svg")
"""Paths that need no token: whether it is well, and what the page that asks for the token looks like."""

HTML, TEXT = b"text/html; charset=utf-8", b"text/plain; charset=utf-8"


class Guard:
    """An ASGI application around another.

    Args:
        inner: gets the requests that may pass.
        access: who may see the page.
        cookie_name: differs between servers on one machine.
        limits: bounds of a request.
        token_page: HTML that asks for the token.
    """

    def __init__(self, inner: Application, access: Access, cookie_name: str, limits: Limits, token_page: bytes) -> None:
        self._inner, self._access, self._cookie_name = inner, access, cookie_name
        self._limits, self._token_page = limits, token_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request."""
        if scope["type"] != "http":
            return
        method, path = scope["method"], scope["path"]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope["query_string"].decode("latin-1")
        reply = _Reply(send, close=method not in ("GET", "HEAD"))

        if not self._access.knows_host(headers.get("host", "")):
            await reply(421, f"this server responds to {', '.join(LOOPBACK_NAMES)} only\n".encode())
        elif len(scope["raw_path"]) + len(query) > self._limits.url_bytes:
            await reply(414, f"a URL may have {self._limits.url_bytes} bytes here\n".encode(), last=True)
        elif sum(len(name) + len(value) for name, value in scope["headers"]) > self._limits.head_bytes:
            await reply(431, f"headers may have {self._limits.head_bytes} bytes\n".encode(), last=True)
        elif method in ("GET", "HEAD") and _has_body(headers):
            await reply(400, b"a GET request has no body\n", last=True)
        elif _announced(headers) > self._limits.body_bytes:
            await reply(413, f"the body may have {self._limits.body_bytes} bytes\n".encode(), last=True)
        elif path in OPEN_TO_ALL and method in ("GET", "HEAD"):
            await self._inner(scope, receive, reply.send)
        elif not self._access.lets_in(headers, query, self._cookie_name):
            await self._refuse(reply, path, headers, "token=" in query)
        elif path != "/" and not is_own_request(headers):
            await reply(403, b"another page asked for this; open the live page itself\n")
        elif path == "/" and self._access.token is not None and self._access.token_in(query):
            await self._welcome(reply, query)
        else:
            await self._inner(scope, receive, reply.send)

    async def _refuse(self, reply: _Reply, path: str, headers: dict[str, str], tried: bool) -> None:
        challenge = [(b"www-authenticate", b"Bearer")]
        if path == "/" or "text/html" in headers.get("accept", ""):
            page = self._token_page
            if tried:
                page = page.replace(b'id="wrong" hidden', b'id="wrong"')
            await reply(401, page, HTML, challenge)
        else:
            reason = {"error": "a token is needed: Authorization: Bearer TOKEN, or ?token=TOKEN"}
            await reply(401, json.dumps(reason).encode() + b"\n", b"application/json", challenge)

    async def _welcome(self, reply: _Reply, query: str) -> None:
        """Put the token into a cookie, and the same page into the address bar without it."""
        rest = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != "token"]
        place = "/" + ("?" + urlencode(rest, quote_via=quote) if rest else "")
        cookie = f"{self._cookie_name}={self._access.cookie()}; Path=/; HttpOnly; SameSite=Lax"
        await reply(303, b"", TEXT, [(b"location", place.encode()), (b"set-cookie", cookie.encode())])


class _Reply:
    """Sends one reply with the headers that all carry.

    Where a request may have a body, the connection ends with the reply: the rest of an endless body is never read.
    """

    def __init__(self, send: Send, close: bool) -> None:
        self._send, self._close = send, close

    async def __call__(
        self,
        status: int,
        body: bytes,
        media_type: bytes = TEXT,
        headers: list[tuple[bytes, bytes]] | None = None,
        last: bool = False,
    ) -> None:
        self._close |= last
        own = [(b"content-type", media_type), (b"content-length", str(len(body)).encode()), *(headers or [])]
        await self.send({"type": "http.response.start", "status": status, "headers": own})
        await self.send({"type": "http.response.body", "body": body})

    async def send(self, message: Message) -> None:
        """Pass a message of a reply on."""
        if message["type"] == "http.response.start":
            closing = [(b"connection", b"close")] if self._close else []
            message = {**message, "headers": [*message.get("headers", ()), *HEADERS, *closing]}
        await self._send(message)


def _announced(headers: dict[str, str]) -> int:
    length = headers.get("content-length", "0")
    return int(length) if length.isdigit() else 0


def _has_body(headers: dict[str, str]) -> bool:
    return _announced(headers) > 0 or "transfer-encoding" in headers
