"""What an earlier run left in a folder: whether a new one may begin there, whether it can be resumed or is finished."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeclf.artifact.run_folder import PRETRAINING, RECORD, RunFolder
from edgeclf.errors import InputError, ModelError, OutputError
from edgeclf.training.checkpoint import epochs_done
from edgeclf.training.config import TrainConfig

EARLIER_VERSIONS: dict[str, Any] = {
    "fit": "stretch",
    "head_first": None,
    "first_layer_rate": None,
    "frozen_fraction": None,
    "norm_rates": None,
    "batch_norm_momentum": None,
    "weight_average": None,
    "quick": False,
    "board": None,
    "max_latency": None,
    "max_size": None,
    "from_run": None,
    "teacher": None,
    "teacher_weight": 0.5,
    "teacher_views": 1,
    "temperature": 2.0,
}
"""What runs of earlier versions did, by the settings that they had no name for."""


def find_earlier(folder: RunFolder, *, resume: bool, overwrite: bool) -> dict[str, Any] | None:
    """Return the record of the run in `folder` that `resume` continues; None: a run may begin. Nothing is written.

    What a command left that was refused or failed before its first epoch was finished is no run: it is not in the way
    of the same command, nor of a corrected one.

    Raises:
        OutputError: there is a run already, or a file.
        ModelError: its record cannot be read.
    """
    path = folder.path
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path}: is a file; a run folder was expected; choose another place with --out")
    marks = folder.marks()
    if not has_finished_epoch(folder):
        return None
    if resume and RECORD in marks:
        try:
            return folder.run_json
        except InputError as error:
            raise ModelError(f"{error}; start again with --overwrite") from error
    if marks and not overwrite:
        held = f"{marks[0]}, but no {RECORD} to resume from" if resume else "a run already; continue it with --resume"
        raise OutputError(f"{path}: holds {held}; replace it with --overwrite, or use another --out")
    return None


def has_finished_epoch(folder: RunFolder) -> bool:
    """Return whether `folder` holds a run whose first epoch is finished, or anything that may be somebody's work.

    History and network are written before the checkpoint, so that one row of history is no finished epoch.
    """
    marks = folder.marks()
    if not marks:
        return False
    try:
        record = folder.run_json if RECORD in marks else {}
    except InputError:
        return True
    unfinished = record.get("finished") is False and "config" in record
    if not unfinished or epochs_done(folder.checkpoint_path):
        return True
    made = any(path.is_dir() and any(path.iterdir()) for path in (folder.compressed_path, folder.bench_path))
    return made or len(folder.history()) > (0 if folder.checkpoint_path.exists() else 1)


def resume_config(
    config: TrainConfig, record: dict[str, Any], folder: Path, named: frozenset[str] = frozenset()
) -> TrainConfig:
    """Return the configuration of the run that is resumed, after checking that `config` does not contradict it.

    Settings that `config` leaves at their defaults are those of the run, unless they are `named`.

    Raises:
        InputError: a setting differs, or was not known when the run began; the first one is named.
    """
    _check_kind(config, record, folder)
    now, began, given = config.to_dict(), EARLIER_VERSIONS | record.get("config", {}), config.list_given(named)
    unknown = [name for name in now if name not in began]
    if unknown:
        raise InputError(
            f"{folder} was trained by an older edgeclf, which had no setting {unknown[0]}; "
            "choose another --out or start again with --overwrite"
        )
    # A file may have been moved: its content is compared when it is loaded.
    for name in ("weights", "from_run"):
        if not {now[name], began[name]} & {"auto", "none", None}:
            began = {**began, name: now[name]}
    for name, value in began.items():
        if name in given and now[name] != value:
            raise InputError(
                f"{folder} was trained with {name} {value}, not {now[name]}; --resume cannot change it, "
                "choose another --out or start again with --overwrite"
            )
    return type(config).from_dict({name: began[name] for name in now})


def _check_kind(config: TrainConfig, record: dict[str, Any], folder: Path) -> None:
    made, asked = ("pretrain" if without else "train" for without in (PRETRAINING in record, _has_method(config)))
    if made != asked:
        raise InputError(
            f"{folder} is a run of edgeclf {made}, which edgeclf {asked} cannot continue; choose another --out or "
            "start again with --overwrite"
        )


def _has_method(config: TrainConfig) -> bool:
    return "method" in config.to_dict()
