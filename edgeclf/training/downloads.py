"""Downloads of weights: announced, verified by SHA-256, cached. No file is used that is not what was expected."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import re
import urllib.request
from pathlib import Path

from edgeclf.atomic import write_bytes, write_text
from edgeclf.errors import one_line
from edgeclf.progress import Progress

TIMEOUT = 10
_HDF5 = b"\x89HDF\r\n\x1a\n"


def fetch_weights(url: str, path: Path, sha256: str | None, progress: Progress) -> bool:
    """Make sure that the weights at `url` are in the file `path`.

    Where the publisher's checksum is not known, that of the first download is recorded beside the file, so that damage
    in the cache is noticed.

    Args:
        url: of an HDF5 file.
        path: in the cache.
        sha256: expected of the file, hexadecimal; None: not known.
        progress: where the download is announced, and why it failed.

    Returns:
        whether the file is there and verified.
    """
    recorded = path.with_name(path.name + ".sha256")
    if path.is_file():
        expected = sha256 or _read_checksum(recorded)
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if expected in (found, None):
            return True
        progress.warn(f"{path} has SHA-256 {found}, expected {expected}; it is removed and downloaded again")
        remove_weights(path)
    progress.info(f"downloading ImageNet weights from {url} to {path}")
    try:
        content = _download(url, sha256)
    except (OSError, http.client.HTTPException) as error:
        progress.info(f"the download failed ({_reason(error)}); continuing without ImageNet weights")
        return False
    write_text(recorded, f"{hashlib.sha256(content).hexdigest()}  {path.name}\n")
    write_bytes(path, content)
    return True


def remove_weights(path: Path) -> None:
    """Remove a file from the cache, and its checksum."""
    for file in (path, path.with_name(path.name + ".sha256")):
        with contextlib.suppress(OSError):
            file.unlink()


def _download(url: str, sha256: str | None) -> bytes:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        content: bytes = response.read()
    if not content.startswith(_HDF5):
        raise OSError(f"expected an HDF5 file, got {len(content):,} bytes that begin with {content[:15]!r}")
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256:
        raise OSError(f"expected SHA-256 {sha256}, got {found}")
    return content


def _read_checksum(path: Path) -> str | None:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        found = re.match(r"[0-9a-f]{64}\b", path.read_text(encoding="utf-8"))
        return found.group() if found else None
    return None


def _reason(error: BaseException) -> str:
    reason = getattr(error, "reason", None)
    return one_line(reason) if isinstance(reason, BaseException) else str(reason or one_line(error))
