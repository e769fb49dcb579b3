"""Pass on what the classifier notes about its model, also what it finds out only while frames come."""

from __future__ import annotations

import contextlib
from typing import Protocol

from edgeclf.progress import Progress
from edgeclf.streaming.loop.state import LiveState

MOST_LOGGED = 100
"""Different notes that are logged in one run: one that counts frames would fill the log."""


class HasNotes(Protocol):
    """What this needs of a classifier; see `edgeclf.Classifier`."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings about how the model is read, a line each."""
        ...


class NoteWatch:
    """An output that passes on the notes of a classifier where they changed: to the log, and to what views read.

    Args:
        classifier: whose notes may grow or change with each frame, as when its input range is decided.
        state: gets all notes of the moment.
        progress: gets each note once.
    """

    def __init__(self, classifier: HasNotes, state: LiveState, progress: Progress) -> None:
        self._classifier, self._state, self._progress = classifier, state, progress
        self._seen: tuple[str, ...] = ()
        self._logged: set[str] = set()
        self.look()

    def take(self, result: object, picture: object) -> None:
        """Look for news; takes a microsecond where there is none."""
        self.look()

    def look(self) -> None:
        """Pass on the notes where they changed since the last look."""
        notes = self._classifier.notes
        if notes is self._seen or notes == self._seen:
            return
        self._seen = notes
        self._state.set_notes(notes)
        for note in notes:
            if note not in self._logged and len(self._logged) < MOST_LOGGED:
                self._logged.add(note)
                with contextlib.suppress(OSError):  # the reader of the log has left
                    self._progress.info(note)

    def close(self) -> None:
        """Do nothing: there is nothing to release."""
