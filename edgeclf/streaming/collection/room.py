"""Check the room on the disk: recording and collecting stop before it is full, since a board with a full disk fails."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgeclf.errors import RunFailedError

SPARE_BYTES = 64 << 20
"""Left free: logs, updates and the end of a video file need some."""


def require_room(folder: Path, doing: str, bytes_wanted: int = 0) -> None:
    """Raise RunFailedError where writing `bytes_wanted` into `folder` would leave less than 64 MB.

    Args:
        folder: on the disk in question.
        doing: what stops, for the message, such as `recording stopped`.
    """
    if shutil.disk_usage(folder).free < SPARE_BYTES + bytes_wanted:
        raise RunFailedError(f"{folder}: the disk is full (less than {SPARE_BYTES >> 20} MB free); {doing}")
