"""Networks of `tf_keras.applications` as they are, to be started from their ImageNet weights.

They can be trained from scratch too, which takes more photos and time than most have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeclf.training.networks.network import Builder, Network, Tensor
from edgeclf.training.networks.sizes import size_for_imagenet_weights
from edgeclf.training.starts.published import PUBLISHED

if TYPE_CHECKING:
    from edgeclf.training.networks.building import Blocks


def application_builder(application: str, **options: object) -> Builder:
    """Return the builder of a network of `tf_keras.applications`, laid into the graph without a head.

    Args:
        application: name of its function.
        options: arguments of the function.
    """

    def build(x: Tensor, width: float, blocks: Blocks) -> Tensor:
        return blocks.application(x, application, **options)

    return build


VGG16 = Network(
    application_builder("VGG16"),
    "Simonyan and Zisserman, 2015 (arXiv:1409.1556)",
    multiple=32,
    any_size=False,
    transfer_only=True,
    default_size=size_for_imagenet_weights,
    starts=PUBLISHED["vgg16"],
)
EFFICIENTNET_V2_B0 = Network(
    application_builder("EfficientNetV2B0", include_preprocessing=False),
    "Tan and Le, 2021 (arXiv:2104.00298)",
    multiple=32,
    any_size=False,
    transfer_only=True,
    default_size=size_for_imagenet_weights,
    starts=PUBLISHED["efficientnet-v2-b0"],
)
