"""Decide who may see the page: everybody on this machine; from elsewhere, those with the token."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from edgeclf.errors import InputError
from edgeclf.streaming.page.address import LOOPBACK, is_loopback

SHORTEST_TOKEN = 16
LOOPBACK_NAMES = (*LOOPBACK, "localhost")


@dataclass(frozen=True)
class Access:
    """The rule for one address. There is none without a token, unless the address is 127.0.0.1 or ::1.

    Args:
        host: numeric address that is served.
        token: at least 16 printable characters without spaces; None only for an address of this machine alone.

    Raises:
        InputError: the token is missing or too short.
    """

    host: str
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.token is None:
            if not is_loopback(self.host):
                raise InputError(f"serving {self.host} needs a token, because others can reach it")
            return
        if len(self.token) < SHORTEST_TOKEN:
            raise InputError(f"a token has at least {SHORTEST_TOKEN} characters, got {len(self.token)}")
        if not all("!" <= sign <= "~" for sign in self.token):
            raise InputError("a token is made of printable ASCII characters without spaces")

    @staticmethod
    def to(host: str, token: str | None = None) -> Access:
        """Make the rule for `host`, with a new token where one is needed and none is given."""
        if token is None and not is_loopback(host):
            token = secrets.token_urlsafe(32)
        return Access(host, token)

    def knows_host(self, host_header: str) -> bool:
        """Return whether a browser meant this server.

        A page elsewhere can let its own name point to 127.0.0.1, and would then read this one as if it were its own
        (DNS rebinding); the Host header shows that. Where there is a token, such a page lacks the cookie anyway.
        """
        if not is_loopback(self.host):
            return True
        try:
            return urlsplit(f"//{host_header}").hostname in LOOPBACK_NAMES
        except ValueError:
            return False

    def token_in(self, query: str) -> bool:
        """Return whether the query of a URL carries the right token."""
        try:
            given = parse_qs(query, max_num_fields=20).get("token", [""])[-1]
        except ValueError:
            return False
        return self._is_token(given)

    def lets_in(self, headers: Mapping[str, str], query: str, cookie_name: str) -> bool:
        """Return whether a request shows the token: as `Authorization: Bearer`, as the cookie, or in its query."""
        if self.token is None:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is_token(given.strip()):
            return True
        for pair in headers.get("cookie", "").split(";"):
            name, _, value = pair.strip().partition("=")
            if name == cookie_name and hmac.compare_digest(value.encode(), self.cookie().encode()):
                return True
        return self.token_in(query)

    def cookie(self) -> str:
        """Return the content of the cookie: not the token, since browsers show cookies to all ports of a machine."""
        return hmac.new((self.token or "").encode(), b"edgeclf live page", hashlib.sha256).hexdigest()

    def _is_token(self, given: str) -> bool:
        return self.token is not None and hmac.compare_digest(given.encode(), self.token.encode())


def is_own_request(headers: Mapping[str, str]) -> bool:
    """Return whether a request comes from this page, or from no page at all (a program, the address bar)."""
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    try:
        return origin is None or urlsplit(origin).netloc == headers.get("host")
    except ValueError:
        return False
