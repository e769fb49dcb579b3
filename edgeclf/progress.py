"""How library functions report progress: to an object that the caller passes in. Only the command line prints."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Protocol


class Task(Protocol):
    """A piece of work with a progress bar."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Advance the bar by `steps`; `note` is a short text beside it, such as the current loss."""


class Progress(Protocol):
    """What a caller passes in to see progress."""

    def task(self, description: str, total: int | None) -> contextlib.AbstractContextManager[Task]:
        """Open a progress bar of `total` steps (None: unknown)."""

    def info(self, line: str) -> None:
        """Log a line, such as a default that was chosen."""

    def warn(self, line: str) -> None:
        """Log a line that the user should act on."""


def show(progress: Progress, report: object, lines: Iterable[str]) -> None:
    """Show a report as a table where `progress` can, else as lines."""
    table = getattr(progress, "show", None)
    if callable(table):
        table(report)
        return
    for line in lines:
        progress.info(line)


class _SilentTask:
    def advance(self, steps: int = 1, note: str = "") -> None:
        pass


class SilentProgress:
    """The default: show nothing."""

    @contextlib.contextmanager
    def task(self, description: str, total: int | None) -> Iterator[Task]:
        """Draw no bar."""
        yield _SilentTask()

    def info(self, line: str) -> None:
        """Show nothing."""

    def warn(self, line: str) -> None:
        """Show nothing."""


SILENT: Progress = SilentProgress()
