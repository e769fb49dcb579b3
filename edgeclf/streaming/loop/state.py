"""Hold what the views show: newest result and picture, recent past, state of source and board; for any thread."""

from __future__ import annotations

import datetime
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from edgeclf.records import Record
from edgeclf.streaming.camera.source import SourceState
from edgeclf.streaming.loop.geometry import Picture
from edgeclf.streaming.loop.result import Result
from edgeclf.streaming.supervision.problems import Problems

HISTORY_SECONDS = 60.0
SAMPLE_EVERY = 0.2
MOST_CHANGES = 50


class Output(Protocol):
    """What takes each result besides the views: a recorder, a broker, a program to run."""

    def take(self, result: Result, picture: Picture) -> None:
        """Take one result, in the loop's own thread: must not wait for anything (see `background.Background`)."""

    def close(self) -> None:
        """Finish within about two seconds."""


@dataclass(frozen=True)
class Change(Record):
    """The label changed: when, to what, how sure."""

    time: str
    label: str
    probability: float


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The newest result with its picture; `sequence` counts results from 1."""

    sequence: int
    result: Result
    picture: Picture


@dataclass(frozen=True)
class BoardState(Record):
    """Sensors of the board; None where it has none.

    Attributes:
        temperature_celsius: of the processor.
        clock_mhz: of its first core.
        throttled: what slows it down now, such as `under-voltage`; empty: nothing; None: it does not say.
    """

    temperature_celsius: float | None
    clock_mhz: float | None
    throttled: tuple[str, ...] | None


class LiveState:
    """Written by the loop, read by views.

    Args:
        model: name of the model.
        labels: its class names.
        source: name of the source.
        problems: what is wrong at the moment.
        max_fps: results a second that were asked for at most; None: as many as come.

    Attributes:
        page: address of the page that shows it, with its token; None: there is none. Never part of the documents.
    """

    def __init__(
        self, model: str, labels: Sequence[str], source: str, problems: Problems, *, max_fps: float | None = None
    ) -> None:
        self.max_fps = max_fps
        self.model, self.labels, self.problems = model, tuple(labels), problems
        self.page: str | None = None
        self._notes: tuple[str, ...] = ()
        self._began = time.monotonic()  # a board without a clock of its own gets the time some seconds later
        self._source = SourceState(source, "opening")
        self._board: BoardState | None = None
        self._snapshot: Snapshot | None = None
        self._changes: deque[Change] = deque(maxlen=MOST_CHANGES)
        self._samples: deque[tuple[float, str, float]] = deque(maxlen=round(HISTORY_SECONDS / SAMPLE_EVERY))
        self._next_sample = 0.0
        self._counts = {"frames_captured": 0, "frames_classified": 0, "frames_dropped": 0}
        self._lock = threading.Lock()

    def publish(self, result: Result, picture: Picture, captured: int, dropped: int) -> None:
        """Store the loop's newest result; takes a few microseconds, however many views there are."""
        before = self._snapshot
        with self._lock:
            sequence = before.sequence + 1 if before else 1
            self._snapshot = Snapshot(sequence, result, picture)
            counts = self._counts
            counts["frames_captured"], counts["frames_classified"] = captured, sequence
            counts["frames_dropped"] = dropped
            if before is None or before.result.label != result.label:
                self._changes.append(Change(result.time, result.label, result.probability))
            now = picture.frame.time
            if now >= self._next_sample or now < self._next_sample - 2 * SAMPLE_EVERY:  # the clock was set back
                self._next_sample = now + SAMPLE_EVERY
                self._samples.append((round(now, 3), result.label, round(result.probability, 4)))

    def source(self) -> SourceState:
        """Return the state of the source."""
        return self._source

    def set_source(self, state: SourceState) -> None:
        """Store a new state of the source."""
        self._source = state

    def notes(self) -> tuple[str, ...]:
        """Return what the classifier notes about the model at this moment."""
        return self._notes

    def set_notes(self, notes: tuple[str, ...]) -> None:
        """Store the notes of the classifier."""
        self._notes = notes

    def set_board(self, board: BoardState) -> None:
        """Store new figures of the sensors."""
        self._board = board

    def latest(self) -> Snapshot | None:
        """Return the newest result and picture; None before the first."""
        return self._snapshot

    def board(self) -> BoardState | None:
        """Return the newest figures of the sensors."""
        return self._board

    def revision(self) -> tuple[Any, ...]:
        """Return a value that differs where anything has changed since; cheap, unlike the documents below."""
        snapshot = self._snapshot
        return snapshot.sequence if snapshot else 0, self._source, self._board, self.problems.now(), self._notes

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON's own types; the same keys from the first moment on."""
        with self._lock:
            samples = [list(sample) for sample in self._samples]
        return {**self.current_dict(), "labels": list(self.labels), "history": samples}

    def current_dict(self) -> dict[str, Any]:
        """Return what `to_dict` does, without what never changes and what a reader can keep by itself."""
        snapshot, source, board = self._snapshot, self._source, self._board
        with self._lock:
            changes = [change.to_dict() for change in self._changes]
            counts = dict(self._counts)
        now = datetime.datetime.now(datetime.timezone.utc).astimezone().isoformat(timespec="milliseconds")
        return {
            "time": now,
            "uptime_seconds": round(time.monotonic() - self._began, 1),
            "model": self.model,
            "source": source.to_dict(),
            "result": snapshot.result.to_dict() if snapshot else None,
            "sequence": snapshot.sequence if snapshot else 0,
            "counts": counts,
            "board": board.to_dict() if board else None,
            "problems": self.problems.now(),
            "notes": list(self._notes),
            "changes": changes,
        }
