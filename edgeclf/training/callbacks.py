"""What may watch a training and stop it after an epoch; the files that training writes are callbacks too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import tensorflow as tf

from edgeclf.artifact.run_folder import RunFolder
from edgeclf.measure.formatting import percent
from edgeclf.progress import Task

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
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self._folder))
        with self._writer.as_default(step=epoch):
            for key, value in metrics.items():
                if key != "epoch":
                    tf.summary.scalar(key, value)
        self._writer.flush()


class ProgressNote:
    """Shows the epoch and its validation top-1 beside the progress bar.

    Args:
        task: the bar.
        epochs: of the whole training.
    """

    def __init__(self, task: Task, epochs: int) -> None:
        self._task = task
        self._epochs = epochs

    def on_epoch_end(self, epoch: int, metrics: Metrics) -> None:
        """Change the note."""
        self._task.advance(0, f"epoch {epoch}/{self._epochs}  validation {percent(metrics['validation_top1'], 1)}")
