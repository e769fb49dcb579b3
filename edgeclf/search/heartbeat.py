"""Heartbeats of workers that share a study, by the clock of the database."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def beating(storage: Any, trial: int, seconds: int | None) -> Iterator[None]:
    """Record a heartbeat of a trial while the block runs.

    Args:
        storage: a database, as Optuna opens it.
        trial: its key in the storage.
        seconds: between two of them; None: the storage is not shared, and nothing is recorded.
    """
    if seconds is None:
        yield
        return
    stop = threading.Event()
    storage.record_heartbeat(trial)

    def beat() -> None:
        while not stop.wait(seconds):
            # a database that is gone for a moment is no reason to end; without beats another worker takes over
            with contextlib.suppress(Exception):
                storage.record_heartbeat(trial)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
