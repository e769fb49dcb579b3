"""The networks that can be trained: flat functional tf-keras graphs that TFMOT can quantize, prune and cluster whole.

`NETWORKS` is the only place where they are listed. A network is a file in this package and a line here, or, from
outside, `NETWORKS["name"] = Network(...)`. Importing this package does not load TensorFlow.
"""

from __future__ import annotations

from edgeclf.errors import UnknownNameError
from edgeclf.training.networks.cnn import CNN
from edgeclf.training.networks.mobilenet_v1 import MOBILENET_V1
from edgeclf.training.networks.mobilenet_v2 import MOBILENET_V2
from edgeclf.training.networks.network import ImageNetStart, Network, NetworkSettings, ShippedBackbone
from edgeclf.training.networks.resnet import RESNET8, RESNET20

__all__ = ["NETWORKS", "ImageNetStart", "Network", "NetworkSettings", "ShippedBackbone", "find_network"]

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
