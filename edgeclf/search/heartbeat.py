"""Heartbeats of workers that share a study, by the clock of the database."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from edgeclf.repeating import repeating


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
    storage.record_heartbeat(trial)

    def beat() -> None:
        # a database that is gone for a moment is no reason to end; without beats another worker takes over
        with contextlib.suppress(Exception):
            storage.record_heartbeat(trial)

    with repeating(beat, seconds, name="heartbeat"):
        yield
