"""From what a user types to a model file: a path, a run folder, a name from the zoo."""

from __future__ import annotations

from pathlib import Path

from edgeclf.artifact.run_folder import RunFolder
from edgeclf.errors import ModelError, UnknownNameError


def locate_model(name_or_path: str | Path) -> Path:
    """The model file that is meant.

    Of several in a folder the plain int8 one is taken, then any int8 one, then the first by name.

    Raises:
        ModelError: there is no such file, or no model in the folder.
        UnknownNameError: it looks like a name and is none in the zoo.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    name = str(name_or_path)
    models = folder_models(path) if path.is_dir() else []
    if models:
        return preferred(models)
    zoo = _zoo_folders()
    if name in zoo:
        return preferred(_files(zoo[name]))
    if path.is_dir():
        step = f"; run: edgeclf compress {path}" if RunFolder.is_one(path) else ""
        raise ModelError(f"{path}: no .tflite file in this folder{step}")
    if path.suffix or len(path.parts) > 1:
        raise ModelError(f"{path}: no such file")
    raise UnknownNameError("model", name, zoo)


def folder_models(folder: Path) -> list[Path]:
    """The models of a run folder, or those that lie directly in a folder, sorted by name."""
    if RunFolder.is_one(folder):
        return RunFolder(folder).models()
    return _files(folder)


def preferred(models: list[Path]) -> Path:
    """The one of several models to take when none is named."""

    def rank(path: Path) -> tuple[int, int, str]:
        words = path.stem.split("-")
        return (0 if "int8" in words else 1, len(words), path.name)

    return min(models, key=rank)


def list_zoo() -> list[str]:
    """Names of the models that come with edgeclf, sorted."""
    return sorted(_zoo_folders())


def _zoo_folders() -> dict[str, Path]:
    package = Path(__file__).resolve().parents[1]
    # the wheel carries the checkout's models/ as edgeclf/zoo/
    for root in (package / "zoo", package.parent / "models"):
        if root.is_dir():
            folders = {folder.name: folder for folder in root.iterdir() if folder.is_dir() and _files(folder)}
            if folders:
                return folders
    return {}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.tflite") if path.is_file())
