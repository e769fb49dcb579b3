"""The networks, widths and input sizes that a training may choose among, with what each costs and is worth."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from edgeclf.image.shape import ImageSize
from edgeclf.records import Record
from edgeclf.training.budget.cost import UncountableError
from edgeclf.training.budget.counting import CountAtSize, network_cost
from edgeclf.training.networks import NETWORKS, Network
from edgeclf.training.starts import Start

SCRATCH = "scratch"
SIDES = (96, 128, 160, 192, 224)
"""Sides of the input that photos are given, pixels."""
LARGEST_UNPUBLISHED = 128
"""Largest side for weights that are not from ImageNet, such as edgeclf's backbone, which knows images of 64 pixels."""
_WORTH_AT = MappingProxyType({0: 0.0, 96: 0.603, 128: 0.653, 160: 0.688, 192: 0.707, 224: 0.718})
"""ImageNet top-1 of MobileNetV2 1.0 by side of the input, as published: what a smaller input costs (Sandler et al.,
2018, reference implementation). Nothing was published below 96 pixels: it is taken to fall in proportion there."""


@dataclass(frozen=True)
class Candidate(Record):
    """A network at a width and an input size.

    Attributes:
        network: its name in `NETWORKS`, or that of the file.
        width: width multiplier; None: it has none, or it is that of the file.
        image_size: side of the input, pixels.
        macs: multiply-accumulates of one inference.
        parameters: weights and biases, batch normalizations folded.
        size_bytes: of the int8 file; an estimate before it is made.
        activation_bytes: of the int8 tensors that are alive at the same time, at most: a lower bound of the RAM.
        start: what it starts from.
        worth: by which candidates are ranked: the published ImageNet top-1 of the start, corrected for the input size;
            0 where none was published; below 0 for what is taken where nothing else fits.
        latency_ms: of one inference on one thread; None: neither measured nor estimated.
        breaks: the limits that it breaks, by the names of `limits.Limits`.
    """

    network: str
    width: float | None
    image_size: int
    macs: int
    parameters: int
    size_bytes: int
    activation_bytes: int
    start: str
    worth: float
    latency_ms: float | None = None
    breaks: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Network and width."""
        return self.network if self.width is None else f"{self.network} {self.width:g}"

    @property
    def key(self) -> tuple[str, float | None, int]:
        """What identifies it among others."""
        return self.network, self.width, self.image_size

    @property
    def rank(self) -> tuple[float, int, int]:
        """Sorts candidates, the best last: by worth, then the larger input, then less work."""
        return self.worth, self.image_size, -self.macs


@dataclass(frozen=True)
class StartOption:
    """Weights that a network can start from, as far as the choice looks at them.

    Args:
        network: name of the network.
        width: width multiplier that they belong to; None: the network has none.
        rows: side of the images that they were trained on, pixels.
        imagenet_top1: as published, a fraction; None: they are not from ImageNet.
        origin: where they are from.
        is_local: whether they are on this machine.
        start: their entry in the registry.
    """

    network: str
    width: float | None
    rows: int
    imagenet_top1: float | None
    origin: str
    is_local: bool
    start: Start | None = None


@dataclass(frozen=True)
class Offer:
    """A candidate, and the weights that it starts from; None: a file, or scratch."""

    candidate: Candidate
    option: StartOption | None = None


@dataclass(frozen=True)
class Request:
    """What candidates are made for.

    Args:
        classes: number of classes.
        side: median shorter side of the images, pixels.
        largest_side: of the input that is chosen by itself, pixels.
        model: the only network; None: any.
        width: the only width; None: any.
        image_size: the only side of the input, pixels; None: those of `SIDES`.
    """

    classes: int
    side: float
    largest_side: int
    model: str | None = None
    width: float | None = None
    image_size: int | None = None
    networks: Mapping[str, Network] = field(default_factory=lambda: NETWORKS)


def square_side(image_size: ImageSize | None) -> int | None:
    """Return the side that costs are counted at: of a rectangle, that of the next square with as many pixels."""
    if image_size is None or isinstance(image_size, int):
        return image_size
    height, width = image_size
    return 32 * math.ceil(math.sqrt(height * width) / 32)


def list_started(request: Request, starts: Iterable[StartOption]) -> list[Offer]:
    """List the candidates that start from pretrained weights: one for each network, width and size."""
    grouped: dict[tuple[str, float | None], list[StartOption]] = {}
    for start in starts:
        if request.model in (None, start.network) and request.width in (None, start.width):
            grouped.setdefault((start.network, start.width), []).append(start)
    found = []
    for (name, width), options in grouped.items():
        network = request.networks[name]
        published = [option for option in options if option.imagenet_top1 is not None]
        largest = request.largest_side if published else LARGEST_UNPUBLISHED
        for size in _sides(request, network.multiple, largest):
            # the start that training takes: on this machine first, then of the nearest size
            best = min(
                published or options, key=lambda option: (not option.is_local, abs(option.rows - size), -option.rows)
            )
            made = _make(request, name, width, size, best.origin, _worth(best, size))
            found += [] if made is None else [Offer(made, best)]
    return found


def list_scratch(request: Request, default: str) -> list[Offer]:
    """List the candidates that start from scratch: the default network first, smaller ones where it does not fit.

    Args:
        request: what for.
        default: name of the network that is taken where it fits.
    """
    found = []
    for name, network in request.networks.items():
        if request.model not in (None, name) or (request.width is not None and network.default_width is None):
            continue
        widths = [request.width or network.default_width]
        if network.default_width is not None and request.width is None:
            further = (width for width in (0.35, 0.5, 0.75, 1.0, 0.15, 0.1) if width >= network.smallest_width)
            widths += [width for width in further if width != network.default_width]
        side = network.default_size(request.side)
        sides = [request.image_size] if request.image_size else _halved(side, network.multiple)
        for size in (one for one in sides if one % network.multiple == 0 and one >= network.smallest):
            for width in widths:
                preferred = name == (request.model or default) and width == widths[0] and size == sides[0]
                made = _make(request, name, width, size, SCRATCH, 0.0)
                # no figure compares what starts from scratch: the default, else the most work that fits
                worth = 0.0 if preferred else -1 / (1 + (made.macs if made else 0))
                found += [] if made is None else [Offer(dataclasses.replace(made, worth=worth))]
    return found


def list_of_file(request: Request, name: str, count: CountAtSize, own_side: int | None, start: str) -> list[Offer]:
    """List the sizes at which a network from a file can be used, up to its own.

    Args:
        request: what for.
        name: of the network.
        count: counts it at a size.
        own_side: side of the input in the file, pixels; None: any.
        start: name of the file.

    Raises:
        UncountableError: it has a layer that is not known here.
    """
    # as training takes it, whose inputs are multiples of 8
    own_side = None if own_side is None else max(8, 8 * round(own_side / 8))
    largest = min(own_side or request.largest_side, request.largest_side)
    sides = {side for side in range(64, largest + 1, 32)} | ({own_side} if own_side and own_side <= largest else set())
    if request.image_size is not None:
        sides = {request.image_size}
    found = []
    for size in sorted(sides or {own_side or largest}):
        cost = count(size)
        found.append(Offer(Candidate(name, None, size, **cost.to_dict(), start=start, worth=0.0)))
    return found


def _make(request: Request, name: str, width: float | None, size: int, start: str, worth: float) -> Candidate | None:
    """Count a candidate; None: it cannot be built at this size, or cannot be counted."""
    try:
        cost = network_cost(name, width, size, request.classes, build=request.model == name)
    except UncountableError:
        return None
    return Candidate(name, width, size, **cost.to_dict(), start=start, worth=worth)


def _sides(request: Request, multiple: int, largest: int) -> Sequence[int]:
    if request.image_size is not None:
        return [request.image_size] if request.image_size % multiple == 0 else []
    # what is larger than the photos holds no more than they do
    photo = max(64, 32 * round(request.side / 32))
    bound = min(largest, photo)
    return [side for side in SIDES if side <= bound and side % multiple == 0] or [bound // multiple * multiple]


def _halved(side: int, multiple: int) -> list[int]:
    sizes = [side, *(multiple * max(1, round(side * part / multiple)) for part in (0.75, 0.5))]
    return list(dict.fromkeys(sizes))


def _worth(start: StartOption, size: int) -> float:
    """Correct the published top-1 of a start for the side at which it will be used."""
    if start.imagenet_top1 is None:
        return 0.0
    sides, worths = list(_WORTH_AT), list(_WORTH_AT.values())
    here, there = (float(np.interp(side, sides, worths)) for side in (size, start.rows))
    return round(start.imagenet_top1 * here / there, 4)
