"""The networks that can be trained: flat functional tf-keras graphs that TFMOT can quantize, prune and cluster whole.

`NETWORKS` is the only place where they are listed. A network is a file in this package and a line here, or, from
outside, `NETWORKS["name"] = Network(...)`. Importing this package does not load TensorFlow.
"""

from __future__ import annotations

from edgeclf.errors import InputError, UnknownNameError
from edgeclf.image.shape import ImageSize, check_image_size, show_size
from edgeclf.training.networks.cnn import CNN
from edgeclf.training.networks.mobilenet_v1 import MOBILENET_V1
from edgeclf.training.networks.mobilenet_v2 import MOBILENET_V2
from edgeclf.training.networks.network import ImageNetStart, Network, NetworkSettings, ShippedBackbone
from edgeclf.training.networks.resnet import RESNET8, RESNET20

__all__ = [
    "NETWORKS",
    "ImageNetStart",
    "Network",
    "NetworkSettings",
    "ShippedBackbone",
    "check_network",
    "find_network",
    "has_weights",
]

NETWORKS: dict[str, Network] = {
    "cnn": CNN,
    "resnet8": RESNET8,
    "resnet20": RESNET20,
    "mobilenet-v1": MOBILENET_V1,
    "mobilenet-v2": MOBILENET_V2,
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
        InputError: the network has no width multiplier, or the image size does not fit.
    """
    network = find_network(name)
    if width is not None and network.default_width is None:
        wide = ", ".join(n for n, e in NETWORKS.items() if e.default_width is not None)
        raise InputError(f"{name} has no width multiplier, got --width {width:g}; those that have one: {wide}")
    if image_size is not None and any(side % network.multiple for side in check_image_size(image_size)):
        shown = image_size if isinstance(image_size, int) else f"{show_size(image_size)} (width × height)"
        raise InputError(f"image_size of {name} must be a multiple of {network.multiple}, got {shown}")


def has_weights(network: Network, width: float | None) -> bool:
    """Return whether weights exist that the network can start from at this width."""
    return any(start and width in (None, start.width) for start in (network.imagenet, network.backbone))
