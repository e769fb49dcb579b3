"""One training run, from the data to the finished run folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras

from edgeclf.dataset.sources import Listing
from edgeclf.dataset.types import Dataset
from edgeclf.errors import RunFailedError
from edgeclf.progress import SILENT, Progress
from edgeclf.training.config import TrainConfig
from edgeclf.training.curriculum import first_settled
from edgeclf.training.distribution import choose_devices, synchronized
from edgeclf.training.evaluation import SplitMetrics, evaluate, generalization_note
from edgeclf.training.fitting import Fitting
from edgeclf.training.inference import predict_probabilities
from edgeclf.training.networks import build_network
from edgeclf.training.plots import plot_confusion, plot_curves, plot_mistakes
from edgeclf.training.preparing import open_run, prepare_run
from edgeclf.training.run_record import TrainReport, record_end
from edgeclf.training.starting import StartingPoint


def train(
    data: str | Path | Listing | None,
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
    data = "digits" if data is None else data
    # Before all else: TensorFlow wants to know of the other workers before it computes anything.
    devices = choose_devices()
    opening = open_run(data, config, devices, out=out, resume=resume, overwrite=overwrite)
    folder = opening.folder
    if opening.report is not None:
        progress.say(f"{folder} is finished; this is its report")
        return TrainReport.from_dict(opening.report)
    prepared = prepare_run(data, opening, devices, trust_model=trust_model, progress=progress)
    config, start, dataset = prepared.config, prepared.start, prepared.dataset
    tf_keras.utils.set_random_seed(config.seed)
    if devices.workers == 1:
        tf.config.experimental.enable_op_determinism()
    notes: list[str] = list(start.notes)

    def network(policy: str, any_size: bool, notes: list[str]) -> tf_keras.Model:
        tf_keras.utils.set_random_seed(config.seed)
        tf_keras.mixed_precision.set_global_policy(policy)
        try:
            return _network(config, dataset, start, notes, any_size)
        finally:
            tf_keras.mixed_precision.set_global_policy("float32")

    def build() -> tf_keras.Model:
        made = network("mixed_bfloat16" if config.mixed_precision else "float32", config.progressive, [])
        return synchronized(made) if devices.replicas > 1 else made

    plain = network("float32", False, notes)  # what it says of its start is said once, and true of both
    fitting = Fitting(config, dataset, prepared.batches, devices, build, plain, folder, progress)
    try:
        state = fitting.run()
    except tf.errors.OpError as error:
        if devices.workers == 1:
            raise
        raise RunFailedError(
            f"another worker was lost ({_one_line(error)}); start all of them again with --resume"
        ) from error
    metrics: dict[str, SplitMetrics | None] = {}
    chief = devices.worker == 0
    if chief:
        model = tf_keras.models.load_model(folder / "model.keras", compile=False)
        metrics, gap = _evaluate(model, dataset, folder, progress)
        notes.append(gap)
    report = TrainReport(
        run=str(folder),
        model=config.model or "",
        parameters=state.parameters,
        image_size=config.image_size or 32,
        seconds=round(state.seconds, 3),
        epochs=state.epoch,
        kept_epoch=state.kept_epoch,
        device=devices.description,
        metrics=metrics,
        notes=tuple(dict.fromkeys(notes)),
    )
    if chief:
        settled = 1 + first_settled(config.epochs or 1, config.settle)
        plot_curves(state.history, state.kept_epoch, settled, folder / "plots" / "curves.png")
        record_end(folder, config, dataset, start.identity(), report)
    return report


def _network(
    config: TrainConfig, dataset: Dataset, start: StartingPoint, notes: list[str], any_size: bool
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
    seen = predict_probabilities(model, training.images.subset(sample), progress)
    train_top1 = float((seen.argmax(1) == training.labels[sample]).mean())
    validation = metrics["validation"]
    note = generalization_note(train_top1, validation.top1 if validation else 0.0)
    return dict(sorted(metrics.items(), reverse=True)), note


def _one_line(error: tf.errors.OpError) -> str:
    text = str(error.message).rsplit("}} ", 1)[-1]  # behind the name of the node
    return (text.splitlines() or [type(error).__name__])[0][:160]
