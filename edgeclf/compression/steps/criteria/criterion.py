"""What a criterion is: a function from a network to a number for each of its channels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.graph.channels import ChannelGraph

Scores = npt.NDArray[np.float64]
"""float64[graph.count], at least 0; what cannot be removed has 0."""
Batches = Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]
"""Scaled images `float32[N, H, W, C]` as the network takes them, and targets `float32[N, classes]`."""
Score = Callable[[Any, ChannelGraph, Batches], Scores]
"""From a network, its channels, and labelled images, which a criterion need not look at, to scores."""


@dataclass(frozen=True)
class Criterion:
    """One way to score channels. Scores are compared within a group alone (see `channel_choice`), in any unit.

    Args:
        name: in settings and messages.
        paper: where it comes from.
        score: the function; it leaves the network as it is.
        require: refuses a network that cannot be scored so, by an InputError; None: every network can.
    """

    name: str
    paper: str
    score: Score
    require: Callable[[Any, ChannelGraph], None] | None = None


def normalization_behind(model: Any, name: str) -> Any:
    """Return the batch normalization that alone reads what the layer `name` makes; None: none does."""
    import tf_keras

    from edgeclf.graph.private_apis import calls_of, readers

    layer = model.get_layer(name)
    reading = readers(layer)
    if calls_of(layer) != 1 or len(reading) != 1 or type(reading[0]) is not tf_keras.layers.BatchNormalization:
        return None
    return reading[0] if calls_of(reading[0]) == 1 else None


def scaled_normalization_behind(model: Any, name: str) -> Any:
    """Return the batch normalization of `normalization_behind` that has a scale; None: none has."""
    normalization = normalization_behind(model, name)
    return normalization if normalization is not None and normalization.scale else None


def sum_over_places(graph: ChannelGraph, channels: npt.NDArray[np.int64], values: Any) -> Scores:
    """Add the value of each place on an axis to that of its channel: float64[graph.count]."""
    return np.bincount(channels, np.asarray(values, np.float64), graph.count).astype(np.float64)
