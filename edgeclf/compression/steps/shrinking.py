"""How `Shrink` works: rounds of scoring, removing and fine-tuning."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgeclf.compression.step import StepContext
from edgeclf.compression.steps.channel_choice import Widths, choose_channels, smallest_network
from edgeclf.compression.steps.criteria import find_criterion
from edgeclf.compression.steps.criteria.criterion import Batches
from edgeclf.compression.steps.fine_tune import FineTuningData, automatic_epochs, fine_tune
from edgeclf.compression.steps.goals import Goals, count_goals
from edgeclf.compression.steps.latency_goal import CandidateTimer, find_time_for_latency, keep_measured
from edgeclf.compression.steps.memory_goal import count_activation_bytes, find_largest_for_memory
from edgeclf.compression.steps.product_times import time_products, with_times
from edgeclf.compression.steps.scored_network import ScoredNetwork
from edgeclf.compression.steps.size_goal import count_file_bytes, find_weights_for_size
from edgeclf.dataset.types import Split
from edgeclf.errors import InputError
from edgeclf.graph.channels import ChannelGraph
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.graph.remove_channels import remove_channels
from edgeclf.graph.trace_channels import trace_channels
from edgeclf.image.batches import bounded_batch
from edgeclf.measure.formatting import percent, size

if TYPE_CHECKING:
    from edgeclf.compression.steps.shrink import Shrink

SCORED_IMAGES, SCORED_BATCH = 1024, 64
"""Training images that a criterion looks at, at most, and how many of usual size at once."""
NOTED_OVERSHOOT = 1.25
"""Times what was asked for, from which on users read that more went."""


def shrink(network: FloatNetwork, step: Shrink, context: StepContext) -> FloatNetwork:
    """Return a smaller copy of `network`; itself where it is for a board that can carry it.

    Raises:
        InputError: there are no images, or the goal cannot be reached, or is a time or size that the network holds.
    """
    if _is_within_board(network, step, context):
        return replace(network, notes=(*network.notes, f"not shrunk: it is within the budget of {step.board} already"))
    data = FineTuningData.from_step(step, context)
    model, graph = network.model, trace_shrinkable(network.model, step)
    whole, parameters = graph.macs(), network.model.count_params()
    widths, criterion = Widths(step.multiple, step.minimum), find_criterion(step.criterion)
    epochs, timer = automatic_epochs(step.training.epochs, data.steps, step.target_steps), CandidateTimer(context)
    goals, rounds, left, before, times = count_asked(graph, step), step.count_rounds(epochs), epochs, Goals(), None
    for number in range(1, rounds + 1):
        last = number == rounds
        if step.target_latency is not None:
            # those on the way have the times of the first, by which the goal was found
            times = _time(network.with_model(model), graph, number, context) if number == 1 or last else times
            graph = graph if times is None else with_times(graph, times)
        before = count_goals(graph) if number == 1 else before
        scores = criterion.score(model, graph, draw_batches(data.batches.split, network, context.seed))
        if number == 1 or last:
            scored = ScoredNetwork(network.with_model(model), graph, scores, widths)
            goals = _find_goals(goals, step, number, scored, context, timer)
        kept = choose_channels(graph, scores, goals.on_the_way(before, number / rounds), widths)
        if kept.all() and not last:
            continue
        model = remove_channels(model, graph, kept)
        fine_tune(
            model,
            data,
            label=f"shrinking to {percent(graph.macs(kept) / whole, 0)} ({number} of {rounds})",
            # half of them for the last round, the rest equally over those before; one that is skipped leaves its own
            epochs=left if last else epochs // (2 * (rounds - 1)),
            learning_rate=step.training.learning_rate,
        )
        left -= 0 if last else epochs // (2 * (rounds - 1))
        graph = trace_channels(model)
    after = graph.macs()
    note = (
        f"shrunk from {whole:,} to {after:,} multiply-accumulates ({percent(1 - after / whole, 1)} less) and from "
        f"{parameters:,} to {model.count_params():,} parameters"
    )
    return network.with_model(model, notes=(note, *_overshoot(step, goals, whole, after)))


def _overshoot(step: Shrink, goals: Goals, whole: int, after: int) -> tuple[str, ...]:
    """Return a note that clearly more went than was asked for, as where few layers could give a small fraction."""
    alone = goals == Goals(goals.macs)  # of several goals another one may take more
    if goals.macs is None or not alone or whole - after <= NOTED_OVERSHOOT * (whole - goals.macs):
        return ()
    gone, asked = (percent(1 - left / whole, 1) for left in (after, goals.macs))
    finer = "; a smaller --set shrink_multiple comes closer" if step.multiple > 1 else ""
    widths = f"multiples of {step.multiple} channels, or {step.minimum}"
    return (f"{gone} of the multiply-accumulates went where {asked} were to go: layers keep {widths}{finer}",)


def count_asked(graph: ChannelGraph, step: Shrink) -> Goals:
    """Return what of the goal is known before anything is measured; of two goals one may be held already."""
    whole = graph.macs()
    if step.most_macs is not None and step.most_bytes is not None:
        return Goals(step.most_macs if step.most_macs < whole else None)
    if step.most_bytes is not None or step.target_latency is not None:
        return Goals()
    return Goals(step.target_macs or whole - round(step.fraction * whole))


def _find_goals(
    goals: Goals,
    step: Shrink,
    number: int,
    scored: ScoredNetwork,
    context: StepContext,
    timer: CandidateTimer,
) -> Goals:
    """Return the goals of a time or a size, as candidates of this round have them.

    Raises:
        InputError: the goal cannot be reached, or is held already.
    """
    graph, held = scored.graph, ""
    goals = Goals(goals.macs)
    if step.target_latency is not None:
        target_ms, most = step.target_latency, graph.nanoseconds()
        kept = keep_measured(
            context.checkpoints,
            "nanoseconds of products",
            number,
            # as many as the network has are no goal
            lambda goal: goal.shape == () and 0 < int(goal) < most,
            lambda: np.asarray(find_time_for_latency(scored, target_ms, context, timer), np.int64),
        )
        goals = replace(goals, nanoseconds=int(kept))
        held = f"target_latency {step.target_latency:g} ms: the network takes no longer on this machine"
    goals = _fit_memory(goals, step, scored, context)
    if step.most_bytes is not None:
        goals = replace(goals, weights=find_weights_for_size(scored, goals, step.most_bytes, context))
        # by the size other channels go
        goals = _fit_memory(goals, step, scored, context)
        # what a board can carry was passed on before
        held = "" if step.board else f"target_size {size(step.most_bytes)}: the int8 model is no larger"
    if held and number == 1 and not goals.exceeded_by(count_goals(graph)):
        raise InputError(f"{held} already; ask for less, or compress it without shrink")
    return goals


def _time(network: FloatNetwork, graph: ChannelGraph, number: int, context: StepContext) -> npt.NDArray[np.float64]:
    """Time the products on this machine, or return what a call that was killed has timed: float64[products]."""
    return keep_measured(
        context.checkpoints,
        "times of products",
        number,
        lambda times: times.shape == (len(graph.products),) and bool(np.all(times > 0)),
        functools.partial(time_products, network, graph, context),
    )


def _fit_memory(goals: Goals, step: Shrink, scored: ScoredNetwork, context: StepContext) -> Goals:
    """Return goals by which the network fits the memory of the board as well.

    Raises:
        InputError: no network does.
    """
    if step.most_ram is None:
        return goals
    return replace(goals, largest=find_largest_for_memory(scored, goals, step.most_ram, context))


def _is_within_board(network: FloatNetwork, step: Shrink, context: StepContext) -> bool:
    """Return whether a board can carry a network as it is, whatever can be removed from it."""
    if step.board is None or trace_channels(network.model).macs() > (step.most_macs or 0):
        return False
    if step.most_ram is not None and count_activation_bytes(network, context) > step.most_ram:
        return False
    return count_file_bytes(network, context) <= (step.most_bytes or 0)


def trace_shrinkable(model: Any, step: Shrink) -> ChannelGraph:
    """Return the channels of a network, after a look at whether it can be shrunk so far.

    Raises:
        InputError: nothing can be removed, or not enough; the layers are named that keep channels.
    """
    graph = trace_channels(model)
    keeping = [f"{name} ({reason})" for name, reason in graph.blocked.items()]
    listed = ", ".join(keeping[:3]) + (f" and {len(keeping) - 3} more" if len(keeping) > 3 else "")
    if not graph.groups:
        because = f"; {listed} keep what they touch" if keeping else ""
        raise InputError(f"the network has no channels that could be removed{because}; compress it without shrink")
    criterion = find_criterion(step.criterion)
    if criterion.require is not None:
        criterion.require(model, graph)
    whole, least, goal = graph.macs(), count_least_macs(graph, step), count_asked(graph, step).macs
    if goal is None:
        return graph
    if step.board is None and step.target_macs is not None and step.target_macs >= whole:
        raise InputError(
            f"target_macs {step.target_macs:,}: the network has {whole:,} multiply-accumulates already; ask for less"
        )
    if goal < least:
        because = f"; {listed} keep what they touch" if keeping else ""
        raise InputError(
            f"{step.label()} leaves {goal:,} of {whole:,} multiply-accumulates, but {least:,} "
            f"({percent(least / whole, 1)}) stay where each layer keeps {step.minimum} channels{because}; "
            + ("take a larger board" if step.board else "ask for less")
            + ", or lower --set shrink_minimum"
        )
    return graph


def count_least_macs(graph: ChannelGraph, step: Shrink) -> int:
    """Count the multiply-accumulates that stay where each layer keeps as few channels as `step` allows."""
    return graph.macs(smallest_network(graph, Widths(step.multiple, step.minimum)))


def draw_batches(split: Split, network: FloatNetwork, seed: int) -> Batches:
    """Draw the training images that channels are scored on, unaugmented, at most `SCORED_IMAGES`.

    Args:
        split: training images and labels.
        network: what they are scaled for.
        seed: of the draw.
    """
    chosen = np.random.default_rng([seed, 12]).permutation(len(split))[:SCORED_IMAGES]
    return _batches(split, network, chosen)


def _batches(
    split: Split, network: FloatNetwork, chosen: npt.NDArray[np.int64]
) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    at_once = bounded_batch(SCORED_BATCH, *split.images.shape[1:3])
    scale, one_hot = np.float32(network.input_max / 255), np.eye(len(network.classes), dtype=np.float32)
    # of nearly equal size: a criterion averages over batches, and a last one of a single image would decide
    for part in map(np.sort, np.array_split(chosen, math.ceil(len(chosen) / at_once))):
        yield np.asarray(split.images[part]).astype(np.float32) * scale, one_hot[split.labels[part]]
