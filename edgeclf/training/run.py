"""One training run, from the data to the finished run folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras

from edgeclf.dataset import load_dataset, probe
from edgeclf.dataset.types import Dataset
from edgeclf.errors import InputError, UnknownNameError
from edgeclf.progress import SILENT, Progress
from edgeclf.training.augmentation import LEVELS
from edgeclf.training.config import TrainConfig
from edgeclf.training.defaults import complete
from edgeclf.training.distribution import choose_devices
from edgeclf.training.evaluation import SplitMetrics, evaluate, generalization_note
from edgeclf.training.fitting import Fitting
from edgeclf.training.inference import predict_probabilities
from edgeclf.training.networks import NETWORKS, build_network
from edgeclf.training.pipeline import TrainingBatches
from edgeclf.training.plots import plot_confusion, plot_curves, plot_mistakes
from edgeclf.training.run_record import TrainReport, check_same, prepare, record_end, record_start, save_model
from edgeclf.training.starting import StartingPoint, find_start


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
    if config.model is not None and config.model not in NETWORKS:
        raise UnknownNameError("model", config.model, NETWORKS)
    data = "digits" if data is None else data
    # Before all else: TensorFlow wants to know of the other workers before it computes anything.
    devices = choose_devices()
    chief = devices.worker == 0
    if devices.workers > 1 and overwrite:
        raise InputError(
            "--overwrite cannot be used with several workers, whose starts it would race; choose a new --out"
        )
    seen = probe(data)
    start = find_start(config, seen, trust_model=trust_model, progress=progress)
    config = complete(start.adapted(config), seen, pretrained=start.source is not None)
    folder = Path(out) if out else Path("runs") / (config.name or f"{seen.name}-{config.model}")
    finished = prepare(folder, resume=resume, overwrite=overwrite) if chief else None
    if finished is not None:
        check_same(finished, config, folder)
        progress.say(f"{folder} is finished; this is its report")
        return TrainReport.from_dict(finished["report"])
    size = config.image_size or 32
    dataset = load_dataset(data, image_size=size, progress=progress)
    if (config.batch_size or 1) % devices.workers:
        raise InputError(f"batch_size must be a multiple of the {devices.workers} workers, got {config.batch_size}")
    if chief:
        record_start(folder, config, dataset, resume=resume)
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
    metrics: dict[str, SplitMetrics | None] = {}
    if chief:
        model = tf_keras.models.load_model(folder / "model.keras", compile=False)
        metrics, gap = _evaluate(model, dataset, folder, progress)
        notes.append(gap)
    report = TrainReport(
        run=str(folder),
        model=config.model or "",
        parameters=state.parameters,
        image_size=size,
        seconds=round(state.seconds, 3),
        epochs=state.epoch,
        best_epoch=state.best_epoch,
        device=devices.description,
        metrics=metrics,
        notes=tuple(dict.fromkeys(notes)),
    )
    if chief:
        plot_curves(state.history, state.best_epoch, folder / "plots" / "curves.png")
        record_end(folder, config, dataset, report)
    return report


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


def _as_shipped(model: tf_keras.Model, config: TrainConfig, dataset: Dataset, start: StartingPoint) -> tf_keras.Model:
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
    note = generalization_note(train_top1, validation.top1 if validation else 0.0)
    return dict(sorted(metrics.items(), reverse=True)), note
