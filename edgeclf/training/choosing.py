"""Which network and which of its starts a run begins from, where the user left that open. Loads no TensorFlow.

The published top-1 on ImageNet decides among the starts that are on this machine: a heuristic. It says how good the
features are, not what the network costs on a device.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgeclf.training.networks import NETWORKS
from edgeclf.training.networks.network import ImageKind, Network
from edgeclf.training.starts import Start, available_starts, rank_starts


@dataclass(frozen=True)
class Choice:
    """A network, and the width of the start that it was chosen for.

    Args:
        model: name in `NETWORKS`.
        width: width multiplier; None: the network's own, or it has none.
    """

    model: str
    width: float | None = None


def automatic_choices(kind: ImageKind, width: float | None = None) -> tuple[Choice, ...]:
    """List networks for images of a kind where the user names none, in the order in which they are tried.

    Those whose ImageNet weights are on this machine come first, the best published top-1 foremost; the last one is the
    first in `NETWORKS` that is meant for such images, which may start from a download or from weights of edgeclf's own.

    Args:
        kind: of the images.
        width: multiplier that the user gave; None: any.
    """
    meant = [name for name, network in NETWORKS.items() if network.automatic_for == kind]
    found = []
    for name in meant:
        local = [start for start in available_starts(NETWORKS[name], width).local if start.imagenet_top1]
        if local:
            found.append((local[0].imagenet_top1 or 0.0, Choice(name, _own_width(NETWORKS[name], local[0].width))))
    found.sort(key=lambda entry: -entry[0])
    return tuple(dict.fromkeys([*(choice for _, choice in found), Choice(meant[0])]))


def starts_to_try(network: Network, width: float | None, image_size: int) -> tuple[Start, ...]:
    """List the starts of a network in the order in which they are tried, at most one of them a download.

    All are for one width: the given one, else the network's own, else the nearest for which there are weights, first
    of those on this machine.

    Args:
        network: an entry of `NETWORKS`.
        width: multiplier; None: left open.
        image_size: side of the input, pixels.
    """
    starts = network.starts
    if width is None and network.default_width is not None and starts:
        own = network.default_width
        nearest = min(starts, key=lambda start: (start.width != own, not start.is_local, abs((start.width or 1) - own)))
        width = nearest.width
    return rank_starts([start for start in starts if width in (None, start.width)], image_size)


def best_to_install() -> Start | None:
    """Return the best start, by published ImageNet top-1, that a package would bring; None: all are installed."""
    starts = (start for network in NETWORKS.values() for start in available_starts(network).package)
    return max((start for start in starts if start.imagenet_top1), key=lambda s: s.imagenet_top1 or 0.0, default=None)


def _own_width(network: Network, width: float | None) -> float | None:
    return None if width == network.default_width else width
