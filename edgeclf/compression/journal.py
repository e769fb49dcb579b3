"""Remembers what a call is about to make, so that a killed one can be run again without `--overwrite`."""

from __future__ import annotations

import glob
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeclf.artifact.provenance import integrity
from edgeclf.atomic import check_writable, write_text
from edgeclf.compression.compress_report import CompressedModel
from edgeclf.errors import InputError, OutputError


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

    def finished(self, recipe: str) -> CompressedModel | None:
        """What an interrupted call with the same request made, if it is whole."""
        model, record = self.model_path(recipe), self.record_path(recipe)
        if not self.interrupted or not model.is_file() or not record.is_file():
            return None
        if integrity(model.read_bytes()) != "verified":
            return None
        try:
            values = json.loads(record.read_text(encoding="utf-8"))
            return CompressedModel.from_dict(values["model"])
        except (ValueError, KeyError, InputError):
            return None

    def close(self) -> None:
        """All is made."""
        self._note.unlink(missing_ok=True)

    def _is_same_request(self) -> bool:
        try:
            return self._note.read_text(encoding="utf-8") == self._text
        except OSError:
            return False

    def _file(self, recipe: str, suffix: str) -> str:
        return f"{self.name}-{recipe}.{suffix}"
