"""Splits separable convolutions into the two convolutions that they are, which every step and tool knows."""

from __future__ import annotations

from typing import Any

import tf_keras

from edgeclf.graph.rewire import rewire

layers = tf_keras.layers
_SHARED = ("padding", "data_format", "strides", "dilation_rate")


def split_separable(model: Any) -> Any:
    """Return a copy with a depthwise and a pointwise convolution in the place of each separable one.

    The pointwise one keeps the name; the depthwise one gets `_depthwise` behind it.

    Args:
        model: flat functional network, with one input.

    Returns:
        `model` itself where it has none.
    """
    found = [layer for layer in model.layers if type(layer) is layers.SeparableConv2D]
    if not found:
        return model
    names = {layer.name for layer in model.layers}
    replaced, in_front = {}, {}
    for layer in found:
        name = f"{layer.name}_depthwise"
        while name in names:
            name += "_"
        names.add(name)
        depthwise, pointwise, *bias = layer.get_weights()
        in_front[layer.name] = (_depthwise(layer, name), [depthwise])
        replaced[layer.name] = (_pointwise(layer), [pointwise, *bias])
    return rewire(model, replaced=replaced, in_front=in_front)


def _depthwise(layer: Any, name: str) -> Any:
    return layers.DepthwiseConv2D(
        layer.kernel_size,
        depth_multiplier=layer.depth_multiplier,
        use_bias=False,
        depthwise_regularizer=layer.depthwise_regularizer,
        depthwise_constraint=layer.depthwise_constraint,
        trainable=layer.trainable,
        name=name,
        **{key: getattr(layer, key) for key in _SHARED},
    )


def _pointwise(layer: Any) -> Any:
    return layers.Conv2D(
        layer.filters,
        1,
        data_format=layer.data_format,
        activation=layer.activation,
        use_bias=layer.use_bias,
        kernel_regularizer=layer.pointwise_regularizer,
        bias_regularizer=layer.bias_regularizer,
        kernel_constraint=layer.pointwise_constraint,
        bias_constraint=layer.bias_constraint,
        activity_regularizer=layer.activity_regularizer,
        trainable=layer.trainable,
    )
