"""Keep the first layers of a pretrained network as they are."""

from __future__ import annotations

import tf_keras

_KERNELS = (tf_keras.layers.Conv2D, tf_keras.layers.DepthwiseConv2D, tf_keras.layers.SeparableConv2D)


def freeze_first(model: tf_keras.Model, fraction: float) -> int:
    """Freeze the first layers, before `model` is compiled: training neither changes them nor computes their gradients.

    The first layers of networks see edges and textures, which photos of all kinds have in common (Yosinski et al.,
    2014, arXiv:1411.1792), and take most of the time, since their images are the largest. Batch normalization among
    them uses the statistics that it came with.

    Args:
        model: whose layers lie in the order of computation; changed in place.
        fraction: of the convolutions, from 0 to below 1; what lies between two frozen ones is frozen with them, and
            what follows the last one, up to the next convolution, such as its batch normalization.

    Returns:
        number of the convolutions that were frozen.
    """
    convolutions = sum(isinstance(layer, _KERNELS) and layer.trainable for layer in model.layers)
    frozen, met = int(fraction * convolutions), 0
    if not frozen:
        return 0
    for layer in model.layers:
        met += isinstance(layer, _KERNELS) and layer.trainable
        if met > frozen:
            break
        layer.trainable = False
    return frozen
