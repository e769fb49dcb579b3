"""Downloads an image from the web: bounded in size and time, kept in memory, written nowhere."""

from __future__ import annotations

import http.client
import string
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from email.message import Message
from typing import IO, Any

from edgeclf.errors import ImageError
from edgeclf.printable import one_line

LARGEST = 64 << 20
"""Bytes of an image that is downloaded."""
SECONDS = 30.0
"""For a whole download, redirections included."""
_SILENCE = 10.0  # seconds without a byte
_BLOCK = 1 << 16
_SCHEMES = ("http://", "https://")
_PAGE_TYPES = ("text/", "application/json", "application/xhtml")


def is_address(name: object) -> bool:
    """Return whether a text is the address of something on the web, and no path."""
    return isinstance(name, str) and name.lower().startswith(_SCHEMES)


def download_image(address: str, *, seconds: float = SECONDS, largest: int = LARGEST) -> bytes:
    """Download the content of an image file.

    Args:
        address: `http://` or `https://`; redirections to other schemes are refused.
        seconds: that it may take in all.
        largest: bytes that it may have.

    Raises:
        ImageError: there is nothing, something else than a file, or too much; the message is the reason alone.
    """
    if not is_address(address) or not address.isprintable() or " " in address:
        raise ImageError("expected an address that begins with http:// or https:// and has no blanks")
    found: list[bytes | ImageError] = []

    def work() -> None:
        found.append(_download(address, time.monotonic() + seconds, largest))

    # Name look-up and headers that come byte by byte have no limit of their own: a thread is waited for that long.
    thread = threading.Thread(target=work, name="edgeclf download", daemon=True)
    thread.start()
    thread.join(seconds)
    result = found[0] if found else ImageError(f"the download was not complete after {seconds:g} seconds")
    if isinstance(result, ImageError):
        raise result
    return result


class _WebOnly(urllib.request.HTTPRedirectHandler):
    """Follow redirections to http and https alone; urllib would follow ftp as well."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Return the next request.

        Raises:
            URLError: it would leave the web.
        """
        if not is_address(newurl):
            raise urllib.error.URLError("it redirects to something that is no http address")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _download(address: str, end: float, largest: int) -> bytes | ImageError:
    try:
        # Some servers, Wikimedia's among them, refuse requests that do not name their program.
        request = urllib.request.Request(_encode(address), headers={"User-Agent": "edgeclf", "Accept": "image/*"})
        with urllib.request.build_opener(_WebOnly).open(request, timeout=_SILENCE) as response:
            _check_type(response.headers)
            return _read(response, end, largest)
    except ImageError as error:
        return error
    except urllib.error.HTTPError as error:
        with error:
            return ImageError(f"the server returns {error.code} ({_shown(error.reason)})")
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        system = getattr(reason, "strerror", None)
        return ImageError(f"it cannot be downloaded ({_shown(system.lower() if system else reason)})")


def _encode(address: str) -> str:
    """Return an address in ASCII: what stands behind the host in UTF-8 (RFC 3987, section 3.1).

    Raises:
        ImageError: its host is not in ASCII. Python's `idna` is that of 2003, and of some names makes another host.
    """
    if address.isascii():
        return address
    parts = urllib.parse.urlsplit(address)
    if not parts.netloc.isascii():
        raise ImageError("expected a host in ASCII; write it as browsers show it when copied (xn--...)")
    return urllib.parse.urlunsplit(parts._replace(path=_quote(parts.path), query=_quote(parts.query), fragment=""))


def _quote(part: str) -> str:
    # what is encoded already stays so
    return urllib.parse.quote(part, safe=string.punctuation)


def _check_type(headers: Message) -> None:
    kind = headers.get_content_type()
    if "Content-Type" in headers and kind.startswith(_PAGE_TYPES):
        raise ImageError(f"the address gives {_shown(kind)}, expected an image file")


def _read(response: http.client.HTTPResponse, end: float, largest: int) -> bytes:
    content = bytearray()
    announced = response.headers.get("Content-Length", "")
    size = int(announced) if announced.isascii() and announced.isdigit() and len(announced) < 20 else None
    if size is not None and size > largest:
        raise ImageError(f"expected at most {largest >> 20} MB, the server announces {size >> 20:,}")
    while block := response.read1(_BLOCK):
        content += block
        if len(content) > largest:
            raise ImageError(f"expected at most {largest >> 20} MB, got more")
        if time.monotonic() > end:
            raise ImageError("the download took too long")
    if size is not None and len(content) < size:
        raise ImageError(f"the download ended after {len(content):,} of {size:,} bytes")
    return bytes(content)


def _shown(reason: object) -> str:
    return one_line(str(reason))[:100] or type(reason).__name__
