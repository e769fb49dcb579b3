"""What `live` shows in a terminal: one line that is always new, or a line at each change of the label in a log."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING

from edgeclf.cli.session import one_line

if TYPE_CHECKING:
    from rich.console import Console

    from edgeclf.streaming.geometry import Picture
    from edgeclf.streaming.result import Result
    from edgeclf.streaming.state import LiveState

REFRESHES_A_SECOND = 8
_BAR = 20


class ChangeLines:
    """An output that writes a line when the label changes: for logs and pipes, where nothing can be rewritten."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream, self._label = stream, ""

    def take(self, result: Result, picture: Picture) -> None:
        """A result."""
        if result.label == self._label:
            return
        self._label = result.label
        age, label = f"{result.frame_age_ms:.0f} ms", one_line(result.label)
        with contextlib.suppress(BrokenPipeError):
            print(f"{result.time}  {label}  {result.probability:.1%}  {age}", file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing to end."""


def terminal_line(console: Console) -> Callable[[LiveState], contextlib.AbstractContextManager[object]]:
    """A view that rewrites one line of the terminal while the loop works."""

    @contextlib.contextmanager
    def watch(state: LiveState) -> Iterator[None]:
        from rich.live import Live

        closing = threading.Event()
        with Live(console=console, auto_refresh=False, transient=True) as live:

            def work() -> None:
                while not closing.wait(1 / REFRESHES_A_SECOND):
                    live.update(status_line(state), refresh=True)

            thread = threading.Thread(target=work, name="edgeclf terminal", daemon=True)
            thread.start()
            try:
                yield
            finally:
                closing.set()
                thread.join(1.0)

    return watch


def status_line(state: LiveState) -> str:
    """Label, bar, results a second, frame age; or what the source lacks."""
    source, shown = state.source(), state.latest()
    if source.status in ("stalled", "lost", "opening") or shown is None:
        return f"{source.name}: {source.status}{f', {source.detail}' if source.detail else ''}"
    result = shown.result
    full = round(_BAR * max(0.0, min(1.0, result.probability)))
    bar = "█" * full + "░" * (_BAR - full)
    return (
        f"{one_line(result.label):<16} {bar} {result.probability:6.1%}   {result.fps:5.1f} results/s   "
        f"{result.frame_age_ms:.0f} ms old"
    )
