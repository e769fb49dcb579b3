"""Refuses folders of SavedModels that lead elsewhere, before anything in them is read."""

from __future__ import annotations

from pathlib import Path

from edgeclf.keras_files.trust import refusal

MOST_FILES = 10_000
"""Entries of a folder; a SavedModel has a handful."""


def check_folder(path: Path) -> None:
    """Check that all of a SavedModel's files lie in its folder: a link could make any local file its weights.

    Raises:
        UntrustedModelError: one is a link that leads out of the folder, or no regular file.
    """
    inside = path.resolve()
    for number, entry in enumerate(path.rglob("*")):
        shown = repr(str(entry.relative_to(path)))
        if number >= MOST_FILES:
            raise refusal(path.name, f"more than {MOST_FILES:,} files", "take all memory")
        try:
            leads_out = not entry.resolve().is_relative_to(inside)
        except (OSError, RuntimeError):  # a link to itself
            leads_out = True
        if leads_out:
            raise refusal(path.name, f"the link {shown} out of its folder", "read other files")
        if not (entry.is_file() or entry.is_dir()):
            raise refusal(path.name, f"{shown}, no regular file", "read without an end")
