"""What the page needs to know of the collected frames that wait for a label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edgeclf.records import Record


@dataclass(frozen=True)
class CollectedImage(Record):
    """A collected frame that nobody has labelled yet.

    Attributes:
        name: of the file, without a folder and without its ending.
        time: of the capture, ISO 8601.
        reason: why it was kept.
        scores: probability of each class that the model held likely.
    """

    name: str
    time: str
    reason: str
    scores: dict[str, float]


class CollectedImages(Protocol):
    """Collected frames. Called from worker threads; every method may raise InputError, UnknownNameError for a name."""

    def labels(self) -> list[str]:
        """Names of the classes, to choose from."""

    def pending(self, limit: int) -> list[CollectedImage]:
        """At most `limit` frames without a label, the newest first."""

    def jpeg(self, name: str) -> bytes:
        """The picture."""

    def label(self, name: str, label: str) -> None:
        """Sort the picture into the class `label`, which may be a new one."""

    def discard(self, name: str) -> None:
        """Delete the picture."""
