"""A progress that remembers what it is handed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


class Listener:
    """Keeps the descriptions of tasks, and the lines for the user: by kind, and all in order."""

    def __init__(self) -> None:
        self.tasks: list[str] = []
        self.said: list[str] = []
        self.warned: list[str] = []
        self.lines: list[str] = []

    @contextlib.contextmanager
    def task(self, description: str, total: int | None) -> Iterator[Any]:
        self.tasks.append(description)
        yield self

    def advance(self, steps: int = 1, note: str = "") -> None:
        pass

    def info(self, line: str) -> None:
        self.said.append(line)
        self.lines.append(line)

    def warn(self, line: str) -> None:
        self.warned.append(line)
        self.lines.append(line)
