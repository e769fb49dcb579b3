"""Reads a run folder: what a training left, and the models made of it. Writes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgeclf.errors import InputError


class RunFolder:
    """A folder with a `run.json`.

    Attributes:
        path: the folder.
        run_json: its `run.json`.

    Raises:
        InputError: it is no run folder, or its `run.json` cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.is_one(self.path):
            raise InputError(f"{self.path}: not a run folder, it has no run.json")
        try:
            values = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{self.path / 'run.json'}: cannot be read ({error})") from error
        if not isinstance(values, dict):
            raise InputError(f"{self.path / 'run.json'}: expected a JSON object, got {type(values).__name__}")
        self.run_json: dict[str, Any] = values

    @staticmethod
    def is_one(path: str | Path) -> bool:
        """Whether `path` is a run folder."""
        return (Path(path) / "run.json").is_file()

    @property
    def name(self) -> str:
        """The run's name."""
        return str(self.run_json.get("name") or self.path.resolve().name)

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in index order."""
        names = self.run_json.get("data", {}).get("class_names")
        if names:
            return tuple(map(str, names))
        listed = self.path / "labels.txt"
        return tuple(listed.read_text(encoding="utf-8").splitlines()) if listed.is_file() else ()

    @property
    def keras_path(self) -> Path:
        """The best float model; it may not be there yet."""
        return self.path / "model.keras"

    def models(self) -> list[Path]:
        """The compressed models, sorted by name."""
        return sorted((self.path / "compressed").glob("*.tflite"))
