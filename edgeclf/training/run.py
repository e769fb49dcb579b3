"""One training run, from the data to the finished run folder."""

from __future__ import annotations

import dataclasses
import time
from datetime import datetime

import numpy as np
import tensorflow as tf
import tf_keras

from edgeclf.artifact.run_folder import RunFolder
from edgeclf.dataset.types import Dataset
from edgeclf.errors import EdgeclfError, RunFailedError
from edgeclf.image.shape import plain_size
from edgeclf.image.views import average_views
from edgeclf.measure.formatting import counted, percent
from edgeclf.progress import Progress
from edgeclf.training.checkpoint import TrainingState
from edgeclf.training.curriculum import first_unaugmented
from edgeclf.training.distribution import Devices, choose_devices, synchronize_normalization
from edgeclf.training.evaluation import SplitMetrics, evaluate, few_images_note, generalization_note
from edgeclf.training.growing import GrownStart
from edgeclf.training.growth import GrowthReport
from edgeclf.training.inference import predict_probabilities
from edgeclf.training.inputs import TrainingInputs, agree_on_run, load_inputs
from edgeclf.training.networks import NetworkSettings
from edgeclf.training.networks.building import build_network
from edgeclf.training.plan import TrainPlan
from edgeclf.training.plots import plot_confusion, plot_curves, plot_mistakes
from edgeclf.training.quick import QUICK_NOTE, train_head
from edgeclf.training.remarks import FROZEN_KEPT, advise, describe_images, describe_network, describe_work
from edgeclf.training.run_plan import RunPlan
from edgeclf.training.run_record import TrainReport, count_in_training, describe_optimism
from edgeclf.training.trainer import Trainer


def train(request: TrainPlan, plan: RunPlan | None = None) -> TrainReport:
    """Train a float Keras model and write its run folder.

    Args:
        request: what is trained, how, and where it goes.
        plan: of the run, where it was made before (see `run_plan.hold_run`); None: it is made here, on every worker.

    Raises:
        InputError: data, configuration or output cannot be used.
        RunFailedError: the training diverged, or the disk is full.
    """
    # Before all else: TensorFlow has to know of the other workers before it computes anything.
    devices = choose_devices()
    plan = plan or agree_on_run(request, devices)
    if plan.report is not None:
        request.progress.info(f"{plan.folder.path} is finished; this is its report")
        return TrainReport.from_dict(plan.report)
    inputs = load_inputs(request, plan, devices)
    state, notes = train_network(inputs, request, plan.folder, devices)
    report = _report(inputs, plan.folder, state, devices, (*inputs.start.notes, *notes))
    return _finish(inputs, request, plan.folder, state, report) if devices.worker == 0 else report


def train_network(
    inputs: TrainingInputs, request: TrainPlan, folder: RunFolder, devices: Devices
) -> tuple[TrainingState, tuple[str, ...]]:
    """Train the network of a run to its end, from the checkpoint where there is one.

    Returns:
        the state after the last epoch, and remarks on what the network started from.

    Raises:
        RunFailedError: the training diverged, the disk is full, or another worker was lost.
    """
    tf_keras.utils.set_random_seed(inputs.config.seed)
    if devices.workers == 1:
        tf.config.experimental.enable_op_determinism()
    plain, notes = _make_network(inputs, "float32", any_size=False)
    _describe(inputs, plain, folder, devices, request.progress)
    trainer = Trainer(
        inputs.config,
        inputs.dataset,
        inputs.objective,
        inputs.batches,
        devices,
        lambda: _make_trained_network(inputs, devices),
        plain,
        folder,
        request.progress,
        (*request.callbacks, *request.watchers),
    )
    try:
        return _run(inputs, trainer, request), notes
    except tf.errors.OpError as error:
        if devices.workers == 1:
            raise
        raise RunFailedError(
            f"another worker was lost ({_one_line(error)}); start all of them again with --resume"
        ) from error


def _run(inputs: TrainingInputs, trainer: Trainer, request: TrainPlan) -> TrainingState:
    if not inputs.config.quick:
        return trainer.run()
    folder, features = trainer.folder, request.features
    return train_head(trainer.plain, inputs.dataset, inputs.config, folder, request.progress, features)


def _describe(
    inputs: TrainingInputs, network: tf_keras.Model, folder: RunFolder, devices: Devices, progress: Progress
) -> None:
    """Log what is about to be trained, on what, and where it starts from."""
    config, batches = inputs.config, inputs.batches
    progress.info(describe_network(config, int(network.count_params()), inputs.start.origin))
    progress.info(describe_images(inputs.dataset))
    batch = batches.effective_batch_size
    progress.info(describe_work(config, batches.steps, batch, devices.description, folder.path))


def _make_trained_network(inputs: TrainingInputs, devices: Devices) -> tf_keras.Model:
    config = inputs.config
    policy = "mixed_bfloat16" if config.mixed_precision else "float32"
    network, _ = _make_network(inputs, policy, any_size=config.progressive)
    return synchronize_normalization(network) if devices.replicas > 1 else network


def _make_network(inputs: TrainingInputs, policy: str, *, any_size: bool) -> tuple[tf_keras.Model, tuple[str, ...]]:
    """Build the network in a precision, with remarks on what it starts from."""
    config, start = inputs.config, inputs.start
    tf_keras.utils.set_random_seed(config.seed)
    tf_keras.mixed_precision.set_global_policy(policy)
    settings = NetworkSettings(
        image_size=None if any_size else config.image_size or 32,
        classes=len(inputs.dataset.class_names),
        width=config.width,
        dropout=config.dropout or 0.0,
        l1=config.l1,
        l2=config.l2,
        batch_norm_momentum=config.batch_norm_momentum,
        seed=config.seed,
    )
    try:
        if start.network is None:
            return inputs.objective.complete(build_network(config.model or "", settings)), ()
        made = start.transfer(settings, inputs.dataset)
        return inputs.objective.complete(made.network), made.notes
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")


def _report(
    inputs: TrainingInputs, folder: RunFolder, state: TrainingState, devices: Devices, notes: tuple[str, ...]
) -> TrainReport:
    dataset, choice = inputs.dataset, inputs.record.choice
    chosen = () if choice is None else (f"chosen: {choice.reason}",)
    return TrainReport(
        run=str(folder.path),
        model=inputs.config.model or "",
        parameters=state.parameters,
        image_size=plain_size(*inputs.config.input_shape.size),
        seconds=round(state.seconds, 3),
        epochs=state.epoch,
        kept_epoch=state.kept_epoch,
        device=devices.description,
        metrics={},
        notes=tuple(dict.fromkeys((*chosen, *dataset.list_notes(), *notes))),
        in_training=count_in_training(dataset),
        started_from=inputs.start.origin,
        choice=choice,
        fit=inputs.config.fit,
    )


def _finish(
    inputs: TrainingInputs, request: TrainPlan, folder: RunFolder, state: TrainingState, report: TrainReport
) -> TrainReport:
    """Evaluate the network that was kept, draw the plots and write the record of the finished run."""
    config, progress = inputs.config, request.progress
    model = tf_keras.models.load_model(folder.keras_path, compile=False)
    metrics = _evaluate(model, inputs.dataset, folder, progress)
    frozen = None if state.kept_epoch else FROZEN_KEPT.format(rate=config.learning_rate)
    small = [few_images_note(split, figures) for split, figures in metrics.items() if figures is not None]
    gap = QUICK_NOTE if config.quick else _compare_with_training(model, inputs, metrics, progress)
    judged = metrics["test"] or metrics["validation"]
    start = inputs.start
    advice = advise(config, judged.top1, inputs.dataset, start.missed, start.instead) if judged is not None else None
    compared = _compare_growth(start, model, inputs.dataset, request) if isinstance(start, GrownStart) else None
    growth, failed = compared or (None, None)
    optimism = describe_optimism(inputs.dataset, config, growth)
    notes = filter(None, (*report.notes, frozen, *small, gap, advice, optimism, failed))
    report = dataclasses.replace(report, metrics=metrics, notes=tuple(dict.fromkeys(notes)))
    unaugmented = 1 + first_unaugmented(config.epochs or 1, config.unaugmented_epochs)
    plot_curves(state.history, state.kept_epoch, unaugmented, folder.plot_path("curves"))
    report = dataclasses.replace(
        report,
        growth=growth,
        elapsed_seconds=round(time.monotonic() - request.began, 3),
        ended=datetime.now().astimezone().isoformat(timespec="seconds"),
    )
    inputs.record.finish(report)
    return report


def _compare_growth(
    start: GrownStart, model: tf_keras.Model, dataset: Dataset, request: TrainPlan
) -> tuple[GrowthReport, str | None]:
    """Compare with the earlier network; where that fails the run is finished all the same, with what is new and why."""
    try:
        return start.compare(model, dataset, request), None
    except EdgeclfError as error:
        failed = f"not compared with {start.run.folder.path}: {error}"
        request.progress.warn(failed)
        return start.find_growth(dataset), failed


def _evaluate(
    model: tf_keras.Model, dataset: Dataset, folder: RunFolder, progress: Progress
) -> dict[str, SplitMetrics | None]:
    metrics: dict[str, SplitMetrics | None] = {"test": None}
    names = dataset.class_names
    for split in ("validation", "test"):
        if split not in dataset.splits:
            continue
        images, labels = dataset.splits[split].images, dataset.splits[split].labels
        probabilities = predict_probabilities(model, images, progress)
        done = evaluate(probabilities, labels, names)
        metrics[split] = done
        title = f"{split}: top-1 {percent(done.top1, 1)} of {counted(done.images, 'image')}"
        plot_confusion(done.confusion, names, title, folder.plot_path(f"confusion-{split}"))
        if split == "validation":
            plot_mistakes(dataset.splits[split], probabilities, names, folder.plot_path("worst-mistakes"))
    return dict(sorted(metrics.items(), reverse=True))


def _compare_with_training(
    model: tf_keras.Model, inputs: TrainingInputs, metrics: dict[str, SplitMetrics | None], progress: Progress
) -> str:
    """Return a sentence on the gap between training and validation top-1."""
    training = inputs.dataset.splits["train"]
    # Views of an object count together, as they do in validation.
    views = training.views
    sample = np.linspace(0, training.objects - 1, min(training.objects, 5000 // views)).astype(np.int64) * views
    rows = (sample[:, None] + np.arange(views)).reshape(-1)
    predictions = average_views(predict_probabilities(model, training.images.subset(rows), progress), len(sample))
    train_top1 = float((predictions.argmax(1) == training.labels[sample]).mean())
    validation = metrics["validation"]
    images = (len(sample), validation.images if validation else 0)
    return generalization_note(
        train_top1,
        validation.top1 if validation else 0.0,
        images,
        augment=inputs.config.augment or "",
        pretrained=bool(inputs.start.origin),
    )


def _one_line(error: tf.errors.OpError) -> str:
    text = str(error.message).rsplit("}} ", 1)[-1]  # behind the name of the node
    return (text.splitlines() or [type(error).__name__])[0][:160]
