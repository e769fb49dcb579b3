"""The error of a training that cannot go on."""

from __future__ import annotations

import math

from edgeclf.errors import RunFailedError
from edgeclf.training.config import TrainConfig


class DivergedError(RunFailedError):
    """The loss, or what a network computes, became NaN or infinite."""


def check_loss(loss: float, epoch: int, config: TrainConfig, on: str = "") -> None:
    """Refuse to go on with a loss that is NaN or infinite.

    Args:
        loss: of an epoch.
        epoch: from 0.
        config: of the training.
        on: what it is of, such as ` on validation`; empty: of the training itself.

    Raises:
        DivergedError: it is.
    """
    if not math.isfinite(loss):
        raise DivergedError(
            f"the loss{on} is {loss} in epoch {epoch + 1}; lower --learning-rate, now {config.learning_rate:g}, and "
            "run again with --overwrite"
        )
