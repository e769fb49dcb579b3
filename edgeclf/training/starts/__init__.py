"""Where pretrained weights come from: one file a source, and which of them can be had now.

Importing this package does not load TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from edgeclf.training.starts.keras_download import KerasDownload
from edgeclf.training.starts.package import PackagedWeights
from edgeclf.training.starts.shipped import ShippedBackbone
from edgeclf.training.starts.start import Availability, Start

__all__ = [
    "Availability",
    "AvailableStarts",
    "HasStarts",
    "KerasDownload",
    "PackagedWeights",
    "ShippedBackbone",
    "Start",
    "available_starts",
    "rank_starts",
]


class HasStarts(Protocol):
    """A network, or whatever else lists starts."""

    @property
    def starts(self) -> tuple[Start, ...]:
        """The starts, in any order."""


@dataclass(frozen=True)
class AvailableStarts:
    """The starts of a network by where they are, the best published ImageNet top-1 first.

    Args:
        local: can be had now, without a download.
        download: would need one.
        package: would need a package to be installed.
    """

    local: tuple[Start, ...]
    download: tuple[Start, ...]
    package: tuple[Start, ...]


def available_starts(network: HasStarts, width: float | None = None) -> AvailableStarts:
    """List which starts of a network can be had now, and which would need a download or a package.

    Args:
        network: an entry of `NETWORKS`.
        width: only starts for this width multiplier; None: for any.
    """
    starts = [start for start in network.starts if width in (None, start.width)]
    starts.sort(key=lambda start: -(start.imagenet_top1 or 0))
    found = {start: start.availability() for start in starts}
    local, download, package = (
        tuple(start for start in starts if found[start] is wanted)
        for wanted in (Availability.LOCAL, Availability.DOWNLOAD, Availability.PACKAGE)
    )
    return AvailableStarts(local, download, package)


def rank_starts(starts: Iterable[Start], image_size: int) -> tuple[Start, ...]:
    """Order the starts of one width in which they are tried: at most one download, packages that are missing never.

    ImageNet weights come before others, those on this machine before a download, and among these those that were
    trained on images of the nearest size, the larger of two.

    Args:
        starts: of one network and width.
        image_size: side of the input, pixels.
    """

    def key(start: Start) -> tuple[bool, float, int]:
        return start.imagenet_top1 is None, abs(start.rows - image_size), -start.rows

    ordered = sorted(starts, key=key)
    local = [start for start in ordered if start.is_local]
    download = [start for start in ordered if start.availability() is Availability.DOWNLOAD][:1]
    return tuple(sorted([*local, *download], key=lambda start: (start.imagenet_top1 is None, not start.is_local)))
