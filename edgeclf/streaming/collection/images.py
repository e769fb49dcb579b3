"""What the page needs of collected images: a few records, and what can be done with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edgeclf.errors import InputError, UnknownNameError
from edgeclf.records import Record
from edgeclf.streaming.collection.decisions import Decision


@dataclass(frozen=True)
class CollectedImage(Record):
    """A collected frame without a label.

    Attributes:
        name: of the file, without a folder and without its ending.
        time: of the capture, ISO 8601.
        reason: why it was kept.
        scores: probability of each class that the model found likely.
    """

    name: str
    time: str
    reason: str
    scores: dict[str, float]


@dataclass(frozen=True)
class Undone(Record):
    """What became of a decision that was undone.

    Attributes:
        restored: images that wait for a label again.
        gone: those that are not where the decision had put them.
    """

    restored: int
    gone: int


class CollectedImages(Protocol):
    """Collected frames. Called from worker threads; every method may raise InputError, UnknownNameError for a name."""

    def labels(self) -> list[str]:
        """Return names of classes, to choose from."""

    def pending(self, limit: int) -> list[CollectedImage]:
        """Return at most `limit` frames without a label, the newest first."""

    def count(self) -> int:
        """Count the frames without a label."""

    def jpeg(self, name: str) -> bytes:
        """Return the picture."""

    def label(self, names: str | Sequence[str], label: str) -> Decision:
        """Sort one picture or several into the class `label`, which may be a new one."""

    def discard(self, names: str | Sequence[str]) -> Decision:
        """Delete one picture or several."""

    def decisions(self, limit: int) -> list[Decision]:
        """Return at most `limit` decisions that can be undone, the newest first."""

    def undo(self, identity: str) -> Undone:
        """Undo a decision."""


class UnknownImageError(UnknownNameError):
    """There is no such image, or it is sorted by now."""

    def __init__(self, name: str) -> None:
        InputError.__init__(self, f"no collected image {name!r} waits for a label; it may be sorted or deleted by now")
        self.nearest = None


class UnknownDecisionError(UnknownNameError):
    """There is no such decision, or it is undone by now."""

    def __init__(self) -> None:
        InputError.__init__(self, "that is undone by now, or too long ago to be undone")
        self.nearest = None
