"""Finds the models that come with edgeclf."""

from __future__ import annotations

from pathlib import Path


def zoo_folders() -> dict[str, Path]:
    """Return the folders of the models that come with edgeclf, by name."""
    package = Path(__file__).resolve().parents[1]
    # the wheel carries the checkout's models/ as edgeclf/zoo/
    for root in (package / "zoo", package.parent / "models"):
        if root.is_dir():
            folders = {folder.name: folder for folder in root.iterdir() if folder.is_dir() and list_models(folder)}
            if folders:
                return folders
    return {}


def list_models(folder: Path) -> list[Path]:
    """List the model files that lie directly in a folder, sorted by name."""
    return sorted(path for path in folder.glob("*.tflite") if path.is_file())
