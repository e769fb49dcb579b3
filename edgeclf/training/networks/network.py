"""What is known of a network besides its weights: one value a network, which importing does not load TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from edgeclf.image.shape import ImageSize, check_image_size
from edgeclf.training.networks.sizes import size_for_any_images

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
class ImageNetStart:
    """Weights trained on ImageNet, published for `tf_keras.applications`.

    Args:
        application: the function of `tf_keras.applications` that builds the network.
        url: of the weights without the head, HDF5.
        width: width multiplier that they belong to; `alpha` in Keras.
        rows: side of the images that they were trained on, pixels.
        input_range: key of `edgeclf.inference.range_measurement.CANDIDATES` that they expect.
        sha256: of the file, hexadecimal. None: it is not known, and what the first download brought is recorded.
    """

    application: str
    url: str
    width: float
    rows: int
    input_range: str
    sha256: str | None = None

    @property
    def file(self) -> str:
        """Name of the file."""
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class ShippedBackbone:
    """Weights that are part of edgeclf, made by `tools/train_backbone.py`.

    Args:
        file: name of the file in the folder `backbone` of the zoo.
        width: width multiplier that they belong to.
        image_size: side of the images that they were trained on, pixels.
    """

    file: str
    width: float
    image_size: int


@dataclass(frozen=True)
class Network:
    """One entry of `NETWORKS`.

    Args:
        build: adds the layers between the scaled input and the features that the classifier takes.
        paper: where it comes from.
        default_width: width multiplier when none is given; None: the network has no width multiplier.
        stem_filters: filters of the first convolution at width 1, by which the width of a file is recognized; None: the
            network has no width multiplier.
        multiple: the side of the input must be a multiple of this, pixels.
        any_size: it can be built without a fixed input size.
        default_size: from the median shorter side of the images to the side of the input, both in pixels.
        automatic_for: the kind of images for which it is chosen where the user names no network.
        imagenet: weights from ImageNet that it can start from.
        backbone: weights that ship with edgeclf and that it can start from.
        bfloat16_faster: it was measured to train faster with activations in bfloat16, on a processor that has
            instructions for it (see `precision`).
    """

    build: Builder
    paper: str
    default_width: float | None = None
    stem_filters: int | None = None
    multiple: int = 8
    any_size: bool = True
    default_size: Callable[[float], int] = size_for_any_images
    automatic_for: ImageKind | None = None
    imagenet: ImageNetStart | None = None
    backbone: ShippedBackbone | None = None
    bfloat16_faster: bool = False


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
        rescaling: scale and offset of the `Rescaling` layer.
        seed: of the dropout layer.
    """

    image_size: ImageSize | None
    classes: int
    width: float | None = None
    dropout: float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    rescaling: tuple[float, float] = UNIT_RANGE
    seed: int = 0

    @property
    def input_size(self) -> tuple[int | None, int | None]:
        """Height and width of the input, pixels; None: any."""
        return (None, None) if self.image_size is None else check_image_size(self.image_size)
