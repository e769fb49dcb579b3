"""Chooses the channels that go: those that are missed least for what they cost, in steps that kernels like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgeclf.graph.channels import ChannelGraph, Group

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


@dataclass(frozen=True)
class Goals:
    """What may stay of a network; None: no limit.

    Args:
        macs: multiply-accumulates for one image.
        weights: of convolutions and dense layers, without biases.
        largest: values of the largest tensor that a layer makes for one image.
        nanoseconds: of the products, as they were timed (see `product_times`).
    """

    macs: int | None = None
    weights: int | None = None
    largest: int | None = None
    nanoseconds: int | None = None

    def exceeded_by(self, counted: Goals) -> bool:
        """Return whether a network that has `counted` has more than may stay."""
        pairs = [(getattr(self, one.name), getattr(counted, one.name)) for one in fields(self)]
        return any(most is not None and count is not None and count > most for most, count in pairs)

    def on_the_way(self, before: Goals, part: float) -> Goals:
        """Return what stays after a part of the way, of which equal parts leave equal fractions.

        Args:
            before: what the whole network has.
            part: of the way, up to 1.
        """
        return Goals(
            **{one.name: _between(getattr(before, one.name), getattr(self, one.name), part) for one in fields(self)}
        )


def count_goals(graph: ChannelGraph) -> Goals:
    """Count what a whole network has."""
    return Goals(graph.macs(), graph.weights(), graph.largest(), graph.nanoseconds())


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
    limits = _limits(graph, goals)
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
    limits: list[tuple[_Counted, int]],
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


def describe_widths(graph: ChannelGraph, kept: npt.NDArray[np.bool_]) -> tuple[tuple[Group, int], ...]:
    """Return the groups that lose channels, each with the number that it keeps."""
    counts = [(group, int(kept[group.channels].sum())) for group in graph.groups]
    return tuple((group, count) for group, count in counts if count < len(group.channels))


def _between(before: int | None, after: int | None, part: float) -> int | None:
    if after is None or not before:
        return after
    return after if part == 1 else round(before * (after / before) ** part)


class _Counted(Protocol):
    """What a goal limits, as a function of the number of channels that each group keeps."""

    def total(self, counts: npt.NDArray[np.int64]) -> int:
        """Count with `counts` channels in the groups."""

    def saved(self, counts: npt.NDArray[np.int64], below: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Count what each group alone saves by having `below` in place of `counts` channels: float64[groups]."""


def _limits(graph: ChannelGraph, goals: Goals) -> list[tuple[_Counted, int]]:
    """Return what each goal counts, and how much of it may stay; each tensor that may be too large has its own."""
    takes = _tabulate(graph, [product.takes for product in graph.products])
    makes = _tabulate(graph, [product.makes for product in graph.products])
    takes[[not product.takes.size for product in graph.products], -1] = 1.0
    factors: dict[str, list[float]] = {
        "macs": [one.factor for one in graph.products],
        "weights": [one.places for one in graph.products],
        "nanoseconds": [one.factor * one.nanoseconds for one in graph.products],
    }
    given = {name: getattr(goals, name) for name in factors}
    limits: list[tuple[_Counted, int]] = [
        (_Costs(takes, makes, np.array(factors[name], np.float64)), most)
        for name, most in given.items()
        if most is not None
    ]
    if goals.largest is not None:
        limits += [
            (_Tensor(product.positions * row), goals.largest)
            for product, row in zip(graph.products, makes, strict=True)
            if product.positions * len(product.makes) > goals.largest
        ]
    return limits


def _tabulate(graph: ChannelGraph, places: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.float64]:
    """Return how many places each channel of a group has in each product; in the last column those that stay.

    Args:
        graph: channels of the network.
        places: of each product, the channels there.
    """
    owner = np.full(graph.count, len(graph.groups))
    for place, group in enumerate(graph.groups):
        owner[group.channels] = place
    width = len(graph.groups) + 1
    rows = np.array([np.bincount(owner[one], minlength=width) for one in places], np.float64).reshape(-1, width)
    rows[:, :-1] /= np.array([len(group.channels) for group in graph.groups], np.float64)
    return rows


class _Tensor:
    """Values of one tensor as a function of the number of channels that each group keeps."""

    def __init__(self, values: npt.NDArray[np.float64]) -> None:
        self._values = values

    def total(self, counts: npt.NDArray[np.int64]) -> int:
        """Count with `counts` channels in the groups."""
        return round(float(self._values @ np.append(counts, 1)))

    def saved(self, counts: npt.NDArray[np.int64], below: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Count what each group alone saves by having `below` in place of `counts` channels: float64[groups]."""
        found: npt.NDArray[np.float64] = self._values[:-1] * (counts - below)
        return found


class _Costs:
    """Products of channels as a function of the number of channels that each group keeps."""

    def __init__(
        self, takes: npt.NDArray[np.float64], makes: npt.NDArray[np.float64], factors: npt.NDArray[np.float64]
    ) -> None:
        self._takes, self._makes, self._factors = takes, makes, factors

    def total(self, counts: npt.NDArray[np.int64]) -> int:
        """Count with `counts` channels in the groups."""
        given = np.append(counts, 1).astype(np.float64)
        return round(float(self._factors @ ((self._takes @ given) * (self._makes @ given))))

    def saved(self, counts: npt.NDArray[np.int64], below: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Count what each group alone saves by having `below` in place of `counts` channels: float64[groups]."""
        given, change = np.append(counts, 1).astype(np.float64), (below - counts).astype(np.float64)
        takes, makes = self._takes[:, :-1], self._makes[:, :-1]
        slope = (self._factors * (self._takes @ given)) @ makes + (self._factors * (self._makes @ given)) @ takes
        found: npt.NDArray[np.float64] = -change * slope - change**2 * (self._factors @ (takes * makes))
        return found
