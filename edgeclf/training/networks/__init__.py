"""The networks that can be trained: flat functional tf-keras graphs that TFMOT can quantize, prune and cluster whole.

`NETWORKS` is the only place where they are listed. A network is a file in this package and a line here, or, from
outside, `NETWORKS["name"] = Network(...)`. Importing this package does not load TensorFlow.
"""

from __future__ import annotations

from edgeclf.errors import InputError, UnknownNameError
from edgeclf.image.shape import ImageSize, check_image_size, show_size
from edgeclf.training.networks.allconv import ALLCONV
from edgeclf.training.networks.applications import EFFICIENTNET_V2_B0, VGG16
from edgeclf.training.networks.cnn import CNN
from edgeclf.training.networks.efficientnet_lite0 import EFFICIENTNET_LITE0
from edgeclf.training.networks.inception import INCEPTION
from edgeclf.training.networks.inception_v3 import INCEPTION_V3
from edgeclf.training.networks.mobilenet_v1 import MOBILENET_V1
from edgeclf.training.networks.mobilenet_v2 import MOBILENET_V2
from edgeclf.training.networks.mobilenet_v3 import MOBILENET_V3_LARGE, MOBILENET_V3_SMALL
from edgeclf.training.networks.network import Network, NetworkSettings, PublishedFigures
from edgeclf.training.networks.repvgg import QAREPVGG, REPVGG
from edgeclf.training.networks.resnet import RESNET8, RESNET8_SWISH, RESNET10, RESNET20, RESNET32
from edgeclf.training.networks.resnet9 import RESNET9
from edgeclf.training.networks.resnet50_v2 import RESNET50_V2
from edgeclf.training.networks.vgg import VGG
from edgeclf.training.networks.vit import VIT

__all__ = [
    "NETWORKS",
    "Network",
    "NetworkSettings",
    "PublishedFigures",
    "check_network",
    "find_network",
    "has_weights",
]

NETWORKS: dict[str, Network] = {
    "cnn": CNN,
    "allconv": ALLCONV,
    "resnet8": RESNET8,
    "resnet9": RESNET9,
    "resnet8-swish": RESNET8_SWISH,
    "resnet10": RESNET10,
    "resnet20": RESNET20,
    "resnet32": RESNET32,
    "resnet50v2": RESNET50_V2,
    "vgg": VGG,
    "inception": INCEPTION,
    "inception-v3": INCEPTION_V3,
    "mobilenet-v1": MOBILENET_V1,
    "mobilenet-v2": MOBILENET_V2,
    "mobilenet-v3-small": MOBILENET_V3_SMALL,
    "mobilenet-v3-large": MOBILENET_V3_LARGE,
    "efficientnet-lite0": EFFICIENTNET_LITE0,
    "efficientnet-v2-b0": EFFICIENTNET_V2_B0,
    "vgg16": VGG16,
    "qarepvgg": QAREPVGG,
    "repvgg": REPVGG,
    "vit": VIT,
}


def find_network(name: str) -> Network:
    """Return the entry of the network `name`.

    Raises:
        UnknownNameError: there is no such network.
    """
    if name not in NETWORKS:
        raise UnknownNameError("model", name, NETWORKS)
    return NETWORKS[name]


def check_network(name: str, width: float | None, image_size: ImageSize | None) -> None:
    """Check that the network `name` can be built so.

    Args:
        name: of the network.
        width: width multiplier; None: its own.
        image_size: side of the square input, pixels, or (height, width); None: any.

    Raises:
        UnknownNameError: no such network.
        InputError: the network has no width multiplier, or none so small, or the image size does not fit.
    """
    network = find_network(name)
    if width is not None and network.default_width is None:
        wide = ", ".join(n for n, e in NETWORKS.items() if e.default_width is not None)
        raise InputError(f"{name} has no width multiplier, got --width {width:g}; those that have one: {wide}")
    if width is not None and width < network.smallest_width:
        raise InputError(f"{name} takes a width of at least {network.smallest_width:g}, got --width {width:g}")
    if image_size is None:
        return
    sides, shown = check_image_size(image_size), str(image_size)
    if not isinstance(image_size, int):
        shown = f"{show_size(image_size)} (width × height)"
    if any(side % network.multiple for side in sides):
        raise InputError(f"image_size of {name} must be a multiple of {network.multiple}, got {shown}")
    if min(sides) < network.smallest:
        raise InputError(f"image_size of {name} must be at least {network.smallest}, got {shown}")


def has_weights(network: Network, width: float | None) -> bool:
    """Return whether weights exist that the network can start from at this width."""
    return any(width in (None, start.width) for start in network.starts)
