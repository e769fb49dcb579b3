"""What a run writes besides its epochs: `run.json`, `labels.txt`, `model.keras`, and the report it comes from."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tf_keras

from edgeclf.atomic import check_writable, explained, sync_folder, write_text
from edgeclf.dataset.types import Dataset
from edgeclf.errors import InputError
from edgeclf.records import Record
from edgeclf.training.config import TrainConfig
from edgeclf.training.earlier_run import clear
from edgeclf.training.evaluation import SplitMetrics
from edgeclf.versions import package_version

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
        kept_epoch: the epoch whose network was kept: the latest that validation cannot tell from the best.
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
    kept_epoch: int
    device: str
    metrics: dict[str, SplitMetrics | None]
    notes: tuple[str, ...]


def record_start(
    folder: Path,
    config: TrainConfig,
    dataset: Dataset,
    start: Mapping[str, Any],
    earlier: Mapping[str, Any] | None,
) -> None:
    """Write `run.json` and `labels.txt` of a run that begins, in place of what an earlier one left.

    Args:
        folder: the run folder.
        config: complete.
        dataset: to train on.
        start: what the network starts from.
        earlier: the record of the run that goes on; it stays as it is.

    Raises:
        InputError: the run that goes on had other photos.
        OutputError: the folder cannot be written.
    """
    check_writable(folder)
    if earlier is not None:
        if earlier.get("data", {}).get("fingerprint") != dataset.fingerprint:
            raise InputError(f"{folder}: the photos have changed since the run began; start again with --overwrite")
        clear(folder, everything=False)
        return
    clear(folder, everything=True)
    write_text(folder / "labels.txt", "".join(f"{name}\n" for name in dataset.class_names))
    record_end(folder, config, dataset, start, None)


def record_end(
    folder: Path, config: TrainConfig, dataset: Dataset, start: Mapping[str, Any], report: TrainReport | None
) -> None:
    """Write `run.json`: finished where there is a report."""
    record = _record(folder, config, dataset, report) | {"start": dict(start)}
    write_text(folder / "run.json", json.dumps(record, indent=1, ensure_ascii=False))


def _record(folder: Path, config: TrainConfig, dataset: Dataset, report: TrainReport | None) -> dict[str, Any]:
    source = dataset.source
    path = Path(source)
    return {
        "name": folder.resolve().name,
        "finished": report is not None,
        "edgeclf_version": package_version("edgeclf"),
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
        "versions": {"python": platform.python_version()} | {name: package_version(name) for name in PACKAGES},
        "report": report.to_dict() if report else None,
    }


def save_model(model: tf_keras.Model, folder: Path) -> None:
    """Write `model` into `folder` as `model.keras`, whole or not at all."""
    with explained(folder), tempfile.TemporaryDirectory(prefix=".model.", suffix=".partial", dir=folder) as temporary:
        path = Path(temporary) / "model.keras"
        model.save(path)
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(path, folder / "model.keras")
        sync_folder(folder)
