"""Repeats work beside what is going on: heartbeats, a line of a terminal, a look at a file."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def repeating(work: Callable[[], object], seconds: float, *, name: str, longest: float | None = None) -> Iterator[None]:
    """Call `work` every so many seconds, in a thread of its own, while the block runs.

    Args:
        work: that raises nothing.
        seconds: before the first call, and between two.
        name: of the thread.
        longest: seconds that a call is waited for at the end; None: until it is done.
    """
    stop = threading.Event()

    def repeat() -> None:
        while not stop.wait(seconds):
            work()

    thread = threading.Thread(target=repeat, name=f"edgeclf {name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(longest)
