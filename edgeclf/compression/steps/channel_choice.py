"""Chooses the channels that go: those that are missed least for what they cost, in steps that kernels like."""

from __future__ import annotations

from dataclasses import dataclass

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


def choose_channels(
    graph: ChannelGraph, scores: npt.NDArray[np.float64], target_macs: int, widths: Widths
) -> npt.NDArray[np.bool_]:
    """Choose channels until at most `target_macs` multiply-accumulates remain, or nothing more can go.

    Each step takes one group to its next smaller width: the group that loses the smallest fraction of the scores that
    it still has, for each multiply-accumulate saved; it counts once for each layer that makes its channels. So the
    fractions that layers keep are balanced, whatever unit a criterion has, and a layer that has lost much already is
    spared (a greedy search for the largest product of these fractions over all layers; a heuristic).

    Args:
        graph: channels of the network.
        scores: float64[graph.count], at least 0.
        target_macs: for one image.
        widths: that groups may have.

    Returns:
        bool[graph.count], the channels that stay.
    """
    costs = _Costs(graph)
    orders = [group.channels[np.argsort(scores[group.channels], kind="stable")] for group in graph.groups]
    remaining = [np.append(np.cumsum(scores[order][::-1])[::-1], 0.0) + _TINY for order in orders]
    counts = np.array([len(order) for order in orders], np.int64)
    macs = costs.macs(counts)
    while macs > target_macs:
        below = np.array([widths.next_below(int(count)) or count for count in counts], np.int64)
        saved = costs.saved(counts, below)
        if not (saved > 0).any():
            break
        losses = np.array(
            [
                len(group.makers) * np.log(left[len(order) - now] / left[len(order) - after])
                for group, order, left, now, after in zip(graph.groups, orders, remaining, counts, below, strict=True)
            ]
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            prices = np.where(saved > 0, losses / np.minimum(saved, macs - target_macs), np.inf)
        place = int(np.argmin(prices))
        counts[place] = below[place]
        macs = costs.macs(counts)
    kept = graph.everything
    for order, count in zip(orders, counts, strict=True):
        kept[order[: len(order) - count]] = False
    return kept


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


class _Costs:
    """Multiply-accumulates as a function of the number of channels that each group keeps."""

    def __init__(self, graph: ChannelGraph) -> None:
        owner = np.full(graph.count, len(graph.groups))
        for place, group in enumerate(graph.groups):
            owner[group.channels] = place
        self._sizes = np.array([len(group.channels) for group in graph.groups], np.float64)
        self._factors = np.array([product.factor for product in graph.products], np.float64)
        self._takes = self._tabulate([owner[product.takes] for product in graph.products])
        self._makes = self._tabulate([owner[product.makes] for product in graph.products])
        alone = [not product.takes.size for product in graph.products]
        self._takes[alone, -1] = 1.0

    def _tabulate(self, owners: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.float64]:
        """Return how many places each channel of a group has in each product; in the last column those that stay."""
        rows = np.array([np.bincount(one, minlength=len(self._sizes) + 1) for one in owners], np.float64)
        rows = rows.reshape(len(owners), len(self._sizes) + 1)
        rows[:, :-1] /= self._sizes
        return rows

    def macs(self, counts: npt.NDArray[np.int64]) -> int:
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
