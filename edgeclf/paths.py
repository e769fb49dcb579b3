"""Paths as users write them, and as other libraries can take them."""

from __future__ import annotations

import os
from pathlib import Path


def expand_home(path: str | Path) -> Path:
    """Return `path` with `~` and `~USER` replaced; that of an unknown user stays as it is, and is then not found.

    `Path.expanduser` raises RuntimeError for such a user.
    """
    return Path(os.path.expanduser(path))


def is_utf8(path: str | Path) -> bool:
    """Return whether a text is UTF-8. OpenCV 5 crashes on any other, such as one in Latin-1 from an old archive."""
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
