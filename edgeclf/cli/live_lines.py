"""Show `live` in a terminal: one line that is rewritten, or in a log a line at each change of the label."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING

from edgeclf.measure.formatting import percent
from edgeclf.printable import one_line
from edgeclf.repeating import repeating
from edgeclf.streaming.outputs.json_lines import has_room

if TYPE_CHECKING:
    from rich.text import Text

    from edgeclf.cli.progress_bars import ConsoleProgress
    from edgeclf.streaming.loop.geometry import Picture
    from edgeclf.streaming.loop.result import Result
    from edgeclf.streaming.loop.state import LiveState

REFRESHES_A_SECOND = 8
_BAR, _LABEL = 20, 16


class ChangeLines:
    """An output that writes a line when the label changes: for logs and pipes, where nothing can be rewritten.

    Args:
        stream: where to.
        patient_until: wait for a slow reader until this is set; None: leave changes out instead.
    """

    def __init__(self, stream: IO[str], patient_until: threading.Event | None = None) -> None:
        self._stream, self._label = stream, ""
        self._patient_until = patient_until

    def take(self, result: Result, picture: Picture) -> None:
        """Write a line where the label of a result is new."""
        if result.label == self._label or not self._has_room():
            return
        self._label = result.label
        age, label = f"{result.frame_age_ms:.0f} ms", one_line(result.label)
        with contextlib.suppress(OSError):  # its reader has left, or its disk is full
            print(f"{result.time}  {label}  {percent(result.probability, 1)}  {age}", file=self._stream, flush=True)

    def close(self) -> None:
        """Do nothing: there is nothing to release."""

    def _has_room(self) -> bool:
        patient_until = self._patient_until
        while not has_room(self._stream, 0.1 if patient_until else 0):
            if patient_until is None or patient_until.is_set():
                return False
        return True


def terminal_line(progress: ConsoleProgress) -> Callable[[LiveState], contextlib.AbstractContextManager[object]]:
    """Make a view that rewrites one line of the terminal while the loop works."""
    from edgeclf.cli.rendering_live import show_code

    console = progress.console

    @contextlib.contextmanager
    def watch(state: LiveState) -> Iterator[None]:
        from rich.live import Live

        if state.page is not None:
            show_code(progress, state.page)
        with Live(console=console, auto_refresh=False, transient=True) as live:

            def refresh() -> None:
                live.update(status_line(state, console.width), refresh=True)

            # a terminal that takes nothing must not hold up the end
            with repeating(refresh, 1 / REFRESHES_A_SECOND, name="terminal", longest=1.0):
                yield

    return watch


def status_line(state: LiveState, width: int) -> Text:
    """Write label, bar, results a second, frame age, or what the source lacks, in one line of `width` columns."""
    from rich.text import Text

    source, shown = state.source(), state.latest()
    if source.status in ("stalled", "lost", "opening") or shown is None:
        detail = f", {source.detail}" if source.detail else ""
        return Text(one_line(f"{source.name}: {source.status}{detail}"), no_wrap=True, overflow="ellipsis")
    result = shown.result
    full = round(_BAR * max(0.0, min(1.0, result.probability)))
    bar = "█" * full + "░" * (_BAR - full)
    figures = f" {percent(result.probability, 1):>7}   {result.fps:5.1f} results/s   {result.frame_age_ms:.0f} ms old"
    label = Text(one_line(result.label))
    # The figures matter more than the end of a long name, and than the bar.
    room = width - len(figures)
    if room >= _BAR + 1 + _LABEL:
        figures, room = f" {bar}{figures}", room - _BAR - 1
    label.truncate(max(_LABEL, room), overflow="ellipsis")
    label.pad_right(max(0, _LABEL - label.cell_len))
    return Text.assemble(label, figures, no_wrap=True, overflow="ellipsis")
