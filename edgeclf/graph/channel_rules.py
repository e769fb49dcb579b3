"""How each kind of layer passes channels on: a list of what is allowed, one rule a kind.

The channels of a tensor stand on its last axis. A layer that is not listed, or is used in a way that its rule does not
know, keeps the channels that it touches from being removed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import tf_keras

from edgeclf.graph.batch_norm import normalized_axes
from edgeclf.graph.channels import Ids, Role

layers = tf_keras.layers
APART = frozenset(
    (
        *("linear", "relu", "relu6", "sigmoid", "hard_sigmoid", "hard_swish", "swish", "silu", "gelu", "tanh", "elu"),
        *("selu", "softplus", "softsign", "exponential", "leaky_relu", "mish"),
    )
)
"""Activation functions that treat all channels alike, each apart from the others; softmax does not."""


class Trace(Protocol):
    """What a rule reports to, for one call of a layer."""

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Of the call, without the batch."""
        ...

    def make(self, count: int) -> Ids:
        """Return the new channels that the layer makes; the same ones in each of its calls."""
        ...

    def cut(self, weight: int, axis: int, role: Role, channels: Ids) -> None:
        """Note that an axis of a weight tensor has these channels."""
        ...

    def set(self, key: str, channels: Ids) -> None:
        """Note that a number in the layer's configuration is the count of these channels."""
        ...

    def multiply(self, positions: int, places: int, takes: Ids, makes: Ids) -> None:
        """Note multiply-accumulates: positions in the output, each with so many places of a kernel."""
        ...

    def join(self, first: Ids, second: Ids) -> None:
        """Note that channels can only go together, place by place."""
        ...

    def fix(self, channels: Ids, reason: str) -> None:
        """Note that channels must stay."""
        ...


class UnknownUseError(Exception):
    """A layer is used in a way that its rule does not know; the text says how."""


Rule = Callable[[Trace, Any, Sequence[Ids]], Ids]
"""From the channels of the inputs of a call to those of its output; raises `UnknownUseError`."""
_NONE = np.empty(0, np.int64)


def _require_last(layer: Any) -> None:
    if getattr(layer, "data_format", None) not in (None, "channels_last"):
        raise UnknownUseError("its channels come first")


def _end(trace: Trace, layer: Any, made: Ids) -> Ids:
    """Fix the channels made where the activation inside the layer mixes them."""
    activation = getattr(layer, "activation", None)
    name = "linear" if activation is None else str(getattr(activation, "__name__", type(activation).__name__))
    if name not in APART:
        trace.fix(made, f"its activation {name} mixes channels")
    return made


def _convolution(trace: Trace, layer: Any, inputs: Sequence[Ids]) -> Ids:
    _require_last(layer)
    (x,) = inputs
    if layer.groups != 1:
        raise UnknownUseError("it is grouped")
    made = trace.make(layer.filters)
    trace.cut(0, 2, "takes", x)
    trace.cut(0, 3, "makes", made)
    if layer.use_bias:
        trace.cut(1, 0, "makes", made)
    trace.set("filters", made)
    trace.multiply(math.prod(trace.output_shape[:-1]), math.prod(layer.kernel_size), x, made)
    return _end(trace, layer, made)


def _depthwise(trace: Trace, layer: Any, inputs: Sequence[Ids]) -> Ids:
    _require_last(layer)
    (x,) = inputs
    made = np.repeat(x, layer.depth_multiplier)
    trace.cut(0, 2, "keeps", x)
    if layer.use_bias:
        trace.cut(1, 0, "keeps", made)
    trace.multiply(math.prod(trace.output_shape[:-1]), math.prod(layer.kernel_size), _NONE, made)
    return _end(trace, layer, made)


def _dense(trace: Trace, layer: Any, inputs: Sequence[Ids]) -> Ids:
    (x,) = inputs
    made = trace.make(layer.units)
    trace.cut(0, 0, "takes", x)
    trace.cut(0, 1, "makes", made)
    if layer.use_bias:
        trace.cut(1, 0, "makes", made)
    trace.set("units", made)
    trace.multiply(math.prod(trace.output_shape[:-1]), 1, x, made)
    return _end(trace, layer, made)


def _normalization(trace: Trace, layer: Any, inputs: Sequence[Ids]) -> Ids:
    (x,) = inputs
    if normalized_axes(layer, len(trace.output_shape) + 1) != [len(trace.output_shape)]:
        raise UnknownUseError("it normalizes another axis than that of the channels")
    for weight in range(len(layer.weights)):
        trace.cut(weight, 0, "keeps", x)
    return x


def _parametric(trace: Trace, layer: Any, inputs: Sequence[Ids]) -> Ids:
    (x,) = inputs
    shape = tuple(layer.alpha.shape)
    if shape[-1] == len(x):
        trace.cut(0, len(shape) - 1, "keeps", x)
    return x


def _rescaling(trace: Trace, layer: Any, inputs: Sequence[Ids]) -> Ids:
    if np.size(layer.scale) != 1 or np.size(layer.offset) != 1:
        raise UnknownUseError("it has a number for each channel")
    return inputs[0]


def _activation(trace: Trace, layer: Any, inputs: Sequence[Ids]) -> Ids:
    return _end(trace, layer, inputs[0])


def _pass(trace: Trace, layer: Any, inputs: Sequence[Ids]) -> Ids:
    _require_last(layer)
    return inputs[0]


def _dropout(trace: Trace, layer: Any, inputs: Sequence[Ids]) -> Ids:
    if layer.noise_shape is not None and layer.noise_shape[-1] not in (None, 1):
        raise UnknownUseError("its noise_shape fixes the number of channels")
    return inputs[0]


def _flatten(trace: Trace, layer: Any, inputs: Sequence[Ids]) -> Ids:
    _require_last(layer)
    return np.tile(inputs[0], trace.output_shape[-1] // len(inputs[0]))


def _reshape(trace: Trace, layer: Any, inputs: Sequence[Ids]) -> Ids:
    (x,) = inputs
    if trace.output_shape[-1] == len(x):
        made = x
    elif len(trace.output_shape) == 1 and trace.output_shape[-1] % len(x) == 0:
        made = np.tile(x, trace.output_shape[-1] // len(x))
    else:
        raise UnknownUseError("it spreads the channels over other axes")
    if layer.target_shape[-1] != -1:
        trace.set("target_shape", made)
    elif len(layer.target_shape) > 1:
        raise UnknownUseError("it leaves the number of channels open")
    return made


def _merge(trace: Trace, layer: Any, inputs: Sequence[Ids]) -> Ids:
    first, *others = inputs
    if any(len(other) != len(first) for other in others):
        raise UnknownUseError("its inputs have different numbers of channels")
    for other in others:
        trace.join(first, other)
    return first


def _concatenate(trace: Trace, layer: Any, inputs: Sequence[Ids]) -> Ids:
    if layer.axis not in (-1, len(trace.output_shape)):
        raise UnknownUseError("it joins another axis than that of the channels")
    return np.concatenate(inputs)


_PASSING = (
    *(layers.MaxPooling2D, layers.AveragePooling2D, layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D),
    *(layers.GlobalAveragePooling1D, layers.ZeroPadding2D, layers.Cropping2D, layers.UpSampling2D, layers.Resizing),
    *(layers.SpatialDropout2D, layers.GaussianNoise, layers.GaussianDropout),
    *(layers.ReLU, layers.LeakyReLU, layers.ELU, layers.ThresholdedReLU, layers.ActivityRegularization),
)
RULES: Mapping[type[Any], Rule] = MappingProxyType(
    {
        layers.Conv2D: _convolution,
        layers.DepthwiseConv2D: _depthwise,
        layers.Dense: _dense,
        layers.BatchNormalization: _normalization,
        layers.PReLU: _parametric,
        layers.Rescaling: _rescaling,
        layers.Activation: _activation,
        layers.Dropout: _dropout,
        layers.Flatten: _flatten,
        layers.Reshape: _reshape,
        layers.Concatenate: _concatenate,
        **dict.fromkeys(
            (layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum), _merge
        ),
        **dict.fromkeys(_PASSING, _pass),
    }
)
"""By class; a class derived from one of these is another kind."""
