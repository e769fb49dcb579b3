"""A small vision transformer, of layers that the TFLite converter turns into 8-bit operators.

Positions come from a depthwise convolution over the patches (Chu et al., 2021, arXiv:2102.10882), which needs no table
for one input size; ReLU instead of GELU, which costs nothing in an integer graph; the mean over all patches goes into
the classifier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeclf.training.networks.network import Network, Tensor
from edgeclf.training.networks.sizes import size_for_attention

if TYPE_CHECKING:
    from edgeclf.training.networks.building import Blocks

_PATCH, _DEPTH, _HEADS, _CHANNELS = 4, 6, 3, 192
"""Side of a patch, pixels; number of blocks; heads; channels at width 1."""


def _build(x: Tensor, width: float, blocks: Blocks) -> Tensor:
    layers = blocks.layers
    channels = _HEADS * max(4, round(_CHANNELS * width / _HEADS / 4) * 4)
    x = layers.Conv2D(channels, _PATCH, _PATCH, kernel_regularizer=blocks.penalty)(x)
    x = layers.Add()([x, layers.DepthwiseConv2D(3, padding="same")(x)])
    patches = x.shape[1] * x.shape[2]
    x = layers.Reshape((patches, channels))(x)
    for _ in range(_DEPTH):
        x = layers.Add()([x, _attend(_normalize(x, blocks), channels, blocks)])
        y = layers.Dense(4 * channels, activation="relu", kernel_regularizer=blocks.penalty)(_normalize(x, blocks))
        x = layers.Add()([x, layers.Dense(channels, kernel_regularizer=blocks.penalty)(y)])
    return layers.GlobalAveragePooling1D()(_normalize(x, blocks))


def _normalize(x: Tensor, blocks: Blocks) -> Tensor:
    return blocks.layers.LayerNormalization(epsilon=1e-6)(x)


def _attend(x: Tensor, channels: int, blocks: Blocks) -> Tensor:
    """Add multi-head self-attention (Vaswani et al., 2017, arXiv:1706.03762, section 3.2.2)."""
    layers, patches, size = blocks.layers, x.shape[1], channels // _HEADS

    def heads() -> Tensor:
        y = layers.Dense(channels, kernel_regularizer=blocks.penalty)(x)
        return layers.Permute((2, 1, 3))(layers.Reshape((patches, _HEADS, size))(y))

    query, key, value = layers.Rescaling(size**-0.5)(heads()), heads(), heads()
    y = layers.Permute((2, 1, 3))(layers.Attention()([query, value, key]))
    return layers.Dense(channels, kernel_regularizer=blocks.penalty)(layers.Reshape((patches, channels))(y))


VIT = Network(
    _build,
    "Dosovitskiy et al., 2021 (arXiv:2010.11929)",
    default_width=0.5,
    any_size=False,
    default_size=size_for_attention,
)
