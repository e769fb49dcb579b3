"""One pretraining, from the images to the finished run folder; the training itself is that of `training.run`."""

from __future__ import annotations

import time
from datetime import datetime

import tf_keras

from edgeclf.artifact.run_folder import RunFolder
from edgeclf.image.shape import plain_size
from edgeclf.training.checkpoint import TrainingState
from edgeclf.training.curriculum import first_unaugmented
from edgeclf.training.distribution import Devices, choose_devices
from edgeclf.training.inputs import TrainingInputs, load_inputs
from edgeclf.training.plan import TrainPlan
from edgeclf.training.plots import plot_curves
from edgeclf.training.pretraining import find_method
from edgeclf.training.pretraining.config import PretrainConfig
from edgeclf.training.pretraining.report import PretrainReport
from edgeclf.training.run import train_network
from edgeclf.training.run_plan import RunPlan


def pretrain(request: TrainPlan, plan: RunPlan) -> PretrainReport:
    """Learn features from images without labels, and write their run folder.

    Args:
        request: what is learned from, how (a `PretrainConfig`), and where it goes.
        plan: of the run (see `run_plan.hold_run`).

    Raises:
        InputError: data, configuration or output cannot be used.
        RunFailedError: the training diverged, or the disk is full.
    """
    devices = choose_devices()
    inputs = load_inputs(request, plan, devices)
    state, notes = train_network(inputs, request, plan.folder, devices)
    report = _report(inputs, plan.folder, state, devices, (*inputs.start.notes, *notes), request.began)
    unaugmented = 1 + first_unaugmented(inputs.config.epochs or 1, inputs.config.unaugmented_epochs)
    plot_curves(state.history, state.kept_epoch, unaugmented, plan.folder.plot_path("curves"))
    inputs.record.finish(report)
    return report


def _report(
    inputs: TrainingInputs,
    folder: RunFolder,
    state: TrainingState,
    devices: Devices,
    notes: tuple[str, ...],
    began: float,
) -> PretrainReport:
    config, dataset, last = inputs.config, inputs.dataset, state.history[-1]
    if not isinstance(config, PretrainConfig):
        raise TypeError(f"expected a PretrainConfig, got {type(config).__name__}")
    features = tf_keras.models.load_model(folder.keras_path, compile=False)
    return PretrainReport(
        run=str(folder.path),
        method=config.method,
        pretext=find_method(config.method).pretext,
        model=config.model or "",
        parameters=int(features.count_params()),
        image_size=plain_size(*config.input_shape.size),
        images={name: split.objects for name, split in dataset.splits.items() if name != "test"},
        seconds=round(state.seconds, 3),
        epochs=state.epoch,
        kept_epoch=state.kept_epoch,
        loss=last["loss"],
        validation_loss=last["validation_loss"],
        pretext_top1=last["validation_top1"],
        device=devices.description,
        notes=tuple(dict.fromkeys((*dataset.notes, *notes))),
        started_from=inputs.start.origin,
        fit=config.fit,
        elapsed_seconds=round(time.monotonic() - began, 3),
        ended=datetime.now().astimezone().isoformat(timespec="seconds"),
    )
