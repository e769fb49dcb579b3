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
from edgeclf.compression.steps.channel_choice import Widths, choose_channels, smallest_network
from edgeclf.compression.steps.goals import Goals
from edgeclf.errors import InputError
from edgeclf.graph.channels import ChannelGraph
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.graph.remove_channels import remove_channels
from edgeclf.measure.formatting import size

CANDIDATES = 10
"""Networks that are exported between the largest one and the smallest one, at most."""
_NEAR = 0.02


def count_activation_bytes(network: FloatNetwork, context: StepContext) -> int:
    """Return the bytes of the tensors that are alive at the same time in the int8 model of a network, at most."""
    return peak_bytes(parse(export_candidate(network, context)), {})


def find_largest_for_memory(
    network: FloatNetwork,
    graph: ChannelGraph,
    scores: npt.NDArray[np.float64],
    widths: Widths,
    goals: Goals,
    ram_bytes: int,
    context: StepContext,
) -> int | None:
    """Search the size of the largest tensor between that of a network and of the smallest one, by exported models.

    The memory is that of all tensors that are alive at the same time, which follows from the largest ones nearly in
    proportion; only where it is too much anything more is asked of the network than `goals` have.

    Args:
        network: whose channels go.
        graph: its channels.
        scores: float64[graph.count], by which they go.
        widths: that layers may have.
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
        return count_activation_bytes(network.with_model(remove_channels(network.model, graph, kept)), context)

    with context.progress.task("searching for the widths by memory", CANDIDATES + 2) as task:
        kept = choose_channels(graph, scores, goals, widths)
        if count_bytes(kept) <= ram_bytes:
            return goals.largest
        task.advance(1)
        least, high = smallest_network(graph, widths), graph.largest(kept)
        # by a goal below all tensors every layer keeps the fewest channels
        low = found = 1
        less = count_bytes(least)
        if less > ram_bytes:
            raise InputError(
                f"the smallest network with {widths.minimum} channels a layer needs {size(less)} of RAM for its "
                f"tensors, of at most {size(ram_bytes)}; train with a smaller --image-size"
            )
        task.advance(1)
        first = graph.largest(least)
        for number in range(CANDIDATES):
            if high - low <= max(1, _NEAR * high):
                break
            # what the smallest network has is a goal that leaves others larger tensors than it has
            middle = first if number == 0 and low < first < high else round(math.sqrt(low * high))
            kept = choose_channels(graph, scores, replace(goals, largest=middle), widths)
            if count_bytes(kept) <= ram_bytes:
                # not what it has: by that goal other channels might be chosen
                low, found = max(middle, graph.largest(kept)), middle
            else:
                high = min(middle, graph.largest(kept))
            task.advance(1)
    return found
