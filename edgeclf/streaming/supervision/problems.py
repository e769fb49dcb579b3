"""Keep what is wrong at the moment without ending the run: a full disk, a broker that does not respond."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable


class Problems:
    """One line for each part that has a problem. Safe to use from any thread.

    Args:
        report: called once when a problem begins, and with `... works again` when it is over; an OSError of it, as
            of a log whose reader has left, is ignored.
    """

    def __init__(self, report: Callable[[str], None] = lambda line: None) -> None:
        self._report = report
        self._now: dict[str, str] = {}
        self._ever: dict[str, str] = {}
        self._lock = threading.Lock()

    def begin(self, part: str, line: str) -> None:
        """Set the problem of `part`; reported when it is new, or another than before."""
        with self._lock:
            is_new = self._now.get(part) != line
            self._now[part] = self._ever[part] = line
        if is_new:
            self._send(f"{part}: {line}")

    def end(self, part: str) -> None:
        """End the problem of `part`; reported where it had one."""
        with self._lock:
            over = self._now.pop(part, None)
        if over is not None:
            self._send(f"{part}: works again")

    def now(self) -> dict[str, str]:
        """Return the problems of this moment, by part."""
        with self._lock:
            return dict(self._now)

    def ever(self) -> dict[str, str]:
        """Return the last problem of each part that had one, over or not."""
        with self._lock:
            return dict(self._ever)

    def _send(self, line: str) -> None:
        with contextlib.suppress(OSError):
            self._report(line)
