"""Counts what layers multiply whose channels all stay, because no rule of `channel_rules` fits them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tf_keras

from edgeclf.graph.channels import Ids, Product

layers = tf_keras.layers
Shape = tuple[int, ...]
"""Of a tensor, without the batch."""


def count_products(
    layer: Any, inputs: Sequence[Ids], shapes: Sequence[Shape], result: Ids, result_shape: Shape
) -> list[Product]:
    """List the products of one call of a convolution that has no rule, or of attention; none of other layers.

    Args:
        layer: with `channels_last`.
        inputs: channels of each tensor that it takes.
        shapes: of these tensors.
        result: channels of what it makes.
        result_shape: of that tensor.
    """
    if getattr(layer, "data_format", None) == "channels_first" or None in result_shape:
        return []
    if any(None in shape for shape in shapes):
        return []
    if isinstance(layer, (layers.Conv2DTranspose, layers.Conv1DTranspose)):
        # each position of the input reaches one kernel's places
        places = math.prod(layer.kernel_size)
        positions, made = math.prod(result_shape[:-1]), math.prod(shapes[0][:-1])
        return [Product(layer.name, positions, made * places, places, inputs[0], result)]
    if isinstance(layer, (layers.Conv2D, layers.Conv1D)):
        positions, places = math.prod(result_shape[:-1]), math.prod(layer.kernel_size)
        taken = inputs[0][: len(inputs[0]) // layer.groups]
        return [Product(layer.name, positions, positions * places, places, taken, result)]
    if isinstance(layer, layers.Attention):
        # of queries and keys, and of scores and values; without weights
        query, value = shapes[0], shapes[1]
        pairs = math.prod(query[:-1]) * value[-2]
        scores = Product(layer.name, pairs, pairs, 0, inputs[0], result[:1])
        return [scores, Product(layer.name, math.prod(query[:-1]), pairs, 0, inputs[1][:1], result)]
    return []
