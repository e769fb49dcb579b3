"""What a run writes besides its epochs: `run.json`, `labels.txt`, `model.keras`, and the report it comes from."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tf_keras

from edgeclf.atomic import check_writable, explained, sync_folder, write_text
from edgeclf.dataset.types import Dataset
from edgeclf.errors import InputError, ModelError, OutputError
from edgeclf.records import Record
from edgeclf.training.config import TrainConfig
from edgeclf.training.evaluation import SplitMetrics

RUN_FILES = (
    "run.json",
    "model.keras",
    "labels.txt",
    "history.csv",
    "plots",
    "checkpoint",
    "logs",
    "compressed",
    "bench",
)
PACKAGES = (
    "edgeclf",
    "tensorflow",
    "tf-keras",
    "tensorflow-model-optimization",
    "numpy",
    "opencv-python",
    "ai-edge-litert",
)


@dataclass(frozen=True)
class TrainReport(Record):
    """What a run did.

    Args:
        run: the run folder.
        model: name of the network.
        parameters: weights and biases, batch normalization included.
        image_size: side of the input, pixels.
        seconds: time spent training, in all sessions of the run.
        epochs: whole epochs done.
        best_epoch: the epoch whose network was kept, by validation top-1.
        device: what it was trained on.
        metrics: by split; `test` is None where the data have none.
        notes: what the user should know, one sentence each.
    """

    run: str
    model: str
    parameters: int
    image_size: int
    seconds: float
    epochs: int
    best_epoch: int
    device: str
    metrics: dict[str, SplitMetrics | None]
    notes: tuple[str, ...]


def prepare(folder: Path, *, resume: bool, overwrite: bool) -> dict[str, Any] | None:
    """Check that a run may be written into `folder`; nothing is removed yet.

    Returns:
        the record of a finished run, when `resume` finds one to report.

    Raises:
        OutputError: there is a run already, or the folder cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file; a run folder was expected; choose another place with --out")
    if not resume and not overwrite and any((folder / name).exists() for name in RUN_FILES):
        raise OutputError(
            f"{folder}: holds a run already; go on with --resume, replace it with --overwrite, or use --out"
        )
    check_writable(folder)
    record = _read(folder) if resume else None
    return record if record and record.get("finished") else None


def _read(folder: Path) -> dict[str, Any] | None:
    path = folder / "run.json"
    if not path.is_file():
        return None
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path}: is not JSON ({error}); start again with --overwrite") from error
    return record


def _clear(folder: Path, names: tuple[str, ...]) -> None:
    # A killed process leaves its temporary files behind; nobody else writes into this folder.
    for path in [folder / name for name in names] + list(folder.glob(".*.partial")):
        with explained(path):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def check_same(record: dict[str, Any], config: TrainConfig, folder: Path) -> None:
    """Raise InputError where a resumed run was configured otherwise, naming the first setting that differs."""
    now = config.to_dict()
    for name, value in record.get("config", {}).items():
        if name in now and now[name] != value:
            raise InputError(
                f"{folder} was trained with {name} {value}, not {now[name]}; --resume cannot change it, "
                "choose another --out or start again with --overwrite"
            )


def record_start(folder: Path, config: TrainConfig, dataset: Dataset, *, resume: bool) -> None:
    """Write `run.json` and `labels.txt` of a run that begins, in place of what an earlier one left.

    Raises:
        InputError: a resumed run had another configuration or other photos.
    """
    record = _read(folder) if resume else None
    _clear(folder, () if resume else RUN_FILES)
    if record is not None:
        check_same(record, config, folder)
        if record["data"]["fingerprint"] != dataset.fingerprint:
            raise InputError(f"{folder}: the photos have changed since the run began; start again with --overwrite")
        return
    write_text(folder / "labels.txt", "".join(f"{name}\n" for name in dataset.class_names))
    record_end(folder, config, dataset, None)


def record_end(folder: Path, config: TrainConfig, dataset: Dataset, report: TrainReport | None) -> None:
    """Write `run.json`: finished where there is a report."""
    record = _record(folder, config, dataset, report)
    write_text(folder / "run.json", json.dumps(record, indent=1, ensure_ascii=False))


def _record(folder: Path, config: TrainConfig, dataset: Dataset, report: TrainReport | None) -> dict[str, Any]:
    source = dataset.source
    path = Path(source)
    return {
        "name": folder.resolve().name,
        "finished": report is not None,
        "edgeclf_version": _version("edgeclf"),
        "config": config.to_dict(),
        "seed": config.seed,
        "data": {
            "name": dataset.name,
            "source": str(path.resolve()) if path.exists() else source,
            "fingerprint": dataset.fingerprint,
            "split_seed": dataset.split_seed,
            "class_names": list(dataset.class_names),
            "splits": dataset.split_sizes(),
            "unreadable": [u.to_dict() for u in dataset.unreadable],
        },
        "parameters": report.parameters if report else None,
        "seconds": report.seconds if report else None,
        "metrics": report.to_dict()["metrics"] if report else None,
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "report": report.to_dict() if report else None,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def save_model(model: tf_keras.Model, folder: Path) -> None:
    """Write `model.keras` into `folder`, whole or not at all."""
    with explained(folder), tempfile.TemporaryDirectory(prefix=".model.", suffix=".partial", dir=folder) as temporary:
        path = Path(temporary) / "model.keras"
        # A copy that was never compiled: the optimizer's state belongs in the checkpoint, its schedule to nobody else.
        plain = tf_keras.models.clone_model(model)
        plain.set_weights(model.get_weights())
        plain.save(path)
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(path, folder / "model.keras")
        sync_folder(folder)
