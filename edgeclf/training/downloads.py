"""Downloads of weights: announced, bounded, verified, cached. No file is used that is not what was expected."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
from pathlib import Path

from edgeclf.atomic import write_bytes, write_text
from edgeclf.errors import one_line
from edgeclf.progress import Progress

TIMEOUT = 10
"""Seconds without a byte after which a download is given up."""
LARGEST = 256_000_000
"""Bytes: more than twice the largest file in `edgeclf.training.starts.published`."""
LONGEST = 1800.0
"""Seconds that a download may take."""
_HDF5 = b"\x89HDF\r\n\x1a\n"
_ALGORITHMS = {"sha256": "SHA-256", "md5": "MD5"}
"""MD5 is what tf-keras publishes for some files: it shows damage. What else lies in an HDF5 file is not run."""


def fetch_weights(url: str, path: Path, checksum: str | None, progress: Progress) -> bool:
    """Make sure that the weights at `url` are in the file `path`.

    The SHA-256 of the first download is recorded beside the file, so that damage in the cache is noticed where the
    publisher's checksum is not known, too.

    Args:
        url: of an HDF5 file.
        path: in the cache.
        checksum: expected of the file, as `sha256:...` or `md5:...`, hexadecimal; None: not known.
        progress: where the download is announced, and why it failed.

    Returns:
        whether the file is there and verified.
    """
    recorded = path.with_name(path.name + ".sha256")
    if path.is_file():
        difference = _compare(path.read_bytes(), checksum or _read_checksum(recorded))
        if not difference:
            return True
        progress.warn(f"{path} has {difference}; it is removed and downloaded again")
        remove_weights(path)
    progress.info(f"downloading ImageNet weights from {url} to {path}")
    try:
        content = _download(url)
        if difference := _compare(content, checksum):
            raise OSError(f"it has {difference}")
    except (OSError, ValueError, http.client.HTTPException) as error:
        progress.info(f"the download failed ({_reason(error)}); continuing without these weights")
        return False
    write_text(recorded, f"{hashlib.sha256(content).hexdigest()}  {path.name}\n")
    write_bytes(path, content)
    return True


def remove_weights(path: Path) -> None:
    """Remove a file from the cache, and its checksum."""
    for file in (path, path.with_name(path.name + ".sha256")):
        with contextlib.suppress(OSError):
            file.unlink()


def _download(url: str) -> bytes:
    began, content = time.monotonic(), bytearray()
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        expected = int(response.headers.get("Content-Length") or -1)
        if expected > LARGEST:
            raise OSError(f"expected at most {LARGEST:,} bytes, the server announces {expected:,}")
        while part := response.read1(1 << 16):
            content += part
            if len(content) >= len(_HDF5):
                _check_beginning(content)
            if len(content) > LARGEST:
                raise OSError(f"expected at most {LARGEST:,} bytes, got more")
            if time.monotonic() - began > LONGEST:
                raise OSError(f"it was not complete after {LONGEST:g} seconds")
    _check_beginning(content)
    if len(content) < expected:
        raise OSError(f"it ended after {len(content):,} of {expected:,} bytes")
    return bytes(content)


def _check_beginning(content: bytearray) -> None:
    if not content.startswith(_HDF5):
        raise OSError(f"expected an HDF5 file, got bytes that begin with {bytes(content[:15])!r}")


def _compare(content: bytes, checksum: str | None) -> str:
    """Describe how the checksum of `content` differs from the expected one; empty: it is equal, or not known."""
    if checksum is None:
        return ""
    algorithm, expected = checksum.split(":")
    found = hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()
    return "" if found == expected else f"{_ALGORITHMS[algorithm]} {found}, expected {expected}"


def _read_checksum(path: Path) -> str | None:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        found = re.match(r"[0-9a-f]{64}\b", path.read_text(encoding="utf-8"))
        return f"sha256:{found.group()}" if found else None
    return None


def _reason(error: BaseException) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server returns {error.code}"
    reason = getattr(error, "reason", None)
    return one_line(reason) if isinstance(reason, BaseException) else str(reason or one_line(error))
