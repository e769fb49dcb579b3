"""Chooses the channels that go: those that are missed least for what they cost, in steps that kernels like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeclf.compression.steps.channel_costs import Counted, list_limits
from edgeclf.compression.steps.goals import Goals
from edgeclf.graph.channels import ChannelGraph

_TINY = 1e-30


@dataclass(frozen=True)
class Widths:
    """How many channels a group may keep: all that it has, or a multiple of `multiple`, or `minimum`.

    Args:
        multiple: of channels.
        minimum: the fewest.
    """

    multiple: int
    minimum: int

    def next_below(self, count: int) -> int | None:
        """Return the next smaller number of channels after `count`; None: there is none."""
        below = (count - 1) // self.multiple * self.multiple
        if below >= self.minimum:
            return below
        return self.minimum if count > self.minimum else None

    def smallest(self, count: int) -> int:
        """Return the fewest channels that a group of `count` may keep."""
        return min(count, self.minimum)


def choose_channels(
    graph: ChannelGraph, scores: npt.NDArray[np.float64], goals: Goals, widths: Widths
) -> npt.NDArray[np.bool_]:
    """Choose channels until no more than `goals` remains, or nothing more can go.

    Each step takes one group to its next smaller width: the group that loses the smallest fraction of the scores that
    it still has, for what it saves of that by which goals are exceeded; it counts once for each layer that makes its
    channels. So the fractions that layers keep are balanced, whatever unit a criterion has, and a layer that has lost
    much already is spared (a greedy search for the largest product of these fractions over all layers; a heuristic).
    At the end a group that went before a larger step made that needless gets its width back.

    Args:
        graph: channels of the network.
        scores: float64[graph.count], at least 0.
        goals: what may stay.
        widths: that groups may have.

    Returns:
        bool[graph.count], the channels that stay.
    """
    limits = list_limits(graph, goals)
    orders = [group.channels[np.argsort(scores[group.channels], kind="stable")] for group in graph.groups]
    remaining = [np.append(np.cumsum(scores[order][::-1])[::-1], 0.0) + _TINY for order in orders]
    counts = np.array([len(order) for order in orders], np.int64)
    before: list[list[int]] = [[] for _ in orders]

    def loss(place: int, now: int, after: int) -> float:
        left, whole = remaining[place], len(orders[place])
        return len(graph.groups[place].makers) * float(np.log(left[whole - now] / left[whole - after]))

    while exceeded := [(costs, costs.total(counts) - most) for costs, most in limits if costs.total(counts) > most]:
        below = np.array([widths.next_below(int(count)) or count for count in counts], np.int64)
        saved = np.sum([np.minimum(costs.saved(counts, below) / more, 1.0) for costs, more in exceeded], axis=0)
        if not (saved > 0).any():
            break
        losses = np.array([loss(place, *pair) for place, pair in enumerate(zip(counts, below, strict=True))])
        with np.errstate(divide="ignore", invalid="ignore"):
            prices = np.where(saved > 0, losses / saved, np.inf)
        place = int(np.argmin(prices))
        before[place].append(int(counts[place]))
        counts[place] = below[place]
    _give_back(counts, before, limits, loss)
    kept = graph.everything
    for order, count in zip(orders, counts, strict=True):
        kept[order[: len(order) - count]] = False
    return kept


def _give_back(
    counts: npt.NDArray[np.int64],
    before: list[list[int]],
    limits: list[tuple[Counted, int]],
    loss: Callable[[int, int, int], float],
) -> None:
    """Widen groups again as far as the limits allow, those first that gain most by it.

    Args:
        counts: int64[groups], changed in place.
        before: the widths that each group had before, the last one last.
        limits: what is counted, and how much of it may stay.
        loss: of a group that goes from one width to another.
    """

    def wider(place: int) -> npt.NDArray[np.int64]:
        found: npt.NDArray[np.int64] = counts.copy()
        found[place] = before[place][-1]
        return found

    while True:
        fitting = [
            place
            for place, widths in enumerate(before)
            if widths and all(costs.total(wider(place)) <= most for costs, most in limits)
        ]
        if not fitting:
            return
        best = max(fitting, key=lambda place: loss(place, before[place][-1], int(counts[place])))
        counts[best] = before[best].pop()


def smallest_network(graph: ChannelGraph, widths: Widths) -> npt.NDArray[np.bool_]:
    """Keep the fewest channels everywhere: bool[graph.count]."""
    kept = graph.everything
    for group in graph.groups:
        kept[group.channels[widths.smallest(len(group.channels)) :]] = False
    return kept
