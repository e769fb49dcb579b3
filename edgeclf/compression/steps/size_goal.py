"""Finds how many weights may stay so that the file of the int8 model is as small as asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgeclf.compression.probabilities.feature_space import DIMENSIONS, DIRECTIONS, MOST_CENTER_VALUES
from edgeclf.compression.step import StepContext
from edgeclf.compression.steps.candidate import export_candidate
from edgeclf.compression.steps.goals import Goals
from edgeclf.compression.steps.scored_network import ScoredNetwork
from edgeclf.errors import InputError
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.measure.formatting import size

CANDIDATES = 8
"""Networks that are exported between the whole one and the smallest one, at most."""
PROVENANCE, LESS = 6_300, 2_700
"""Bytes of the provenance and of the samples that a device checks itself with, about, and by how much they may be
fewer: 3,900 in a network of three classes from elsewhere, 5,600 in a run's of ten, and 500 more for several steps."""
_NEAR = 0.02


def count_file_bytes(network: FloatNetwork, context: StepContext) -> int:
    """Return how large the file of the int8 model of a network becomes, about, with all that is packed into it."""
    classes = network.classes
    kernels = [layer.kernel for layer in network.model.layers if hasattr(layer, "kernel")]
    dimensions = min(DIMENSIONS, kernels[-1].shape[-2]) if kernels else DIMENSIONS
    # the means of classes and the directions of their variance, in 16 bits, for the check of unknown images
    centers = len(classes) if len(classes) * dimensions <= MOST_CENTER_VALUES else 1
    features = 2 * dimensions * (centers + DIRECTIONS)
    # names are in the file twice, with what separates them
    names = 2 * sum(len(name.encode()) + 4 for name in classes)
    return len(export_candidate(network, context)) + PROVENANCE + names + features


def find_weights_for_size(
    scored: ScoredNetwork,
    goals: Goals,
    target_bytes: int,
    context: StepContext,
) -> int:
    """Search the weights between those of the whole network and of the smallest one, by the size of exported models.

    A file has nearly as many bytes as it has weights, beside what it has for each layer and each channel, so that the
    next candidate lies where a line between the nearest two on both sides reaches the goal; where that is a candidate
    which was made, halfway to the next.

    Args:
        scored: the network.
        goals: that hold besides.
        target_bytes: of the file.
        context: for the export.

    Returns:
        the goal by which `choose_channels` finds the largest network that was found within `target_bytes`; the weights
        of the whole network where it is.

    Raises:
        InputError: the file of the smallest network has more.
    """

    def count_bytes(kept: npt.NDArray[np.bool_]) -> int:
        return count_file_bytes(scored.cut(kept), context)

    def choose(weights: int) -> npt.NDArray[np.bool_]:
        return scored.choose(replace(goals, weights=weights))

    with context.progress.task("searching for the widths by size", CANDIDATES + 2) as task:
        whole = choose(scored.graph.weights())
        high, more = scored.graph.weights(whole), count_bytes(whole)
        if more <= target_bytes:
            return scored.graph.weights()
        task.advance(1)
        least = scored.choose_least()
        goal = low = scored.graph.weights(least)
        less = count_bytes(least)
        if less > target_bytes + LESS:
            raise InputError(
                f"target_size {size(target_bytes)}: the file of the smallest network with "
                f"{scored.widths.minimum} channels a layer has about {size(less)}; ask for more, or lower "
                "--set shrink_minimum"
            )
        task.advance(1)
        middle, made = low, 0
        while made < CANDIDATES and less < target_bytes * (1 - _NEAR) and high - middle > 1:
            # a little below the line, so that what is found rather fits
            line = round(low + (high - low) * (target_bytes * (1 - _NEAR / 2) - less) / (more - less))
            middle = line if middle < line < high else (middle + high) // 2
            kept = choose(middle)
            weights = scored.graph.weights(kept)
            if weights <= low:
                continue
            found, made = count_bytes(kept), made + 1
            task.advance(1)
            if found > target_bytes:
                high, more, middle = weights, found, low
            else:
                # not what it has: by that goal other channels might be chosen
                low, less, goal = weights, found, middle
    return goal
