"""Finds how many weights may stay so that the file of the int8 model is as small as asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgeclf.compression.step import StepContext
from edgeclf.compression.steps.candidate import export_candidate
from edgeclf.compression.steps.channel_choice import Goals, Widths, choose_channels, smallest_network
from edgeclf.errors import InputError
from edgeclf.graph.channels import ChannelGraph
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.graph.remove_channels import remove_channels
from edgeclf.measure.formatting import size

CANDIDATES = 6
"""Networks that are exported between the whole one and the smallest one, at most."""
_NEAR = 0.02
_PROVENANCE = 5_500
"""Bytes of the largest provenance that was seen, and of the samples that a device checks itself with, about."""
_FEATURES = 128, 4, 32
"""Numbers of 16 bits for each center, centers beside those of the classes, and classes that have one, at most."""


def packed_bytes(classes: Sequence[str]) -> int:
    """Return how many bytes a file has beside its graph, about: labels, provenance and the check of features."""
    values, others, most = _FEATURES
    # names are in the file twice, with what separates them
    names = 2 * sum(len(name.encode()) + 4 for name in classes)
    return _PROVENANCE + names + 2 * values * (min(len(classes), most) + others)


def find_weights_for_size(
    network: FloatNetwork,
    graph: ChannelGraph,
    scores: npt.NDArray[np.float64],
    widths: Widths,
    goals: Goals,
    target_bytes: int,
    context: StepContext,
) -> int:
    """Search the weights between those of the whole network and of the smallest one, by the size of exported models.

    A file has nearly as many bytes as it has weights, beside what it has for each layer and each channel, so that the
    next candidate lies where a line between the nearest two on both sides reaches the goal.

    Args:
        network: whose channels go.
        graph: its channels.
        scores: float64[graph.count], by which they go.
        widths: that layers may have.
        goals: that hold besides.
        target_bytes: of the file.
        context: for the export.

    Returns:
        the goal by which `choose_channels` finds the largest network whose file has at most `target_bytes`; the weights
        of `network` itself where it has.

    Raises:
        InputError: the file of the smallest network has more.
    """

    packed = packed_bytes(network.classes)

    def count_bytes(kept: npt.NDArray[np.bool_]) -> int:
        smaller = network.with_model(remove_channels(network.model, graph, kept))
        return len(export_candidate(smaller, context)) + packed

    def choose(weights: int) -> npt.NDArray[np.bool_]:
        return choose_channels(graph, scores, Goals(goals.macs, weights), widths)

    with context.progress.task("searching a width by size", CANDIDATES + 2) as task:
        whole = choose(graph.weights())
        high, more = graph.weights(whole), count_bytes(whole)
        if more <= target_bytes:
            return graph.weights()
        task.advance(1)
        least = smallest_network(graph, widths)
        goal = low = graph.weights(least)
        less = count_bytes(least)
        if less > target_bytes:
            raise InputError(
                f"target_size {size(target_bytes)}: the file of the smallest network with {widths.minimum} channels a "
                f"layer has about {size(less)}; ask for more, or lower --set shrink_minimum"
            )
        task.advance(1)
        for _ in range(CANDIDATES):
            # a little below the line, so that what is found rather fits
            asked = target_bytes * (1 - _NEAR / 2)
            middle = max(low, round(low + (high - low) * (asked - less) / (more - less)))
            kept = choose(middle)
            found, weights = count_bytes(kept), graph.weights(kept)
            task.advance(1)
            if found > target_bytes:
                high, more = weights, found
            elif weights <= low:
                break
            else:
                # not what it has: by that goal other channels might be chosen
                low, less, goal = weights, found, middle
            if less >= target_bytes * (1 - _NEAR):
                break
    return goal
