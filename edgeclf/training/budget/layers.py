"""Counts networks that are described by Keras layers: by their builder, which is run on shapes, or by a configuration.

No layer is made and TensorFlow is not imported. A layer that is not in `LAYERS` is refused, so that nothing is counted
as free that is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from edgeclf.training.budget.cost import CostLedger, Shape, Traced, UncountableError

_FOLDED = ("linear", "relu", "relu6")
_SEPARATE = ("softmax", "sigmoid", "hard_sigmoid", "hard_swish", "swish", "silu", "gelu", "tanh", "elu", "leaky_relu")


def _pair(value: Any) -> Shape:
    return (int(value), int(value)) if isinstance(value, (int, float)) else (int(value[0]), int(value[1]))


def _activated(ledger: CostLedger, x: Traced, activation: object) -> Traced:
    if activation is None or activation == "linear":
        return x
    if not isinstance(activation, str) or activation not in (*_FOLDED, *_SEPARATE):
        raise UncountableError(f"the activation {activation!r}")
    x = ledger.activate(x, activation in _FOLDED)
    # x * sigmoid(x), unless the operator HARD_SWISH computes it at once
    return ledger.add([x, x], x.sizes) if activation in ("swish", "silu") else x


def _convolution(
    ledger: CostLedger,
    x: Traced,
    filters: int,
    kernel_size: Any,
    strides: Any = 1,
    padding: str = "valid",
    activation: object = None,
    groups: int = 1,
    **_: object,
) -> Traced:
    made = ledger.convolution(x, int(filters), _pair(kernel_size), _pair(strides), padding, groups)
    return _activated(ledger, made, activation)


def _depthwise(
    ledger: CostLedger,
    x: Traced,
    kernel_size: Any,
    strides: Any = 1,
    padding: str = "valid",
    depth_multiplier: int = 1,
    activation: object = None,
    **_: object,
) -> Traced:
    made = ledger.depthwise(x, depth_multiplier, _pair(kernel_size), _pair(strides), padding)
    return _activated(ledger, made, activation)


def _separable(
    ledger: CostLedger,
    x: Traced,
    filters: int,
    kernel_size: Any,
    strides: Any = 1,
    padding: str = "valid",
    depth_multiplier: int = 1,
    activation: object = None,
    **_: object,
) -> Traced:
    made = _depthwise(ledger, x, kernel_size, strides, padding, depth_multiplier)
    return _convolution(ledger, made, filters, 1, activation=activation)


def _dense(ledger: CostLedger, x: Traced, units: int, activation: object = None, **_: object) -> Traced:
    return _activated(ledger, ledger.dense(x, int(units)), activation)


def _pooling(
    ledger: CostLedger, x: Traced, pool_size: Any = 2, strides: Any = None, padding: str = "valid", **_: object
) -> Traced:
    return ledger.pool(x, _pair(pool_size), _pair(pool_size if strides is None else strides), padding)


def _global(ledger: CostLedger, x: Traced, keepdims: bool = False, **_: object) -> Traced:
    return ledger.add([x], (1, 1, x.channels) if keepdims else (x.channels,))


def _padding(ledger: CostLedger, x: Traced, padding: Any = 1, **_: object) -> Traced:
    if x.rank != 3:
        raise UncountableError(f"a padding of the shape {list(x.sizes)}")
    sides = [padding, padding] if isinstance(padding, int) else list(padding)
    top, left = (2 * side if isinstance(side, int) else int(sum(side)) for side in sides)
    return ledger.add([x], (x.sizes[0] + top, x.sizes[1] + left, x.channels))


def _flatten(ledger: CostLedger, x: Traced, **_: object) -> Traced:
    return ledger.add([x], (math.prod(x.sizes),))


def _reshape(ledger: CostLedger, x: Traced, target_shape: Sequence[int], **_: object) -> Traced:
    known = math.prod(size for size in target_shape if size > 0)
    shape = tuple(size if size > 0 else math.prod(x.sizes) // known for size in target_shape)
    if math.prod(shape) != math.prod(x.sizes):
        raise UncountableError(f"a reshape of {list(x.sizes)} to {list(target_shape)}")
    return ledger.add([x], shape)


def _merge(ledger: CostLedger, x: Sequence[Traced], **_: object) -> Traced:
    return ledger.add(x, max((one.sizes for one in x), key=math.prod))


def _concatenate(ledger: CostLedger, x: Sequence[Traced], axis: int = -1, **_: object) -> Traced:
    if axis not in (-1, x[0].rank) or len({one.sizes[:-1] for one in x}) > 1:
        raise UncountableError("a concatenation that is not along the channels")
    return ledger.add(x, (*x[0].sizes[:-1], sum(one.channels for one in x)))


def _relu(ledger: CostLedger, x: Traced, max_value: float | None = None, **options: Any) -> Traced:
    plain = not (options.get("negative_slope") or options.get("threshold"))
    return ledger.activate(x, folds=plain and max_value in (None, 6))


def _activation(ledger: CostLedger, x: Traced, activation: object, **_: object) -> Traced:
    return _activated(ledger, x, activation)


def _normalization(ledger: CostLedger, x: Traced, **_: object) -> Traced:
    return ledger.normalize(x)


def _softmax(ledger: CostLedger, x: Traced, **_: object) -> Traced:
    return ledger.activate(x, folds=False)


def _layer_normalization(ledger: CostLedger, x: Traced, **_: object) -> Traced:
    return ledger.add([x], x.sizes, weights=2 * x.channels)


def _permute(ledger: CostLedger, x: Traced, dims: Sequence[int], **_: object) -> Traced:
    if sorted(dims) != list(range(1, x.rank + 1)):
        raise UncountableError(f"a permutation of {x.rank} axes by {list(dims)}")
    return ledger.add([x], tuple(x.sizes[axis - 1] for axis in dims))


def _attention(ledger: CostLedger, x: Sequence[Traced], **_: object) -> Traced:
    query, value, *_rest = x
    if query.rank < 2 or query.sizes[:-2] != value.sizes[:-2]:
        raise UncountableError("an attention between these shapes")
    scores = (*query.sizes[:-1], value.sizes[-2])
    macs = math.prod(scores) * query.channels
    weighted = ledger.add([query, value], scores, macs=macs)
    made = (*query.sizes[:-1], value.channels)
    return ledger.add([ledger.add([weighted], scores), value], made, macs=math.prod(scores) * value.channels)


def _same(ledger: CostLedger, x: Traced, *_: object, **__: object) -> Traced:
    return x


Counter = Callable[..., Traced]
LAYERS: Mapping[str, tuple[Counter, tuple[str, ...]]] = MappingProxyType(
    {
        "Conv2D": (_convolution, ("filters", "kernel_size", "strides", "padding")),
        "DepthwiseConv2D": (_depthwise, ("kernel_size", "strides", "padding")),
        "SeparableConv2D": (_separable, ("filters", "kernel_size", "strides", "padding")),
        "Dense": (_dense, ("units", "activation")),
        "MaxPooling2D": (_pooling, ("pool_size", "strides", "padding")),
        "AveragePooling2D": (_pooling, ("pool_size", "strides", "padding")),
        "GlobalAveragePooling2D": (_global, ()),
        "GlobalMaxPooling2D": (_global, ()),
        "ZeroPadding2D": (_padding, ("padding",)),
        "Flatten": (_flatten, ()),
        "Reshape": (_reshape, ("target_shape",)),
        "Add": (_merge, ()),
        "Multiply": (_merge, ()),
        "Concatenate": (_concatenate, ("axis",)),
        "ReLU": (_relu, ("max_value", "negative_slope", "threshold")),
        "Activation": (_activation, ("activation",)),
        "Softmax": (_softmax, ()),
        "BatchNormalization": (_normalization, ()),
        "LayerNormalization": (_layer_normalization, ()),
        "Permute": (_permute, ("dims",)),
        "Attention": (_attention, ()),
        "GlobalAveragePooling1D": (_global, ()),
        "Rescaling": (_same, ("scale", "offset")),
        "Normalization": (_same, ()),
        "Dropout": (_same, ("rate",)),
        "SpatialDropout2D": (_same, ("rate",)),
        "GaussianNoise": (_same, ("stddev",)),
        "ActivityRegularization": (_same, ()),
    }
)
"""Layers that can be counted: how, and the arguments that may be given by position."""


def count_layer(ledger: CostLedger, kind: str, x: Traced | Sequence[Traced], options: Mapping[str, Any]) -> Traced:
    """Add a Keras layer.

    Args:
        ledger: to add to.
        kind: name of its class.
        x: its inputs.
        options: its arguments, by the names that Keras has for them; those that cost nothing are not looked at.

    Raises:
        UncountableError: it is not known here, or is used in a way that is not.
    """
    if kind not in LAYERS:
        raise UncountableError(f"the layer {kind}")
    if options.get("data_format") not in (None, "channels_last"):
        raise UncountableError(f"the layer {kind} with {options['data_format']}")
    if _pair(options.get("dilation_rate", 1)) != (1, 1):
        raise UncountableError(f"the layer {kind}, dilated")
    counter, _ = LAYERS[kind]
    several = counter in (_merge, _concatenate, _attention)
    if several is isinstance(x, Traced):
        raise UncountableError(f"the layer {kind} with {'one input' if several else 'several inputs'}")
    return counter(ledger, x, **options)


class CountingLayers:
    """Stands for `tf_keras.layers` while the builder of a network is run on shapes.

    Args:
        ledger: to add to.
    """

    def __init__(self, ledger: CostLedger) -> None:
        self._ledger = ledger

    def __getattr__(self, kind: str) -> Callable[..., Callable[..., Traced]]:
        if kind not in LAYERS:
            raise UncountableError(f"the layer {kind}")
        positional = LAYERS[kind][1]

        def make(*given: Any, **options: Any) -> Callable[..., Traced]:
            if len(given) > len(positional):
                raise UncountableError(f"the layer {kind} with {len(given)} arguments by position")
            named = {**dict(zip(positional, given, strict=False)), **options}
            return lambda x, **_: count_layer(self._ledger, kind, x, named)

        return make
