"""The training loop: one `model.fit` an epoch, a whole checkpoint after each; validation chooses the network kept."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from edgeclf.atomic import write_text
from edgeclf.dataset.types import Dataset
from edgeclf.errors import RunFailedError
from edgeclf.progress import Progress, Task
from edgeclf.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from edgeclf.training.config import TrainConfig
from edgeclf.training.curriculum import augmentation_at, image_size_at
from edgeclf.training.distribution import Devices
from edgeclf.training.earlier_run import CHECKPOINT
from edgeclf.training.inference import predict_probabilities
from edgeclf.training.pipeline import TrainingBatches
from edgeclf.training.run_record import save_model
from edgeclf.training.schedule import WarmupCosine, build_optimizer


@dataclass(frozen=True)
class Fitting:
    """All that the loop needs.

    Args:
        config: complete.
        dataset: with the splits `train` and `validation`.
        batches: of the training split.
        devices: to train on.
        build: makes the network that learns, freshly initialized or from pretrained weights.
        plain: the same network as one device runs it, in float32 and with a fixed input size: it takes the weights of
            each epoch, is validated, and goes into the run folder.
        folder: the run folder.
        progress: where bars go.
    """

    config: TrainConfig
    dataset: Dataset
    batches: TrainingBatches
    devices: Devices
    build: Callable[[], tf_keras.Model]
    plain: tf_keras.Model
    folder: Path
    progress: Progress

    @property
    def checkpoint(self) -> Path:
        """The file with the state after the last whole epoch."""
        return self.folder / CHECKPOINT

    @property
    def schedule(self) -> WarmupCosine:
        """Learning rate by step."""
        config, steps = self.config, self.batches.steps
        warmup = round((config.warmup_epochs or 0) * steps)
        return WarmupCosine(config.learning_rate or 0.1, (config.epochs or 1) * steps, warmup)

    def run(self) -> TrainingState:
        """Train to the end, from the checkpoint where there is one.

        Raises:
            RunFailedError: the loss is no longer a number.
        """
        config, validation = self.config, self.dataset.splits["validation"]
        with self.devices.strategy.scope():
            model = self._compiled()
        state = load_checkpoint(self.checkpoint, model) if self.checkpoint.is_file() else TrainingState()
        epochs = config.epochs or 1
        first = state.epoch
        if first:
            self.progress.say(f"resuming after epoch {first} of {epochs}")
        with self.progress.task("training", (epochs - first) * self.batches.steps) as task:
            for epoch in range(first, epochs):
                if self._stalled(state):
                    self.progress.say(f"no better epoch for {config.early_stopping}: stopped after {state.epoch}")
                    break
                started = time.monotonic()
                _reset_dropout(model, config.seed + epoch)
                logs = self._epoch(model, epoch, task)
                if not np.isfinite(logs["loss"]):
                    raise RunFailedError(
                        f"the loss is {logs['loss']} in epoch {epoch + 1}; lower --learning-rate, now "
                        f"{config.learning_rate:g}, and run again with --overwrite"
                    )
                # On every worker: statistics of batch normalization are the mean over all of them, which is asked for
                # together, or the one that asks waits for ever.
                values, optimizer = model.get_weights(), [v.numpy() for v in model.optimizer.variables]
                self.plain.set_weights(values)
                probabilities = predict_probabilities(self.plain, validation.images)
                row = _history_row(epoch, logs, probabilities, validation.labels)
                row["learning_rate"] = float(self.schedule((epoch + 1) * self.batches.steps - 1))
                row["seconds"] = round(time.monotonic() - started, 3)
                top1 = row["validation_top1"]
                # Small validation splits tie often; the lower loss tells which of two equals is surer of itself.
                better = (top1, -row["validation_loss"]) > (state.best_top1, -state.best_loss)
                kept = better or top1 >= within_chance(state.best_top1, len(validation.labels))
                if kept and self.devices.worker == 0:
                    save_model(self.plain, self.folder)
                state = replace(
                    state,
                    epoch=epoch + 1,
                    best_top1=top1 if better else state.best_top1,
                    best_loss=row["validation_loss"] if better else state.best_loss,
                    best_epoch=epoch + 1 if better else state.best_epoch,
                    kept_epoch=epoch + 1 if kept else state.kept_epoch,
                    parameters=int(model.count_params()),
                    seconds=state.seconds + row["seconds"],
                    history=(*state.history, row),
                )
                task.advance(0, f"epoch {epoch + 1}/{epochs}  validation {top1:.1%}")
                if self.devices.worker == 0:
                    self._record(values, optimizer, state)
        return state

    def _compiled(self) -> tf_keras.Model:
        config = self.config
        model = self.build()
        optimizer = build_optimizer(
            config.optimizer or "sgd", self.schedule, momentum=config.momentum, weight_decay=config.weight_decay or 0.0
        )
        model.compile(
            optimizer,
            tf_keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing),
            weighted_metrics=[tf_keras.metrics.CategoricalAccuracy("top1")],
            jit_compile=config.xla,
        )
        optimizer.build(model.trainable_variables)
        return model

    def _epoch(self, model: tf_keras.Model, epoch: int, task: Task) -> dict[str, float]:
        size = image_size_at(self.config, epoch)
        recipe = augmentation_at(self.batches.recipe, epoch, self.config.epochs or 1, self.config.settle)
        batches = replace(self.batches, recipe=recipe)
        if self.devices.workers > 1:
            # Each worker prepares its own share of every batch; together they are the one global batch.
            share = (self.devices.worker, self.devices.workers, self.devices.replicas // self.devices.workers)
            data = self.devices.strategy.distribute_datasets_from_function(
                lambda context: batches.epoch(epoch, size, *share)
            )
        else:
            data = batches.epoch(epoch, size)
        done = model.fit(
            data,
            initial_epoch=epoch,
            epochs=epoch + 1,
            steps_per_epoch=self.batches.steps,
            verbose=0,
            callbacks=[_Advance(task)],
        )
        return {key: float(values[-1]) for key, values in done.history.items()}

    def _stalled(self, state: TrainingState) -> bool:
        patience = self.config.early_stopping
        return patience > 0 and state.epoch - state.best_epoch >= patience > 0

    def _record(self, values: list[np.ndarray], optimizer: list[np.ndarray], state: TrainingState) -> None:
        """History and logs first, the checkpoint last: what the checkpoint says exists."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(state.history[-1]))
        writer.writeheader()
        writer.writerows(state.history)
        write_text(self.folder / "history.csv", text.getvalue())
        log = tf.summary.create_file_writer(str(self.folder / "logs"))
        with log.as_default(step=state.epoch):
            for key, value in state.history[-1].items():
                if key != "epoch":
                    tf.summary.scalar(key, value)
        log.close()
        save_checkpoint(self.checkpoint, values, optimizer, state)


def within_chance(best: float, images: int) -> float:
    """The lowest validation top-1 that `images` images cannot tell from `best`, the highest so far; both fractions.

    The best of many epochs is in part the luckiest one, and the learning rate falls: of two epochs that are alike, the
    later one has settled more. So the latest is kept that lies within one standard error of the best (Breiman et al.,
    Classification and Regression Trees, 1984, section 3.4.3).
    """
    share = min(max(best, 0.0), 1.0)
    return best - math.sqrt(share * (1 - share) / max(1, images))


class _Advance(tf_keras.callbacks.Callback):  # type: ignore[misc]
    _supports_tf_logs = True  # the logs are not read, so they need not be fetched from the device

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.task.advance()


def _reset_dropout(model: tf_keras.Model, seed: int) -> None:
    """The same masks in this epoch, whether the run was interrupted before it or not."""
    for layer in model.layers:
        if isinstance(layer, tf_keras.layers.Dropout) and layer.rate:
            generator = layer._random_generator._generator
            if generator is not None:
                generator.reset_from_seed(seed)


def _history_row(epoch: int, logs: dict[str, float], probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    of_truth = probabilities[np.arange(len(labels)), labels]
    return {
        "epoch": epoch + 1,
        "loss": logs["loss"],
        "top1": logs["top1"],
        "validation_loss": float(-np.log(np.maximum(of_truth, 1e-12)).mean()),
        "validation_top1": float((probabilities.argmax(1) == labels).mean()),
    }
