"""What is known of a network besides its weights: one value a network, which importing does not load TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from edgeclf.image.shape import ImageSize, check_image_size
from edgeclf.training.networks.sizes import size_for_any_images
from edgeclf.training.starts.start import Start

if TYPE_CHECKING:
    from edgeclf.training.networks.building import Blocks

Tensor = Any
"""A symbolic Keras tensor."""
ImageKind = Literal["small images", "photos"]
Builder = Callable[[Tensor, float, "Blocks"], Tensor]
"""From the scaled input, the width multiplier and the building blocks to the features, `[N, C]`."""
UNIT_RANGE = (1 / 255, 0.0)
"""Scale and offset of the `Rescaling` layer: 0..255 becomes 0..1."""


@dataclass(frozen=True)
class PublishedFigures:
    """What is published of a network's size, for comparison.

    Args:
        image_size: side of the square input that the figures are for, pixels.
        parameters: of the network with its classifier, rounded as published.
        macs: multiply-accumulates for one image, rounded as published; None: not published.
        classes: of the classifier.
        width: width multiplier that they are for.
    """

    image_size: int
    parameters: int
    macs: int | None = None
    classes: int = 1000
    width: float = 1.0


@dataclass(frozen=True)
class Network:
    """One entry of `NETWORKS`.

    Args:
        build: adds the layers between the scaled input and the features that the classifier takes.
        paper: where it comes from.
        default_width: width multiplier when none is given; None: the network has no width multiplier.
        smallest_width: width multiplier that it makes sense from.
        stem_filters: filters of the first convolution at width 1, by which the width of a file is recognized; None: the
            network has no width multiplier, or one that leaves the first convolution as it is.
        multiple: the side of the input must be a multiple of this, pixels.
        smallest: side of the smallest input that it can be built for, pixels.
        any_size: it can be built without a fixed input size.
        default_size: from the median shorter side of the images to the side of the input, both in pixels.
        automatic_for: the kind of images for which it may be chosen where the user names no network (see `choosing`).
        starts: pretrained weights that it can start from, one entry a width and size.
        bfloat16_faster: it was measured to train faster with activations in bfloat16, on a processor that has
            instructions for it (see `precision`).
        transfer_only: it is too large to be trained from scratch on the data that it is meant for.
        published: what its paper or its authors say of its size; None: they say nothing of this form of it.
    """

    build: Builder
    paper: str
    default_width: float | None = None
    smallest_width: float = 0.0
    stem_filters: int | None = None
    multiple: int = 8
    smallest: int = 8
    any_size: bool = True
    default_size: Callable[[float], int] = size_for_any_images
    automatic_for: ImageKind | None = None
    starts: tuple[Start, ...] = ()
    bfloat16_faster: bool = False
    transfer_only: bool = False
    published: PublishedFigures | None = None


@dataclass(frozen=True)
class NetworkSettings:
    """How a network is built.

    Args:
        image_size: side of the square input, pixels, or (height, width); None: any (not every network can).
        classes: number of classes.
        width: width multiplier (Howard et al., 2017); None: the default of the network.
        dropout: rate before the classifier.
        l1: L1 penalty on kernels.
        l2: L2 penalty on kernels.
        batch_norm_momentum: of the running statistics of batch normalization; None: that of the network.
        rescaling: scale and offset of the `Rescaling` layer.
        seed: of the dropout layer.
    """

    image_size: ImageSize | None
    classes: int
    width: float | None = None
    dropout: float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    batch_norm_momentum: float | None = None
    rescaling: tuple[float, float] = UNIT_RANGE
    seed: int = 0

    @property
    def input_size(self) -> tuple[int | None, int | None]:
        """Height and width of the input, pixels; None: any."""
        return (None, None) if self.image_size is None else check_image_size(self.image_size)
