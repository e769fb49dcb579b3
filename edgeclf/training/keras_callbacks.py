"""Callbacks of tf-keras in edgeclf's training, whose epochs are one call of `fit` each.

They are called as a single `fit` over all epochs would call them, on the network that learns. What is special here:

- Metrics have Keras' names: `loss`, `accuracy`, `val_loss`, `val_accuracy`.
- `LearningRateScheduler` and `ReduceLROnPlateau` replace edgeclf's schedule: training begins with the setting
  `learning_rate`, and they change it. Where another callback sets the rate, the schedule ends there.
- Where training ends with other weights than it had learned last, or a callback has `restore_best_weights`, the weights
  that the callbacks leave are kept; else validation chooses the epoch, as in every run.
- `BackupAndRestore` is left out: the run folder holds the state, and `resume=True` continues it. The other callbacks
  begin anew in a run that is resumed; a rate that one had set holds, also where the run goes on without callbacks.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tf_keras

from edgeclf.progress import Progress
from edgeclf.training.callbacks import ProgressNote

Schedule = Callable[[int], Any]
KERAS_NAMES = {"loss": "loss", "top1": "accuracy", "validation_loss": "val_loss", "validation_top1": "val_accuracy"}
_OWN_RATE = (tf_keras.callbacks.LearningRateScheduler, tf_keras.callbacks.ReduceLROnPlateau)
SCHEDULE_REPLACED = (
    "LearningRateScheduler and ReduceLROnPlateau replace the warm-up and the cosine: training begins with the rate "
)
BACKUP_LEFT_OUT = (
    "the callback BackupAndRestore is left out: the run folder holds the state of each epoch, and resume=True continues"
)


class KerasCallbacks:
    """Calls callbacks of tf-keras.

    Args:
        callbacks: of tf-keras.
        epochs: of the whole training.
        steps: an epoch.
        schedule: from the number of a step to the learning rate.
        peak: the setting `learning_rate`.
        progress: where remarks are shown.

    Attributes:
        rate: that a callback has set; None: the schedule holds.
    """

    def __init__(
        self,
        callbacks: Sequence[Any],
        *,
        epochs: int,
        steps: int,
        schedule: Schedule,
        peak: float,
        progress: Progress,
    ) -> None:
        self._callbacks = [one for one in callbacks if not isinstance(one, tf_keras.callbacks.BackupAndRestore)]
        if len(self._callbacks) < len(callbacks):
            progress.warn(BACKUP_LEFT_OUT)
        self._epochs, self._steps, self._schedule, self._progress = epochs, steps, schedule, progress
        self.rate: float | None = None
        if any(isinstance(one, _OWN_RATE) for one in self._callbacks):
            self.rate = peak
            progress.info(f"{SCHEDULE_REPLACED}{peak:g}")
        self._set = 0.0
        self._learned = ""
        self._epoch_of: dict[str, int] = {}

    def begin(self, model: tf_keras.Model, rate: float | None, first: int) -> None:
        """Begin the training.

        Args:
            model: compiled with a learning rate that can be set.
            rate: that a callback had set in the run that is resumed.
            first: number of epochs that are done.
        """
        self._model = model
        self.rate = self.rate if rate is None else rate
        loud = any(isinstance(one, tf_keras.callbacks.ProgbarLogger) for one in self._callbacks)
        parameters = {"epochs": self._epochs, "steps": self._steps, "verbose": int(loud), "metrics": []}
        self._list = tf_keras.callbacks.CallbackList(self._callbacks, model=model, **parameters)
        self._assign(first * self._steps)
        model.stop_training = False
        self._list.on_train_begin()
        self._look_at_rate()

    def begin_epoch(self, epoch: int) -> bool:
        """Begin an epoch, from 0; returns whether a callback ends the training before it."""
        self._list.on_epoch_begin(epoch)
        self._look_at_rate()
        return bool(self._model.stop_training)

    def forward(self, epoch: int) -> tf_keras.callbacks.Callback:
        """Make the callback that hands on what happens inside the `fit` of an epoch."""
        return _Forward(self, epoch)

    def begin_step(self, step: int, batch: int) -> None:
        """Set the learning rate of a step, counted over all epochs, and begin its batch."""
        self._look_at_rate()
        self._assign(step)
        self._list.on_train_batch_begin(batch, {})
        self._look_at_rate()

    def end_step(self, batch: int, logs: Mapping[str, Any]) -> None:
        """End a batch."""
        self._list.on_train_batch_end(batch, {KERAS_NAMES.get(key, key): value for key, value in logs.items()})

    def begin_validation(self) -> None:
        """Begin the validation of an epoch."""
        self._list.on_test_begin()

    def end_validation(self, row: Mapping[str, Any]) -> None:
        """End the validation of an epoch."""
        self._list.on_test_end({"loss": row["validation_loss"], "accuracy": row["validation_top1"]})

    def end_epoch(self, epoch: int, row: Mapping[str, Any]) -> bool:
        """End an epoch, from 0, with its row of the history; returns whether a callback ends the training."""
        self._learned = _digest(self._model.get_weights())
        self._epoch_of[self._learned] = epoch + 1
        self._list.on_epoch_end(epoch, {name: row[key] for key, name in KERAS_NAMES.items()})
        self._look_at_rate()
        return bool(self._model.stop_training)

    def end(self, row: Mapping[str, Any] | None) -> int | None:
        """End the training.

        Args:
            row: the last one of the history.

        Returns:
            the epoch whose weights the callbacks leave in the network, from 1; None: validation chooses.
        """
        self._list.on_train_end({name: row[key] for key, name in KERAS_NAMES.items()} if row else None)
        if not self._epoch_of:
            return None
        left = _digest(self._model.get_weights())
        if left == self._learned and not any(getattr(one, "restore_best_weights", False) for one in self._callbacks):
            return None
        return self._epoch_of.get(left, max(self._epoch_of.values()))

    def current_rate(self) -> float:
        """Return the learning rate of the last step."""
        return float(self._model.optimizer.learning_rate)

    def _assign(self, step: int) -> None:
        value = self._schedule(step) if self.rate is None else self.rate
        self._model.optimizer.learning_rate.assign(value)
        self._set = self.current_rate()

    def _look_at_rate(self) -> None:
        """Notice a rate that a callback has set."""
        now = self.current_rate()
        if now == self._set:
            return
        if self.rate is None:
            self._progress.info(f"a callback sets the learning rate to {now:g}: warm-up and cosine end here")
        self.rate = self._set = now


class _Forward(tf_keras.callbacks.Callback):  # type: ignore[misc]
    _supports_tf_logs = True  # the list of callbacks fetches from the device what they read

    def __init__(self, owner: KerasCallbacks, epoch: int) -> None:
        super().__init__()
        self._owner, self._first = owner, epoch * owner._steps

    def on_train_begin(self, logs: Any = None) -> None:
        # Each `fit` counts its steps from 0; summaries of TensorBoard are to count on.
        self.model._train_counter.assign(self._first)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._owner.begin_step(self._first + batch, batch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._owner.end_step(batch, logs or {})


def _digest(weights: Sequence[Any]) -> str:
    digest = hashlib.sha256()
    for values in weights:
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


class StepProgress(tf_keras.callbacks.Callback):  # type: ignore[misc]
    """Advances the bar of a training after each step of an epoch, from 1."""

    _supports_tf_logs = True  # the loss is fetched from the device only where it is shown

    def __init__(self, note: ProgressNote, epoch: int) -> None:
        super().__init__()
        self.note, self.epoch = note, epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count a step."""
        self.note.advance(self.epoch, (logs or {}).get("loss", math.nan))
