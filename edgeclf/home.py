"""Home folders in paths, as shells write them."""

from __future__ import annotations

import os
from pathlib import Path


def expand_home(path: str | Path) -> Path:
    """Return `path` with `~` and `~USER` replaced; that of an unknown user stays as it is, and is then not found.

    `Path.expanduser` raises RuntimeError for such a user.
    """
    return Path(os.path.expanduser(path))
