"""What an earlier run left in a folder: whether a new one may begin there, whether it can be resumed or is finished."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeclf.artifact.run_folder import RECORD, RunFolder
from edgeclf.errors import InputError, ModelError, OutputError
from edgeclf.training.config import TrainConfig


def find_earlier(folder: RunFolder, *, resume: bool, overwrite: bool) -> dict[str, Any] | None:
    """Return the record of the run in `folder` that `resume` continues; None: a run may begin. Nothing is written.

    Raises:
        OutputError: there is a run already, or a file.
        ModelError: its record cannot be read.
    """
    path = folder.path
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path}: is a file; a run folder was expected; choose another place with --out")
    marks = folder.marks()
    if resume and RECORD in marks:
        try:
            return folder.run_json
        except InputError as error:
            raise ModelError(f"{error}; start again with --overwrite") from error
    if marks and not overwrite:
        held = f"{marks[0]}, but no {RECORD} to resume from" if resume else "a run already; continue it with --resume"
        raise OutputError(f"{path}: holds {held}; replace it with --overwrite, or use another --out")
    return None


def resume_config(config: TrainConfig, record: dict[str, Any], folder: Path) -> TrainConfig:
    """Return the configuration of the run that is resumed, after checking that `config` does not contradict it.

    Settings that `config` leaves open are those of the run.

    Raises:
        InputError: a setting differs, or was not known when the run began; the first one is named.
    """
    now, began = config.to_dict(), record.get("config", {})
    unknown = [name for name in now if name not in began]
    if unknown:
        raise InputError(
            f"{folder} was trained by an older edgeclf, which had no setting {unknown[0]}; "
            "choose another --out or start again with --overwrite"
        )
    for name, value in began.items():
        if name in now and now[name] is not None and now[name] != value:
            raise InputError(
                f"{folder} was trained with {name} {value}, not {now[name]}; --resume cannot change it, "
                "choose another --out or start again with --overwrite"
            )
    return TrainConfig.from_dict({name: began[name] for name in now})
