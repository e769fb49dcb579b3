"""The cameras that Linux knows: `/dev/video*`, with the names that their drivers give them."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path

_NAMES = "/sys/class/video4linux/{}/name"


def video_nodes() -> list[str]:
    """Paths of the nodes, by number."""
    nodes = [node for node in glob.glob("/dev/video*") if re.fullmatch(r"/dev/video\d+", node)]
    return sorted(nodes, key=lambda node: int(node[len("/dev/video") :]))


def cameras_here() -> str:
    """What to choose from, for an error message."""
    nodes = video_nodes()
    if not nodes:
        return "no camera is connected (there is no /dev/video*)"
    return "cameras here: " + ", ".join(_described(node) for node in nodes)


def _described(node: str) -> str:
    try:
        name = Path(_NAMES.format(os.path.basename(node))).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return node
    return f"{node} ({name})"
