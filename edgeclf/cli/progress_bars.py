"""`edgeclf.progress.Progress` on stderr: bars on a terminal, a few plain lines in a log."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from edgeclf.printable import one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from edgeclf.progress import Task

LINE_EVERY = 10.0  # seconds between two lines of one task in a log
WIDE = 100  # columns from which on a bar is long and shows the time that has passed
MOST_SAID = 1000


class _Bar:
    def __init__(self, bars: Bars, task: TaskID, room: int) -> None:
        self._bars, self._task, self._room = bars, task, room

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._bars.advance(self._task, steps)
        if note:
            # Cropped here: a table that is too wide would crop the counts instead.
            shown = one_line(note)
            self._bars.update(self._task, note=shown if len(shown) <= self._room else f"{shown[: self._room - 1]}…")


class ConsoleProgress:
    """Draw a Rich bar for each task; it vanishes when the task ends.

    Attributes:
        console: for other views that rewrite lines of this terminal; logged lines then go above them.
        said: the lines that were logged, up to `MOST_SAID`: reports at the end do not repeat them.
    """

    def __init__(self, stream: IO[str], said: set[str] | None = None) -> None:
        from edgeclf.cli.terminal import Terminal

        self.said = set() if said is None else said

        self.console = Terminal(file=stream)
        self._bars: Bars | None = None
        self._open = 0

    @contextlib.contextmanager
    def task(self, description: str, total: int | None) -> Iterator[Task]:
        """Open a bar; bars may nest."""
        bars = self._bars if self._bars is not None else self._start()
        named = one_line(description)
        identity = bars.add_task(named, total=total, note="")
        self._open += 1
        try:
            yield _Bar(bars, identity, self._room(named, total))
        finally:
            bars.remove_task(identity)
            self._open -= 1
            if self._open == 0:
                bars.stop()
                self._bars = None

    def _remember(self, line: str) -> None:
        if len(self.said) < MOST_SAID:  # `live` runs for months
            self.said.add(line)

    def info(self, line: str) -> None:
        """Print a line above the bars."""
        self._remember(line)
        self.console.print(one_line(line), soft_wrap=True)

    def warn(self, line: str) -> None:
        """Print a yellow line above the bars."""
        self._remember(line)
        self.console.print(f"warning: {one_line(line)}", style="yellow", soft_wrap=True)

    def show(self, report: object) -> None:
        """Print a report above the bars."""
        _show(self.console, report)

    def _room(self, description: str, total: int | None) -> int:
        """Return the columns that are left for the note."""
        count = 0 if total is None else 2 * len(str(total)) + 1
        remaining, elapsed = 5, 7
        taken = [len(description), self._bar_width(), count, remaining, *([elapsed] if self._is_wide() else [])]
        return max(1, self.console.width - sum(taken) - len(taken) - 1)

    def _is_wide(self) -> bool:
        return self.console.width >= WIDE

    def _bar_width(self) -> int:
        return 24 if self._is_wide() else 6

    def _start(self) -> Bars:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as Remaining
        from rich.text import Text

        class Count(MofNCompleteColumn):
            def render(self, task: Any) -> Text:
                return super().render(task) if task.total is not None else Text("")

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=self._bar_width()),
            Count(),
            *([TimeElapsedColumn()] if self._is_wide() else []),
            Remaining(compact=True, elapsed_when_finished=False),
            TextColumn("{task.fields[note]}", markup=False),
        )
        # stderr is not redirected: TensorFlow's loggers would keep the bars' stand-in, and write to the terminal.
        self._bars = Progress(
            *columns, console=self.console, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._bars.start()
        return self._bars


class _LineTask:
    def __init__(self, progress: LineProgress, description: str, total: int | None) -> None:
        self._progress, self._description, self._total = progress, description, total
        self._done, self._note = 0, ""
        self._last = time.monotonic()

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._done += steps
        self._note = note or self._note
        now = time.monotonic()
        if now - self._last < LINE_EVERY:
            return
        self._last = now
        of = "" if self._total is None else f" of {self._total}"
        self._progress.info(f"{self._description}: {self._done}{of}{f' ({self._note})' if self._note else ''}")


class LineProgress:
    """Print plain lines, at most one in ten seconds for each task, for logs and pipes."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    @contextlib.contextmanager
    def task(self, description: str, total: int | None) -> Iterator[Task]:
        """Report a task that takes longer than ten seconds."""
        yield _LineTask(self, one_line(description), total)

    def info(self, line: str) -> None:
        """Print a line."""
        print(one_line(line), file=self._stream, flush=True)

    def warn(self, line: str) -> None:
        """Print a line that begins with «warning»."""
        self.info(f"warning: {line}")

    def show(self, report: object) -> None:
        """Print a report."""
        from edgeclf.cli.session import PIPED_WIDTH
        from edgeclf.cli.terminal import Terminal

        _show(Terminal(self._stream, width=PIPED_WIDTH), report)


class ProgressBar:
    """Show progress as the command line does: `edgeclf.train("photos", progress=edgeclf.ProgressBar())`.

    On a terminal and in a notebook a bar for each task, which vanishes when the task ends; elsewhere plain lines, at
    most one in ten seconds for each task. Notes and warnings are lines that stay.

    Args:
        file: where to; None: stderr.
    """

    def __init__(self, file: IO[str] | None = None) -> None:
        stream = sys.stderr if file is None else file
        drawn = stream.isatty() or (file is None and _in_notebook())
        self._shown: ConsoleProgress | LineProgress = ConsoleProgress(stream) if drawn else LineProgress(stream)

    def task(self, description: str, total: int | None) -> contextlib.AbstractContextManager[Task]:
        """Open a bar of `total` steps (None: unknown); bars may nest."""
        return self._shown.task(description, total)

    def info(self, line: str) -> None:
        """Print a line."""
        self._shown.info(line)

    def warn(self, line: str) -> None:
        """Print a warning."""
        self._shown.warn(line)

    def show(self, report: object) -> None:
        """Print a report."""
        self._shown.show(report)


def _show(console: Console, report: object) -> None:
    """Print a report for whose kind there is a view here."""
    from edgeclf.cli.rendering_choice import render_choice
    from edgeclf.training.budget.choice import NetworkChoice

    if isinstance(report, NetworkChoice):
        render_choice(console, report)


def _in_notebook() -> bool:
    """Return whether this runs in Jupyter or Colab, where Rich draws through IPython."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ in ("ZMQInteractiveShell", "Shell")
