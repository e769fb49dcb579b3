"""Finds the files that a table names: by their paths, also with backslashes, or by names without a suffix."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Literal

from edgeclf.dataset.sources import FileStamp, display, read_stamp, reason_to_pass_over
from edgeclf.image.decoding import IMAGE_SUFFIXES

_MISSING = -1
_FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")


class PathFinder:
    """Finds files below the folder of a table.

    Args:
        folder: where relative paths start.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, dict[str, list[str]]] = {}
        self._turned: list[str] = []
        self._completed: list[tuple[str, str]] = []

    def find(self, path: str) -> tuple[str, FileStamp]:
        """Return the path that opens what the table names `path`, and the state of the file; all -1: it is missing."""
        full = self._folder / path
        stamp = read_stamp(full)
        if stamp[0] != _MISSING:
            return str(full), stamp
        for form in _FORMS:  # a table and a file of two systems may write one letter differently
            if (same := unicodedata.normalize(form, path)) != path and (found := self._existing(same)):
                return found
        if "\\" in path and (found := self._existing(path.replace("\\", "/"))):
            self._turned.append(path)
            return found
        bare = path.replace("\\", "/")
        if reason_to_pass_over(os.path.basename(bare)) is not None and (name := self._complete(bare)):
            self._completed.append((path, name))
            found = self._existing(name)
            if found:
                return found
        return str(full), stamp

    def notes(self, where: str) -> tuple[str, ...]:
        """Return what was read otherwise than it stands in the table, a line each.

        Args:
            where: the table, as it is shown.
        """
        lines = []
        if self._turned:
            example = display(self._turned[0])
            lines.append(f"{where}: {_count(self._turned, 'path')} with \\ were read with /, e.g. {example}")
        if self._completed:
            given, name = map(display, self._completed[0])
            lines.append(
                f"{where}: {_count(self._completed, 'name')} without a suffix were completed, e.g. {given}: {name}"
            )
        return tuple(lines)

    def _existing(self, path: str) -> tuple[str, FileStamp] | None:
        full = self._folder / path
        stamp = read_stamp(full)
        return None if stamp[0] == _MISSING else (str(full), stamp)

    def _complete(self, path: str) -> str | None:
        """Return `path` with the suffix of the only image in its folder that has this name; None: none, or several."""
        folder, name = os.path.split(path)
        if folder not in self._names:
            self._names[folder] = _images_by_stem(self._folder / folder)
        found = self._names[folder].get(name, [])
        return os.path.join(folder, found[0]) if len(found) == 1 else None


def _images_by_stem(folder: Path) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    try:
        for name in os.listdir(folder):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in IMAGE_SUFFIXES:
                names.setdefault(stem, []).append(name)
    except OSError:
        pass
    return names


def _count(entries: list[str] | list[tuple[str, str]], what: str) -> str:
    return f"{len(entries)} {what}{'s' if len(entries) > 1 else ''}"
