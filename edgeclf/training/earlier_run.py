"""What an earlier run left in a folder, and whether a new one may begin there, goes on, or finds itself finished."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from edgeclf.atomic import explained
from edgeclf.errors import InputError, ModelError, OutputError
from edgeclf.training.config import TrainConfig

CHECKPOINT = Path("checkpoint") / "state.npz"
MARKS = (Path("run.json"), CHECKPOINT, Path("model.keras"))
"""What makes a folder a run; logs and plots may be anybody's."""
# The checkpoint goes first, so that no other run is continued from it, and the network last, so that a folder which was
# half removed when the process died still counts as a run and is not taken for an empty one.
RUN_FILES = (
    "checkpoint",
    "run.json",
    "labels.txt",
    "history.csv",
    "plots",
    "logs",
    "compressed",
    "bench",
    "model.keras",
)


def find_earlier(folder: Path, *, resume: bool, overwrite: bool) -> dict[str, Any] | None:
    """The record of the run in `folder` that `resume` goes on with; None: a run may begin. Nothing is written.

    Raises:
        OutputError: there is a run already, or something that is none.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file; a run folder was expected; choose another place with --out")
    there = [mark for mark in MARKS if (folder / mark).exists()]
    if resume and MARKS[0] in there:
        return read_record(folder)
    if there and not overwrite:
        held = f"{there[0]}, but no run.json to go on with" if resume else "a run already; go on with --resume"
        raise OutputError(f"{folder}: holds {held}; replace it with --overwrite, or use another --out")
    return None


def read_record(folder: Path) -> dict[str, Any]:
    """The content of `run.json`.

    Raises:
        ModelError: it cannot be read.
    """
    path = folder / "run.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict):
            raise ValueError(f"a {type(record).__name__} instead of an object")
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: is not JSON of a run ({error}); start again with --overwrite") from error
    return record


def continued(config: TrainConfig, record: dict[str, Any], folder: Path) -> TrainConfig:
    """The configuration that a run began with, where `config` does not contradict it; what that leaves open is kept.

    Raises:
        InputError: a setting differs, or was not known when the run began; the first one is named.
    """
    now, began = config.to_dict(), record.get("config", {})
    unknown = [name for name in now if name not in began]
    if unknown:
        raise InputError(
            f"{folder} was trained by an older edgeclf, which knew no {unknown[0]}; "
            "choose another --out or start again with --overwrite"
        )
    for name, value in began.items():
        if name in now and now[name] is not None and now[name] != value:
            raise InputError(
                f"{folder} was trained with {name} {value}, not {now[name]}; --resume cannot change it, "
                "choose another --out or start again with --overwrite"
            )
    return TrainConfig.from_dict({name: began[name] for name in now})


def clear(folder: Path, *, everything: bool) -> None:
    """Remove what killed processes left half-written, and with `everything` the run itself, if there is one."""
    doomed = [folder / name for name in RUN_FILES] if everything and any((folder / m).exists() for m in MARKS) else []
    # Nobody else writes into these folders, so temporary files there have lost their process.
    doomed += [path for place in (".", "checkpoint", "plots") for path in (folder / place).glob(".*.partial")]
    for path in doomed:
        with explained(path):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
