"""What is wrong at the moment and lived with: a full disk, a broker that does not answer, a camera that is gone."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable


class Problems:
    """One line for each part that has a problem. Safe to use from any thread.

    Args:
        tell: called once when a problem begins, and with `... again` when it is over; where it fails with an OSError,
            as a log does that nobody reads any more, that is lived with too.
    """

    def __init__(self, tell: Callable[[str], None] = lambda line: None) -> None:
        self._tell = tell
        self._now: dict[str, str] = {}
        self._ever: dict[str, str] = {}
        self._lock = threading.Lock()

    def begin(self, part: str, line: str) -> None:
        """`part` has a problem; told when it is new, or another than before."""
        with self._lock:
            news = self._now.get(part) != line
            self._now[part] = self._ever[part] = line
        if news:
            self._say(f"{part}: {line}")

    def end(self, part: str) -> None:
        """`part` works again; nothing is told where it always did."""
        with self._lock:
            over = self._now.pop(part, None)
        if over is not None:
            self._say(f"{part}: works again")

    def now(self) -> dict[str, str]:
        """The problems of this moment, by part."""
        with self._lock:
            return dict(self._now)

    def ever(self) -> dict[str, str]:
        """The last problem of each part that had one, over or not."""
        with self._lock:
            return dict(self._ever)

    def _say(self, line: str) -> None:
        with contextlib.suppress(OSError):
            self._tell(line)
