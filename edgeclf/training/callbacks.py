"""What may watch a training and stop it after an epoch; the files that training writes are callbacks too."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from edgeclf.artifact.run_folder import RunFolder
from edgeclf.errors import InputError
from edgeclf.measure.formatting import percent
from edgeclf.progress import Task

NOTE_EVERY = 0.5
"""Seconds between two looks at the loss, which has to be fetched from the device."""
Metrics = Mapping[str, float]
"""`epoch`, `loss`, `top1`, `validation_loss`, `validation_top1`, `learning_rate` and `seconds` of one epoch: losses in
nats, top-1 as fractions."""


class TrainingCallback(Protocol):
    """Watches a training; a search stops its hopeless trials through one."""

    def on_epoch_end(self, epoch: int, metrics: Metrics) -> bool | None:
        """Look at an epoch after it was validated and before it is saved as the state to resume from.

        An exception ends the training; the run can be resumed from the epoch before.

        Args:
            epoch: number of whole epochs done, from 1.
            metrics: of this epoch.

        Returns:
            True: the training ends here, and the best network so far is evaluated and kept.
        """
        ...


class KerasCallback(Protocol):
    """A callback of tf-keras, such as `tf_keras.callbacks.EarlyStopping()`; see `keras_callbacks`."""

    def set_model(self, model: Any) -> None:
        """Get the network that learns."""
        ...

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Look at an epoch, from 0, and its `loss`, `accuracy`, `val_loss` and `val_accuracy`."""
        ...


class HistoryFile:
    """Writes `history.csv`.

    Args:
        folder: the run folder.
        rows: of the epochs before, where a run is resumed.
    """

    def __init__(self, folder: RunFolder, rows: Sequence[Mapping[str, Any]] = ()) -> None:
        self._folder = folder
        self._rows = list(rows)

    def on_epoch_end(self, epoch: int, metrics: Metrics) -> None:
        """Write the file again with one row more."""
        self._rows.append(metrics)
        self._folder.write_history(self._rows)


class TensorBoardLog:
    """Writes TensorBoard's scalars into one file for all epochs; a run that is resumed adds one file.

    Nothing is made before the first epoch is done. To be used as a context manager, which closes the file.

    Args:
        folder: where the file is made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None

    def __enter__(self) -> TensorBoardLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def on_epoch_end(self, epoch: int, metrics: Metrics) -> None:
        """Add the metrics of an epoch, and flush them."""
        import tensorflow as tf

        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self._folder))
        with self._writer.as_default(step=epoch):
            for key, value in metrics.items():
                if key != "epoch":
                    tf.summary.scalar(key, value)
        self._writer.flush()


class ProgressNote:
    """Advances the bar of a training by images, and shows epoch, loss and validation top-1 beside it.

    Args:
        task: the bar, which counts images.
        epochs: of the whole training.
        images: a step.
    """

    def __init__(self, task: Task, epochs: int, images: int) -> None:
        self._task, self._epochs, self._images = task, epochs, images
        self._validation = ""
        self._shown = -NOTE_EVERY

    def advance(self, epoch: int, loss: Any) -> None:
        """Count a step of `epoch`, from 1, whose mean loss so far is `loss`, a number or a tensor."""
        note, now = "", time.monotonic()
        if now - self._shown >= NOTE_EVERY:
            self._shown = now
            note = f"epoch {epoch}/{self._epochs}, loss {float(loss):.3f}{self._validation}"
        self._task.advance(self._images, note)

    def on_epoch_end(self, epoch: int, metrics: Metrics) -> None:
        """Change the note."""
        self._validation = f", validation {percent(metrics['validation_top1'], 1)}"
        self._task.advance(0, f"epoch {epoch}/{self._epochs}, loss {metrics['loss']:.3f}{self._validation}")


def is_keras_callback(callback: object) -> bool:
    """Return whether `callback` follows the protocol of Keras, whose epochs count from 0."""
    return hasattr(callback, "set_model")


def check_callbacks(callbacks: Sequence[object]) -> None:
    """Refuse what is no callback, without importing TensorFlow.

    Raises:
        InputError: a callback has no `on_epoch_end`, or is one of Keras 3.
    """
    for number, callback in enumerate(callbacks):
        name = type(callback).__qualname__
        if any(kind.__module__.partition(".")[0] == "keras" for kind in type(callback).__mro__):
            raise InputError(
                f"callbacks[{number}]: {name} is a callback of Keras 3; edgeclf trains with tf_keras, "
                f"take tf_keras.callbacks.{name}"
            )
        if not hasattr(callback, "on_epoch_end"):
            raise InputError(
                f"callbacks[{number}]: expected a tf_keras callback or an object with on_epoch_end(epoch, metrics), "
                f"got {name}"
            )
