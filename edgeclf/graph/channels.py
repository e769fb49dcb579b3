"""Describes which channels of a network belong together: what removing one of them cuts, and what it saves.

A channel of one layer is added to, multiplied with, or taken by channels of other layers; all of these can only go at
once (Fang et al., 2023, "DepGraph", arXiv:2301.12900, whose groups are those of whole layers). Here every place on an
axis of a weight tensor carries the number of the channel that it belongs to, so that concatenations and residual
additions of parts need no rules of their own. Works on NumPy arrays, and imports no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Role = Literal["makes", "takes", "keeps"]
"""A layer makes new channels (the filters of a convolution), takes channels (their inputs), or keeps them apart from
each other (a batch normalization, a depthwise convolution)."""


@dataclass(frozen=True)
class Cut:
    """An axis of a weight tensor that gets shorter when channels go.

    Attributes:
        layer: its name.
        weight: place of the tensor in `get_weights()`.
        axis: of the tensor.
        role: what the layer does with the channels there.
        channels: int64[n], the channel of each place on the axis.
    """

    layer: str
    weight: int
    axis: int
    role: Role
    channels: Ids


@dataclass(frozen=True)
class Setting:
    """A number in the configuration of a layer that is the count of its channels, such as `filters`.

    Attributes:
        layer: its name.
        key: in its configuration; of a list (`target_shape`) the last number is meant.
        channels: int64[n].
    """

    layer: str
    key: str
    channels: Ids


@dataclass(frozen=True)
class Product:
    """What one call of a layer multiplies: `factor` times the channels taken times the channels made.

    Attributes:
        layer: its name.
        positions: in the output.
        factor: positions in the output times places in a kernel, for multiply-accumulates.
        places: in a kernel, for weights; 0: another call counts them already.
        takes: int64[n]; empty: each channel is computed from itself alone (depthwise), so that it counts as one.
        makes: int64[m].
        nanoseconds: that each of the multiply-accumulates takes on a machine; 0: not measured.
    """

    layer: str
    positions: int
    factor: int
    places: int
    takes: Ids
    makes: Ids
    nanoseconds: float = 0.0

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the whole product."""
        return self.factor * max(1, len(self.takes)) * len(self.makes)


@dataclass(frozen=True)
class Group:
    """Channels that cut the same axes, such as the filters of one convolution or of a stage with residual additions.

    Attributes:
        channels: int64[n], in the order in which the layer that makes them has them.
        layers: names of all the layers that get smaller with one of them.
        makers: of these, the layers that make the channels: what a criterion looks at.
    """

    channels: Ids
    layers: tuple[str, ...]
    makers: tuple[str, ...]


@dataclass(frozen=True)
class ChannelGraph:
    """All channels of a network.

    Attributes:
        count: number of channels; they are numbered from 0.
        cuts: of all weight tensors.
        settings: of all layers.
        products: multiply-accumulates, in the order of the calls.
        groups: of the channels that can be removed.
        blocked: by the layer that keeps channels from being removed, why.
    """

    count: int
    cuts: tuple[Cut, ...]
    settings: tuple[Setting, ...]
    products: tuple[Product, ...]
    groups: tuple[Group, ...]
    blocked: Mapping[str, str]

    @property
    def everything(self) -> npt.NDArray[np.bool_]:
        """bool[count], all True: a mask that keeps all channels."""
        return np.ones(self.count, np.bool_)

    def macs(self, kept: npt.NDArray[np.bool_] | None = None) -> int:
        """Count multiply-accumulates for one image: convolutions and dense layers.

        Args:
            kept: bool[count], the channels that stay; None: all.
        """
        return round(self._count([product.factor for product in self.products], kept))

    def nanoseconds(self, kept: npt.NDArray[np.bool_] | None = None) -> int:
        """Estimate the nanoseconds that the products take for one image, from those of each of them.

        Args:
            kept: bool[count], the channels that stay; None: all.
        """
        return round(self._count([one.factor * one.nanoseconds for one in self.products], kept))

    def weights(self, kept: npt.NDArray[np.bool_] | None = None) -> int:
        """Count the weights that are multiplied, of convolutions and dense layers, without biases.

        Args:
            kept: bool[count], the channels that stay; None: all.
        """
        return round(self._count([product.places for product in self.products], kept))

    def largest(self, kept: npt.NDArray[np.bool_] | None = None) -> int:
        """Count the values of the largest tensor that a layer with products makes for one image and that can shrink.

        Args:
            kept: bool[count], the channels that stay; None: all.
        """
        kept = self.everything if kept is None else kept
        tensors = (one for one in self.products if self.removable[one.makes].any())
        return max((one.positions * int(kept[one.makes].sum()) for one in tensors), default=0)

    @cached_property
    def removable(self) -> npt.NDArray[np.bool_]:
        """bool[count], the channels that can go: those of all groups."""
        found = ~self.everything
        for group in self.groups:
            found[group.channels] = True
        return found

    def _count(self, factors: Sequence[float], kept: npt.NDArray[np.bool_] | None) -> float:
        kept = self.everything if kept is None else kept
        total: float = 0
        for product, factor in zip(self.products, factors, strict=True):
            taken = int(kept[product.takes].sum()) if product.takes.size else 1
            total += factor * taken * int(kept[product.makes].sum())
        return total

    def cuts_of(self, layer: str, role: Role) -> list[Cut]:
        """List the cuts of one layer in which it does `role`."""
        return [cut for cut in self.cuts if cut.layer == layer and cut.role == role]


def check_kept(graph: ChannelGraph, kept: npt.NDArray[np.bool_]) -> None:
    """Refuse a mask that would remove what must stay, or all channels of a group.

    Raises:
        ValueError: it is so.
    """
    for group in graph.groups:
        if not kept[group.channels].any():
            raise ValueError(f"all {len(group.channels)} channels of {group.layers[0]} would go")
    if kept.shape != (graph.count,) or np.any(~kept & ~graph.removable):
        raise ValueError("channels that cannot be removed would go")


class Coupling:
    """Sets of numbers that are joined step by step (a disjoint-set forest), and which of them must stay."""

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._fixed: set[int] = set()

    def make(self, count: int) -> Ids:
        """Return new numbers, each a set of its own: int64[count]."""
        first = len(self._parents)
        self._parents += range(first, first + count)
        return np.arange(first, first + count, dtype=np.int64)

    def find(self, number: int) -> int:
        """Return the number that stands for the set of `number`."""
        root = number
        while self._parents[root] != root:
            root = self._parents[root]
        while self._parents[number] != root:
            self._parents[number], number = root, self._parents[number]
        return root

    def join(self, first: Ids, second: Ids) -> None:
        """Join the sets of both, place by place."""
        for one, other in zip(first.tolist(), second.tolist(), strict=True):
            self._parents[self.find(other)] = self.find(one)

    def fix(self, numbers: Ids) -> None:
        """Keep the sets of `numbers` from being removed."""
        self._fixed.update(numbers.tolist())

    def number_sets(self) -> tuple[Ids, npt.NDArray[np.bool_]]:
        """Return the number of the set of each number, counted from 0, and of each set whether it is fixed."""
        roots = [self.find(number) for number in range(len(self._parents))]
        order = {root: place for place, root in enumerate(dict.fromkeys(roots))}
        numbers = np.asarray([order[root] for root in roots], np.int64)
        fixed = np.zeros(len(order), np.bool_)
        fixed[[numbers[number] for number in self._fixed]] = True
        return numbers, fixed


def find_groups(cuts: tuple[Cut, ...], fixed: npt.NDArray[np.bool_]) -> tuple[Group, ...]:
    """Group the channels that are not fixed by the axes that they cut, and how often.

    Args:
        cuts: of the whole network.
        fixed: bool[count], by channel.
    """
    signatures: dict[int, list[tuple[int, int]]] = {}
    for place, cut in enumerate(cuts):
        for channel, times in zip(*np.unique(cut.channels, return_counts=True), strict=True):
            if not fixed[channel]:
                signatures.setdefault(int(channel), []).append((place, int(times)))
    members: dict[tuple[tuple[int, int], ...], list[int]] = {}
    for channel, signature in signatures.items():
        members.setdefault(tuple(signature), []).append(channel)
    groups = []
    for places, channels in members.items():
        touched = [cuts[place] for place, _ in places]
        makers = dict.fromkeys(cut.layer for cut in touched if cut.role == "makes")
        if makers:
            layers = tuple(dict.fromkeys(cut.layer for cut in touched))
            groups.append(Group(np.asarray(sorted(channels), np.int64), layers, tuple(makers)))
    return tuple(groups)
