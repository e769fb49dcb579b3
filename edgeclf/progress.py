"""How library functions tell what they do: through a value that they are handed. Only the command line prints."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol


class Task(Protocol):
    """One bar."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Move on by `steps`; `note` is a short text beside the bar, such as the current loss."""


class Progress(Protocol):
    """What a caller hands in to see progress."""

    def task(self, description: str, total: int | None) -> contextlib.AbstractContextManager[Task]:
        """Open a bar of `total` steps (None: unknown)."""

    def say(self, line: str) -> None:
        """Tell something that the user should know once, such as a choice made for him."""

    def warn(self, line: str) -> None:
        """Tell something that the user should act on."""


class _SilentTask:
    def advance(self, steps: int = 1, note: str = "") -> None:
        pass


class SilentProgress:
    """The default: nothing is shown."""

    @contextlib.contextmanager
    def task(self, description: str, total: int | None) -> Iterator[Task]:
        """A bar that is not drawn."""
        yield _SilentTask()

    def say(self, line: str) -> None:
        """Nothing."""

    def warn(self, line: str) -> None:
        """Nothing."""


SILENT: Progress = SilentProgress()
