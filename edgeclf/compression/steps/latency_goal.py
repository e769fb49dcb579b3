"""Finds how many multiply-accumulates may stay so that the int8 model is as fast as asked for on this machine."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.model_file import ModelFile
from edgeclf.compression.step import Checkpoints, StepContext
from edgeclf.compression.steps.candidate import export_candidate
from edgeclf.compression.steps.channel_choice import Goals, Widths, choose_channels, smallest_network
from edgeclf.errors import InputError
from edgeclf.graph.channels import ChannelGraph
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.graph.remove_channels import remove_channels
from edgeclf.inference.engine import find_engine
from edgeclf.measure.latency import burst, timed_call, warm_session
from edgeclf.measure.machine import describe_machine
from edgeclf.measure.stopwatch import percentiles, undisturbed

CANDIDATES = 6
"""Networks that are timed between the whole one and the smallest one; each halves the rest of the search."""
_SECONDS, _FEWEST, _MOST = 0.5, 20, 2000


def keep_goal(checkpoints: Checkpoints | None, round_number: int, most: int, find: Callable[[], int]) -> int:
    """Return what `find` does, or what it returned for the same round before the call was killed.

    Times are never twice the same, and a network of other widths would have to be trained again.

    Args:
        checkpoints: of the step, where the goal is kept; None: nowhere.
        round_number: in which channels go.
        most: multiply-accumulates of the network; as many are no goal, and not kept.
        find: the goal, by times of this machine.
    """
    label = f"multiply-accumulates by time, round {round_number}, {describe_machine().processor}"
    kept = None if checkpoints is None else checkpoints.load(label)
    if kept is not None and len(kept) == 1 and kept[0].shape == () and 0 < int(kept[0]) < most:
        return int(kept[0])
    goal = find()
    if checkpoints is not None and goal < most:
        checkpoints.save(label, [np.asarray(goal, np.int64)])
    return goal


def find_macs_for_latency(
    network: FloatNetwork,
    graph: ChannelGraph,
    scores: npt.NDArray[np.float64],
    widths: Widths,
    target_ms: float,
    context: StepContext,
) -> int:
    """Bisect the multiply-accumulates between those of the whole network and of the smallest one.

    Args:
        network: whose channels go.
        graph: its channels.
        scores: float64[graph.count], by which they go.
        widths: that layers may have.
        target_ms: median milliseconds of the int8 model, one thread.
        context: for the export.

    Returns:
        the goal by which `choose_channels` finds the largest network within `target_ms`; the multiply-accumulates of
        `network` itself where it is.

    Raises:
        InputError: the smallest network takes longer.
    """

    times: dict[bytes, float] = {}

    def time_with(kept: npt.NDArray[np.bool_]) -> float:
        key = kept.tobytes()
        if key not in times:
            times[key] = time_int8(network.with_model(remove_channels(network.model, graph, kept)), context)
        return times[key]

    low, high = graph.macs(smallest_network(graph, widths)), graph.macs()
    goal = low
    with context.progress.task("searching for the widths by time", CANDIDATES + 2) as task:
        if time_with(graph.everything) <= target_ms:
            return high
        task.advance(1)
        fastest = time_with(choose_channels(graph, scores, Goals(low), widths))
        if fastest > target_ms:
            raise InputError(
                f"target_latency {target_ms:g} ms: the smallest network with {widths.minimum} channels a layer takes "
                f"{fastest:.3g} ms on this machine; ask for more, or lower --set shrink_minimum"
            )
        task.advance(1)
        for _ in range(CANDIDATES):
            middle = round(math.sqrt(low * high))
            kept = choose_channels(graph, scores, Goals(middle), widths)
            if time_with(kept) <= target_ms:
                # not what it has: by that goal other channels might be chosen, which nobody has timed
                low, goal = max(low, graph.macs(kept)), middle
            else:
                high = min(middle, graph.macs(kept))
            task.advance(1)
            if high - low < 0.01 * high:
                break
    return goal


def time_int8(network: FloatNetwork, context: StepContext) -> float:
    """Export a network to int8 and time it with one thread, about a second: median milliseconds."""
    content = export_candidate(network, context)
    session = find_engine("litert").open(ModelFile(content, "candidate.tflite"), threads=1)
    with undisturbed():
        seconds = warm_session(session, _SECONDS)[2]
        calls = int(np.clip(_SECONDS / seconds, _FEWEST, _MOST))
        return percentiles(burst(timed_call(session), calls)).median
