"""Finds how large the tensors of a network may be so that the int8 model fits the memory of a microcontroller."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.graph_bounds import peak_bytes
from edgeclf.artifact.tflite import parse
from edgeclf.compression.step import StepContext
from edgeclf.compression.steps.candidate import export_candidate
from edgeclf.compression.steps.goals import Goals
from edgeclf.compression.steps.scored_network import ScoredNetwork
from edgeclf.errors import InputError
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.measure.formatting import size

CANDIDATES = 10
"""Networks that are exported between the largest one and the smallest one, at most."""
_NEAR = 0.02


def count_activation_bytes(network: FloatNetwork, context: StepContext) -> int:
    """Return the bytes of the tensors that are alive at the same time in the int8 model of a network, at most."""
    return peak_bytes(parse(export_candidate(network, context)), {})


def find_largest_for_memory(
    scored: ScoredNetwork,
    goals: Goals,
    ram_bytes: int,
    context: StepContext,
) -> int | None:
    """Search the size of the largest tensor between that of a network and of the smallest one, by exported models.

    The memory is that of all tensors that are alive at the same time, which follows from the largest ones nearly in
    proportion; only where it is too much anything more is asked of the network than `goals` have.

    Args:
        scored: the network.
        goals: that hold besides.
        ram_bytes: of the tensors that are alive at the same time.
        context: for the export.

    Returns:
        the goal for the largest tensor by which `choose_channels` finds a network within `ram_bytes`: that of `goals`
        where it is enough.

    Raises:
        InputError: the smallest network needs more.
    """

    def count_bytes(kept: npt.NDArray[np.bool_]) -> int:
        return count_activation_bytes(scored.cut(kept), context)

    with context.progress.task("searching for the widths by memory", CANDIDATES + 2) as task:
        kept = scored.choose(goals)
        if count_bytes(kept) <= ram_bytes:
            return goals.largest
        task.advance(1)
        least, high = scored.choose_least(), scored.graph.largest(kept)
        # by a goal below all tensors every layer keeps the fewest channels
        low = found = 1
        less = count_bytes(least)
        if less > ram_bytes:
            raise InputError(
                f"the smallest network with {scored.widths.minimum} channels a layer needs {size(less)} of RAM for its "
                f"tensors, of at most {size(ram_bytes)}; train with a smaller --image-size"
            )
        task.advance(1)
        first = scored.graph.largest(least)
        for number in range(CANDIDATES):
            if high - low <= max(1, _NEAR * high):
                break
            # what the smallest network has is a goal that leaves others larger tensors than it has
            middle = first if number == 0 and low < first < high else round(math.sqrt(low * high))
            kept = scored.choose(replace(goals, largest=middle))
            if count_bytes(kept) <= ram_bytes:
                # not what it has: by that goal other channels might be chosen
                low, found = max(middle, scored.graph.largest(kept)), middle
            else:
                high = min(middle, scored.graph.largest(kept))
            task.advance(1)
    return found
