"""The state after the last whole epoch, in one file: what a resumed run needs to continue bit for bit."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from edgeclf.atomic import atomic_file
from edgeclf.errors import ModelError, one_line
from edgeclf.records import Record

if TYPE_CHECKING:
    import tf_keras

Array = npt.NDArray[Any]
_DAMAGE = (
    OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, MemoryError, RecursionError,
    NotImplementedError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What reading a file raises that is empty, cut, or no checkpoint."""


@dataclass(frozen=True)
class TrainingState(Record):
    """State of a run after its last whole epoch.

    Args:
        epoch: number of whole epochs done.
        best_top1: best validation top-1 so far, fraction.
        best_loss: validation loss of that epoch, nats.
        best_epoch: the epoch that reached it, from 1; 0: none yet, or the classifier on frozen features.
        kept_epoch: the epoch whose network is kept (see `epoch_choice.within_chance`), from 1; 0 as above.
        parameters: of the network, batch normalization included.
        seconds: time spent in all sessions of the run.
        stopped: a callback ended the training.
        callback_rate: learning rate that a callback has set; None: the schedule holds.
        history: one dict an epoch.
    """

    epoch: int = 0
    best_top1: float = -1.0
    best_loss: float = 1e30
    best_epoch: int = 0
    kept_epoch: int = 0
    parameters: int = 0
    seconds: float = 0.0
    stopped: bool = False
    callback_rate: float | None = None
    history: tuple[dict[str, Any], ...] = field(default=())


def save_checkpoint(path: Path, weights: Sequence[Array], optimizer: Sequence[Array], state: TrainingState) -> None:
    """Write the network's weights, the optimizer's variables and the state to `path`, atomically."""
    arrays: dict[str, Array] = {f"weight_{i}": value for i, value in enumerate(weights)}
    arrays |= {f"optimizer_{i}": value for i, value in enumerate(optimizer)}
    arrays["state"] = np.frombuffer(state.to_json().encode(), np.uint8)
    with atomic_file(path) as stream:
        np.savez(stream, **cast(Any, arrays))


def epochs_done(path: Path) -> int:
    """Return the number of whole epochs in the checkpoint `path`; 0 where there is none, or none that can be read."""
    try:
        return read_state(path).epoch
    except ModelError:
        return 0


def read_state(path: Path) -> TrainingState:
    """Read the state in the checkpoint `path`, without the weights.

    Raises:
        ModelError: there is no such file, or it is no checkpoint.
    """
    try:
        with np.load(path) as file:
            return TrainingState.from_json(bytes(file["state"]).decode())
    except _DAMAGE as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: BaseException) -> ModelError:
    if not path.is_file():
        reason = "there is no such file"
    elif path.stat().st_size == 0:
        reason = "the file is empty"
    else:
        reason = f"it is cut or damaged: {one_line(error)}"
    return ModelError(f"{path}: the run cannot be resumed, {reason}; start again with --overwrite")


def load_checkpoint(path: Path, model: tf_keras.Model) -> TrainingState:
    """Put the state in `path` into `model` and its optimizer.

    Raises:
        ModelError: the file is not a checkpoint of this network.
    """
    try:
        with np.load(path) as file:
            arrays = dict(file)
        state = TrainingState.from_json(bytes(arrays["state"]).decode())
        weights = [arrays[f"weight_{i}"] for i in range(sum(n.startswith("weight_") for n in arrays))]
        if [one.shape for one in weights] != [one.shape for one in model.get_weights()]:
            raise ModelError(
                f"{path}: the run cannot be resumed: its network has other weights than this version of edgeclf gives "
                "it; go on with the version that began it, or start again with --overwrite"
            )
        model.set_weights(weights)
        model.optimizer.build(model.trainable_variables)
        variables = model.optimizer.variables
        saved = [arrays[f"optimizer_{i}"] for i in range(sum(n.startswith("optimizer_") for n in arrays))]
        if len(saved) != len(variables):
            raise ValueError(f"{len(saved)} optimizer variables instead of {len(variables)}")
        for variable, value in zip(variables, saved, strict=True):
            variable.assign(value)
    except ModelError:
        raise
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    return state
