"""Trains the classifier alone, on frozen features: the first figures for photos in a minute or two."""

from __future__ import annotations

import time

import tf_keras

from edgeclf.artifact.run_folder import RunFolder
from edgeclf.dataset.types import Dataset
from edgeclf.progress import Progress
from edgeclf.training.callbacks import HistoryFile, TensorBoardLog
from edgeclf.training.checkpoint import TrainingState
from edgeclf.training.config import TrainConfig
from edgeclf.training.head import FeatureCache, fit_head

QUICK_NOTE = "the classifier alone was trained, on frozen features; --set quick=false trains all layers"


def train_head(
    model: tf_keras.Model,
    dataset: Dataset,
    config: TrainConfig,
    folder: RunFolder,
    progress: Progress,
    features: FeatureCache | None = None,
) -> TrainingState:
    """Fit the classifier of `model`, and write it and a history of one epoch into the run folder.

    Args:
        model: with pretrained features and a head to be fitted; its weights are changed in place.
        dataset: with the splits `train` and `validation`.
        config: complete.
        folder: the run folder.
        progress: where bars are shown.
        features: those of earlier calls, which this one adds to; None: they are computed.

    Raises:
        DivergedError: the features are not finite.
    """
    began = time.monotonic()
    train, validation = dataset.splits["train"], dataset.splits["validation"].each_view(dataset.height)
    found = fit_head(model, train, validation, config.balance, progress, features)
    row = {
        "epoch": 1,
        "loss": found.train_loss,
        "top1": found.train_top1,
        "validation_loss": found.validation_loss,
        "validation_top1": found.validation_top1,
        "learning_rate": 0.0,
        "seconds": round(time.monotonic() - began, 3),
    }
    with folder.replacing_model() as path:
        model.save(path)
    with TensorBoardLog(folder.logs_path) as log:
        log.on_epoch_end(1, row)
    HistoryFile(folder).on_epoch_end(1, row)
    return TrainingState(
        epoch=1,
        best_top1=found.validation_top1,
        best_loss=found.validation_loss,
        best_epoch=1,
        kept_epoch=1,
        parameters=int(model.count_params()),
        seconds=row["seconds"],
        history=(row,),
    )
