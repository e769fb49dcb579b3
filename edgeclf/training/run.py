"""One training run, from the data to the finished run folder."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from edgeclf.atomic import check_writable, explained, sync_folder, write_text
from edgeclf.dataset import load_dataset, probe
from edgeclf.dataset.types import Dataset
from edgeclf.errors import InputError, ModelError, OutputError
from edgeclf.progress import SILENT, Progress
from edgeclf.records import Record
from edgeclf.training.augmentation import LEVELS
from edgeclf.training.config import TrainConfig
from edgeclf.training.defaults import complete
from edgeclf.training.distribution import Devices, choose_devices
from edgeclf.training.evaluation import SplitMetrics, evaluate, generalization_note
from edgeclf.training.fitting import Fitting
from edgeclf.training.inference import predict_probabilities
from edgeclf.training.networks import NETWORKS, build_network
from edgeclf.training.pipeline import TrainingBatches
from edgeclf.training.plots import plot_confusion, plot_curves, plot_mistakes
from edgeclf.training.starting import StartingPoint, find_start

RUN_FILES = ("run.json", "model.keras", "labels.txt", "history.csv", "plots", "checkpoint", "logs", "compressed", "bench")
PACKAGES = ("edgeclf", "tensorflow", "tf-keras", "numpy", "opencv-python", "ai-edge-litert", "tensorflow-model-optimization")


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


def train(
    data: str | Path | None,
    config: TrainConfig | None = None,
    *,
    out: Path | str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    trust_model: bool = False,
    progress: Progress = SILENT,
) -> TrainReport:
    """Train a float Keras model and write its run folder.

    Args:
        data: a folder, a manifest or a name (see `edgeclf.dataset`); None: the embedded `digits`.
        config: how; settings left None are chosen by the data.
        out: the run folder; None: `runs/NAME`.
        resume: start where there is nothing, go on where there is a checkpoint, report where the run is finished.
        overwrite: remove what an earlier run left in `out`.
        trust_model: load `config.weights` even if that runs code from the file.
        progress: where bars and remarks go.

    Raises:
        InputError: data, configuration or output cannot be used.
        RunFailedError: the training diverged, or the disk is full.
    """
    config = config or TrainConfig()
    _check_names(config)
    data = "digits" if data is None else data
    seen = probe(data)
    start = find_start(config, seen, trust_model=trust_model, progress=progress)
    config = complete(start.adapted(config), seen, pretrained=start.source is not None)
    folder = Path(out) if out else Path("runs") / (config.name or f"{seen.name}-{config.model}")
    finished = _prepare(folder, resume=resume, overwrite=overwrite)
    if finished is not None:
        _check_same(finished, config, folder)
        progress.say(f"{folder} is finished; this is its report")
        return TrainReport.from_dict(finished["report"])
    size = config.image_size or 32
    dataset = load_dataset(data, image_size=size, progress=progress)
    devices = choose_devices()
    if (config.batch_size or 1) % devices.workers:
        raise InputError(f"batch_size must be a multiple of the {devices.workers} workers, got {config.batch_size}")
    _record_start(folder, config, dataset, resume=resume)
    tf_keras.utils.set_random_seed(config.seed)
    if devices.workers == 1:
        tf.config.experimental.enable_op_determinism()

    recipe = LEVELS[config.augment or "standard"]
    recipe = dataclasses.replace(recipe, flip=recipe.flip and bool(config.flip))
    batches = TrainingBatches(
        dataset.splits["train"], len(dataset.class_names), config.batch_size or 1, recipe, config.balance, config.seed
    )
    notes: list[str] = list(start.notes)

    def build() -> tf_keras.Model:
        tf_keras.utils.set_random_seed(config.seed)
        policy = "mixed_bfloat16" if config.mixed_precision else "float32"
        tf_keras.mixed_precision.set_global_policy(policy)
        try:
            return _network(config, dataset, start, notes, any_size=config.progressive)
        finally:
            tf_keras.mixed_precision.set_global_policy("float32")

    def keep(model: tf_keras.Model) -> None:
        changed = config.mixed_precision or config.progressive
        save_model(_as_shipped(model, config, dataset, start) if changed else model, folder)

    fitting = Fitting(config, dataset, batches, devices, build, keep, folder, progress)
    state = fitting.run()
    model_path = folder / "model.keras"
    if devices.worker != 0:
        model = fitting.build()
    else:
        model = tf_keras.models.load_model(model_path, compile=False)
    metrics, gap = _evaluate(model, dataset, folder, progress) if devices.worker == 0 else ({}, "")
    report = TrainReport(
        run=str(folder),
        model=config.model or "",
        parameters=int(model.count_params()),
        image_size=size,
        seconds=round(state.seconds, 3),
        epochs=state.epoch,
        best_epoch=state.best_epoch,
        device=devices.description,
        metrics=metrics,
        notes=tuple(dict.fromkeys([*notes, gap] if gap else notes)),
    )
    if devices.worker == 0:
        plot_curves(state.history, state.best_epoch, folder / "plots" / "curves.png")
        _write_run(folder, config, dataset, report)
    return report


def save_model(model: tf_keras.Model, folder: Path) -> None:
    """Write `model.keras` into `folder`, whole or not at all."""
    with explained(folder), tempfile.TemporaryDirectory(prefix=".model.", suffix=".partial", dir=folder) as temporary:
        path = Path(temporary) / "model.keras"
        # A copy that was never compiled: the optimizer's state is the checkpoint's matter, and its schedule foreign to others.
        plain = tf_keras.models.clone_model(model)
        plain.set_weights(model.get_weights())
        plain.save(path)
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(path, folder / "model.keras")
        sync_folder(folder)


def _network(
    config: TrainConfig, dataset: Dataset, start: StartingPoint, notes: list[str], any_size: bool = False
) -> tf_keras.Model:
    if start.source is None:
        return build_network(
            config.model or "",
            image_size=None if any_size else config.image_size or 32,
            classes=len(dataset.class_names),
            width=config.width,
            dropout=config.dropout or 0.0,
            l1=config.l1,
            l2=config.l2,
            seed=config.seed,
        )
    made = start.transferred(config, dataset)
    notes += made.notes
    return made.model


def _as_shipped(
    model: tf_keras.Model, config: TrainConfig, dataset: Dataset, start: StartingPoint
) -> tf_keras.Model:
    """The same network in float32 and with a fixed input size, as the run folder holds it."""
    plain = _network(config, dataset, start, [])
    plain.set_weights(model.get_weights())
    return plain


def _evaluate(
    model: tf_keras.Model, dataset: Dataset, folder: Path, progress: Progress
) -> tuple[dict[str, SplitMetrics | None], str]:
    metrics: dict[str, SplitMetrics | None] = {"test": None}
    names = dataset.class_names
    for split in ("validation", "test"):
        if split not in dataset.splits:
            continue
        images, labels = dataset.splits[split].images, dataset.splits[split].labels
        probabilities = predict_probabilities(model, images, progress)
        done = evaluate(probabilities, labels, names)
        metrics[split] = done
        title = f"{split}: top-1 {done.top1:.1%} of {done.images:,} images"
        plot_confusion(done.confusion, names, title, folder / "plots" / f"confusion-{split}.png")
        if split == "validation":
            plot_mistakes(images, labels, probabilities, names, folder / "plots" / "worst-mistakes.png")
    training = dataset.splits["train"]
    sample = np.linspace(0, len(training.labels) - 1, min(len(training.labels), 5000)).astype(int)
    seen = predict_probabilities(model, training.images[sample], progress)
    train_top1 = float((seen.argmax(1) == training.labels[sample]).mean())
    validation = metrics["validation"]
    return dict(sorted(metrics.items(), reverse=True)), generalization_note(train_top1, validation.top1 if validation else 0)


def _check_names(config: TrainConfig) -> None:
    if config.model is not None:
        from edgeclf.errors import UnknownNameError

        if config.model not in NETWORKS:
            raise UnknownNameError("model", config.model, NETWORKS)


def _prepare(folder: Path, *, resume: bool, overwrite: bool) -> dict[str, Any] | None:
    """Make the run folder ready; the record of a finished run where there is one to report."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file; a run folder was expected; choose another place with --out")
    old = [name for name in RUN_FILES if (folder / name).exists()]
    if old and not resume and not overwrite:
        raise OutputError(f"{folder}: holds a run already; go on with --resume, replace it with --overwrite, or use --out")
    if not resume:
        for name in old:
            with explained(folder / name):
                shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink()
    check_writable(folder)
    # A killed process leaves its temporary files behind; nobody else writes into this folder.
    for rest in folder.glob(".*.partial"):
        shutil.rmtree(rest, ignore_errors=True) if rest.is_dir() else rest.unlink(missing_ok=True)
    if not (folder / "run.json").is_file():
        return None
    try:
        record: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{folder}/run.json: is not JSON ({error}); start again with --overwrite") from error
    return record if record.get("finished") else None


def _check_same(record: dict[str, Any], config: TrainConfig, folder: Path) -> None:
    now = config.to_dict()
    for name, value in record.get("config", {}).items():
        if name in now and now[name] != value:
            raise InputError(
                f"{folder} was trained with {name} {value}, not {now[name]}; --resume cannot change it, "
                "choose another --out or start again with --overwrite"
            )


def _record_start(folder: Path, config: TrainConfig, dataset: Dataset, *, resume: bool) -> None:
    if resume and (folder / "run.json").is_file():
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        _check_same(record, config, folder)
        if record["data"]["fingerprint"] != dataset.fingerprint:
            raise InputError(f"{folder}: the photos have changed since the run began; start again with --overwrite")
        return
    write_text(folder / "run.json", json.dumps(_record(folder, config, dataset, None), indent=1, ensure_ascii=False))
    write_text(folder / "labels.txt", "".join(f"{name}\n" for name in dataset.class_names))


def _write_run(folder: Path, config: TrainConfig, dataset: Dataset, report: TrainReport) -> None:
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


