"""Remembers what a call is about to make, so that a killed one can be run again without `--overwrite`.

A note lies in the folder while a call works. A model counts as finished only if its record says that it was made for
the very same request and data, and its bytes are those that the record speaks of: what an earlier call left there, or
a record that was written just before the kill, is made again.
"""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeclf.atomic import check_writable, write_bytes, write_text
from edgeclf.compression.compress_report import CompressedModel
from edgeclf.errors import OutputError


class Journal:
    """The models of one call.

    Args:
        folder: where they go.
        name: their common prefix.
        request: everything that decides what they are.
        recipes: their short names.
        overwrite: replace those that are there.

    Raises:
        OutputError: one of them is there already, or the folder cannot be written.
    """

    def __init__(
        self, folder: Path, name: str, request: dict[str, Any], recipes: Sequence[str], *, overwrite: bool
    ) -> None:
        check_writable(folder)
        self.folder, self.name = folder, name
        self._note = folder / f".{name}.unfinished.json"
        self._text = json.dumps(request, sort_keys=True, ensure_ascii=False)
        self._made = False
        # temporary files of a killed call; nobody else writes under these names
        for recipe in recipes:
            for rest in folder.glob(f".{glob.escape(self._file(recipe, ''))}*.partial"):
                rest.unlink(missing_ok=True)
        self.interrupted = self._is_same_request()
        present = [recipe for recipe in recipes if self.model_path(recipe).exists()]
        if present and not overwrite and not self.interrupted:
            raise OutputError(
                f"{self.model_path(present[0])}: exists; replace it with --overwrite or use another --out"
            )
        if not self.interrupted:
            write_text(self._note, self._text)

    def model_path(self, recipe: str) -> Path:
        """Where the model goes."""
        return self.folder / self._file(recipe, "tflite")

    def record_path(self, recipe: str) -> Path:
        """Where its figures go."""
        return self.folder / self._file(recipe, "json")

    def finished(self, recipe: str, fingerprint: str | None) -> CompressedModel | None:
        """What an interrupted call with the same request and data made, if it is whole.

        Args:
            recipe: its short name.
            fingerprint: of the data that are there now; None: there are none.
        """
        if not self.interrupted:
            return None
        try:
            values = json.loads(self.record_path(recipe).read_text(encoding="utf-8"))
            content = self.model_path(recipe).read_bytes()
            if values["request"] != self._identity(fingerprint) or values["sha256"] != _digest(content):
                return None
            made = CompressedModel.from_dict({**values["model"], "path": str(self.model_path(recipe))})
        except (OSError, ValueError, LookupError, TypeError):
            return None
        self._made = True
        return made

    def keep(self, recipe: str, content: bytes, record: dict[str, Any], fingerprint: str | None) -> None:
        """Write a model and its record.

        Args:
            recipe: its short name.
            content: of the model file.
            record: what is said about it, JSON's own types.
            fingerprint: of the data that it was made with.
        """
        whole = {**record, "sha256": _digest(content), "request": self._identity(fingerprint)}
        # the model comes last: where it is, its figures are
        write_text(self.record_path(recipe), json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
        write_bytes(self.model_path(recipe), content)
        self._made = True

    def close(self) -> None:
        """All is made."""
        self._note.unlink(missing_ok=True)

    def give_up(self) -> None:
        """An error ended the call. What it made can be gone on from; where it made nothing, nothing is left."""
        if not self._made:
            self.close()

    def _identity(self, fingerprint: str | None) -> str:
        return _digest(json.dumps([self._text, fingerprint]).encode())

    def _is_same_request(self) -> bool:
        try:
            return self._note.read_text(encoding="utf-8") == self._text
        except OSError:
            return False

    def _file(self, recipe: str, suffix: str) -> str:
        return f"{self.name}-{recipe}.{suffix}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
