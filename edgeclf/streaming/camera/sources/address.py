"""Check addresses of streams, and show them without the passwords in them."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from edgeclf.errors import InputError

SCHEMES = ("http", "https", "rtmp", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp")

# Some cameras take them in the path: rtsp://host/user=admin&password=secret&channel=1
_SECRET = re.compile(r"(?i)(user|usr|login|pass|pwd|token|secret|key|auth)[^/]*[=:].*")


def split_address(address: str) -> SplitResult:
    """Split an address into its parts.

    Raises:
        InputError: it is none, or of a kind that is no stream; the message repeats no password.
    """
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018 - looks whether it is a number
    except ValueError as error:
        raise InputError("--camera: this is no address; expected something like rtsp://HOST:554/PATH") from error
    if parts.scheme.lower() not in SCHEMES:
        raise InputError(f"--camera: cannot read from {parts.scheme}://; expected one of {', '.join(SCHEMES)}")
    if not parts.hostname and parts.scheme.lower() not in ("udp", "tcp", "srt", "rtp"):
        raise InputError(f"--camera: {redact_address(address)} names no host")
    return parts


def redact_address(address: str) -> str:
    """Reduce an address to scheme, host, port and path: no user, no password, no query."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    path = _SECRET.sub("...", parts.path)
    return f"{parts.scheme}://{host}{path}{'?...' if parts.query else ''}"
