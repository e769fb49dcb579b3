"""Pretrained weights that a network can start from, wherever they come from. Importing loads no TensorFlow."""

from __future__ import annotations

import abc
import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeclf.progress import Progress


class Availability(enum.Enum):
    """Where the weights are now."""

    LOCAL = "on this machine"
    DOWNLOAD = "to be downloaded"
    PACKAGE = "in a package that is not installed"


@dataclass(frozen=True, kw_only=True)
class Start(abc.ABC):
    """Weights for a network at one width, and what choosing among several needs.

    A new source of weights is a subclass in a file of its own, and an entry in `Network.starts`.

    Args:
        width: width multiplier that they belong to; None: the network has no width multiplier.
        rows: side of the images that they were trained on, pixels.
        imagenet_top1: top-1 on the validation images of ImageNet, a fraction, as published (by whom: beside the entry);
            None: trained on other images, and worth less as a start than weights that have one.
        input_range: key of `edgeclf.inference.range_measurement.CANDIDATES` that they expect; None: the network scales
            raw pixels inside.
    """

    width: float | None = None
    rows: int
    imagenet_top1: float | None = None
    input_range: str | None = None

    @property
    @abc.abstractmethod
    def origin(self) -> str:
        """Name in remarks, and in `run.json`, by which a resumed run finds the weights again."""

    @abc.abstractmethod
    def availability(self) -> Availability:
        """Return where the weights are now. Nothing is opened or imported."""

    @abc.abstractmethod
    def load(self, name: str, image_size: int, progress: Progress) -> Any | None:
        """Build the network `name` with these weights.

        Args:
            name: of the network in `NETWORKS`.
            image_size: side of the input, pixels.
            progress: where a download is announced, and why there are no weights.

        Returns:
            a tf-keras network, with or without a head; None: the weights cannot be had, which was logged.
        """

    @abc.abstractmethod
    def remedy(self) -> str:
        """Return what brings the weights to this machine, where they are not."""

    @property
    def is_local(self) -> bool:
        """Whether the weights are on this machine."""
        return self.availability() is Availability.LOCAL
