"""The candidates that a search has made, kept in a folder: a search that was killed, or that has other limits, takes
them from there.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeclf.atomic import write_bytes, write_text
from edgeclf.compression.budget.judging import Measured
from edgeclf.json_text import read_json, write_json

_ENDED = "-ended"
"""Behind the name of a search that found nothing, and may go on with more trials."""


@dataclass(frozen=True)
class Stored:
    """A candidate.

    Attributes:
        measured: its figures.
        content: of its file.
        file: name of the file behind that of the source, such as `int8.tflite`.
        record: what is written beside a model, without the path.
    """

    measured: Measured
    content: bytes
    file: str
    record: dict[str, Any]


class CandidateStore:
    """The candidates of one source with the same images and the same settings.

    Args:
        folder: made when the first one is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stages = folder / "stages"
        self._users = folder / "users"
        self._search = "this"

    @property
    def users(self) -> Path:
        """Where the weights are noted that this search has made or taken."""
        return self._users / self._search

    def begin(self, search: str) -> None:
        """Note from now on what the search of this name uses, letters and digits."""
        self._search = search

    def load(self, key: str) -> Stored | None:
        """Return a candidate; None: there is none, or it is damaged."""
        try:
            values = read_json(self._record(key))
            content = self._model(key).read_bytes()
            if values["sha256"] != hashlib.sha256(content).hexdigest():
                return None
            return Stored(Measured.from_dict(values["measured"]), content, str(values["file"]), values["record"])
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def save(self, key: str, stored: Stored) -> None:
        """Keep a candidate; the record comes last: where it is, the model is."""
        write_bytes(self._model(key), stored.content)
        values = {
            "measured": stored.measured.to_dict(),
            "file": stored.file,
            "record": stored.record,
            "sha256": hashlib.sha256(stored.content).hexdigest(),
        }
        write_text(self._record(key), write_json(values) + "\n")

    def end(self, *, may_go_on: bool) -> None:
        """Remove the weights of finished trainings that no search needs to go on.

        Args:
            may_go_on: those of this search stay, until a later one ends.
        """
        ended = self._users / f"{self._search}{_ENDED}"
        if may_go_on:
            shutil.rmtree(ended, ignore_errors=True)
            if self.users.is_dir():
                self.users.rename(ended)
            return
        for place in (self.users, *self._users.glob(f"*{_ENDED}")):
            shutil.rmtree(place, ignore_errors=True)
        used = {note.name for note in self._users.glob("*/*")}
        for path in self.stages.glob("*"):
            if path.name not in used:
                path.unlink(missing_ok=True)

    def _model(self, key: str) -> Path:
        return self.folder / f"{key[:32]}.model"

    def _record(self, key: str) -> Path:
        return self.folder / f"{key[:32]}.json"
