"""Counts what goals limit as a function of the number of channels that each group keeps."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgeclf.compression.steps.goals import Goals
from edgeclf.graph.channels import ChannelGraph


class Counted(Protocol):
    """What a goal limits, as a function of the number of channels that each group keeps."""

    def total(self, counts: npt.NDArray[np.int64]) -> int:
        """Count with `counts` channels in the groups."""

    def saved(self, counts: npt.NDArray[np.int64], below: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Count what each group alone saves by having `below` in place of `counts` channels: float64[groups]."""


def list_limits(graph: ChannelGraph, goals: Goals) -> list[tuple[Counted, int]]:
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
    limits: list[tuple[Counted, int]] = [
        (_Costs(takes, makes, np.array(factors[name], np.float64)), most)
        for name, most in given.items()
        if most is not None
    ]
    if goals.largest is not None:
        limits += [
            (_Tensor(product.positions * row), goals.largest)
            for product, row in zip(graph.products, makes, strict=True)
            if graph.removable[product.makes].any() and product.positions * len(product.makes) > goals.largest
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
