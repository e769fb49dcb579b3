"""Builds the tf-keras layers of TFLite operators, one function a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras

from edgeclf.artifact.tflite import OperatorInfo
from edgeclf.keras_files.tflite_options import Options
from edgeclf.keras_files.tflite_tensors import KerasGraph, Weights

layers = tf_keras.layers

EPSILON = 1e-3
"""Of the batch normalization that is put behind each convolution."""


def _padding(graph: KerasGraph, operator: OperatorInfo, options: Options) -> str:
    if options["padding"] not in (0, 1):
        raise graph.refuse(operator.name, f"expected the padding 0 (same) or 1 (valid), got {options['padding']}")
    return "valid" if options["padding"] else "same"


def _whole(options: Options, name: str) -> tuple[int, int]:
    """Return an option that height and width have each."""
    return int(options[f"{name}_h"]), int(options[f"{name}_w"])


def _kernel(graph: KerasGraph, operator: OperatorInfo, x: Any) -> npt.NDArray[Any]:
    """Return the kernel of a convolution.

    Raises:
        ModelError: it is none of four dimensions, or its input is none.
    """
    kernel = graph.constant(operator, 1)
    if kernel.ndim != 4 or x.shape.rank != 4:
        raise graph.refuse(
            operator.name, f"expected an image and a kernel of 4 dimensions, got {x.shape.rank} and {kernel.ndim}"
        )
    return kernel


def _normalized(graph: KerasGraph, x: Any, bias: Weights) -> Any:
    """Put a batch normalization behind a convolution that does nothing but add its bias."""
    one, zero = np.ones_like(bias), np.zeros_like(bias)
    weights = [one, bias, zero, one - np.float32(EPSILON)]
    return graph.add(layers.BatchNormalization, weights, epsilon=EPSILON, momentum=0.9)(x)


def _convolution(graph: KerasGraph, operator: OperatorInfo, options: Options) -> Any:
    x = graph.tensor(operator)
    kernel = _kernel(graph, operator, x)
    filters, height, width, channels = kernel.shape
    if channels != x.shape[-1]:
        raise graph.refuse(operator.name, "it is a grouped convolution")
    bias = graph.bias(operator, filters)
    weights = kernel.transpose(1, 2, 3, 0)
    if (height, width) == (1, 1) and tuple(x.shape[1:3]) == (1, 1) and operator.outputs[0] == graph.scores:
        dense = graph.add(layers.Dense, [weights[0, 0], bias], units=filters)
        return dense(graph.add(layers.Flatten)(x))
    made = graph.add(
        layers.Conv2D,
        [weights],
        filters=filters,
        kernel_size=(height, width),
        strides=_whole(options, "stride"),
        dilation_rate=_whole(options, "dilation"),
        padding=_padding(graph, operator, options),
        use_bias=False,
    )
    return _normalized(graph, made(x), bias)


def _depthwise(graph: KerasGraph, operator: OperatorInfo, options: Options) -> Any:
    x = graph.tensor(operator)
    kernel = _kernel(graph, operator, x)
    one, height, width, outputs = kernel.shape
    channels, strides = x.shape[-1], _whole(options, "stride")
    if one != 1 or not channels or not outputs or outputs % channels or strides[0] != strides[1]:
        raise graph.refuse(
            operator.name,
            f"expected a kernel [1, height, width, a multiple of {channels} channels] and equal strides, "
            f"got {list(kernel.shape)} and {list(strides)}",
        )
    made = graph.add(
        layers.DepthwiseConv2D,
        [kernel.reshape(height, width, channels, outputs // channels)],
        kernel_size=(height, width),
        strides=strides,
        dilation_rate=_whole(options, "dilation"),
        depth_multiplier=outputs // channels,
        padding=_padding(graph, operator, options),
        use_bias=False,
    )
    return _normalized(graph, made(x), graph.bias(operator, outputs))


def _fully_connected(graph: KerasGraph, operator: OperatorInfo, options: Options) -> Any:
    x, kernel = graph.tensor(operator), graph.constant(operator, 1)
    if options["weights_format"] != 0 or kernel.ndim != 2:
        raise graph.refuse(operator.name, "its weights are shuffled")
    if x.shape.rank != 2 and not options["keep_num_dims"]:
        x = graph.add(layers.Flatten)(x)
    if x.shape[-1] != kernel.shape[1]:
        raise graph.refuse(operator.name, f"its weights take {kernel.shape[1]} values, got {x.shape[-1]}")
    weights = [np.ascontiguousarray(kernel.T), graph.bias(operator, len(kernel))]
    return graph.add(layers.Dense, weights, units=len(kernel))(x)


def _pool(kind: type) -> Build:
    def build(graph: KerasGraph, operator: OperatorInfo, options: Options) -> Any:
        return graph.add(
            kind,
            pool_size=_whole(options, "filter"),
            strides=_whole(options, "stride"),
            padding=_padding(graph, operator, options),
        )(graph.tensor(operator))

    return build


def _mean(graph: KerasGraph, operator: OperatorInfo, options: Options) -> Any:
    x, axes = graph.tensor(operator), graph.constant(operator, 1).reshape(-1)
    if x.shape.rank != 4 or axes.dtype.kind != "i" or sorted(axes % 4) != [1, 2]:
        raise graph.refuse(operator.name, "expected the mean of an image over the axes 1 and 2")
    return graph.add(layers.GlobalAveragePooling2D, keepdims=bool(options["keep_dims"]))(x)


def _elementwise(merge: type, by_constant: Callable[[Weights], dict[str, Any]]) -> Build:
    def build(graph: KerasGraph, operator: OperatorInfo, options: Options) -> Any:
        if len(operator.inputs) != 2:
            raise graph.refuse(operator.name, f"expected 2 inputs, got {len(operator.inputs)}")
        both: list[Any] = [graph.computed.get(index) for index in operator.inputs]
        if all(tensor is not None for tensor in both):
            return graph.add(merge)(both)
        number = 0 if both[0] is None else 1
        values = graph.constant(operator, number).astype(np.float32)
        along_channels = values.shape[-1:] == (values.size,) == tuple(both[1 - number].shape[-1:])
        if values.size != 1 and not along_channels:
            raise graph.refuse(operator.name, f"with a constant of shape {list(values.shape)}")
        settings = by_constant(values.reshape(-1))
        return graph.add(layers.Rescaling, **settings)(both[1 - number])

    return build


def _subtraction(graph: KerasGraph, operator: OperatorInfo, options: Options) -> Any:
    negative = len(operator.inputs) == 2 and graph.computed.get(operator.inputs[0]) is None
    sign = -1.0 if negative else 1.0
    build = _elementwise(layers.Subtract, lambda values: {"scale": sign, "offset": _listed(np.float32(-sign) * values)})
    return build(graph, operator, options)


def _division(graph: KerasGraph, operator: OperatorInfo, options: Options) -> Any:
    if graph.computed.get(operator.inputs[0]) is None or graph.computed.get(operator.inputs[-1]) is not None:
        raise graph.refuse(operator.name, "expected a tensor divided by a constant")
    if not graph.constant(operator, 1).all():
        raise graph.refuse(operator.name, "it divides by zero")
    build = _elementwise(layers.Multiply, lambda values: {"scale": _listed(np.float32(1) / values)})
    return build(graph, operator, options)


def _listed(values: Weights) -> float | list[float]:
    return float(values[0]) if values.size == 1 else [float(value) for value in values]


def _concatenation(graph: KerasGraph, operator: OperatorInfo, options: Options) -> Any:
    tensors = [graph.tensor(operator, number) for number in range(len(operator.inputs))]
    axis, rank = int(options["axis"]), tensors[0].shape.rank if tensors else 0
    if not -rank < axis < rank or axis == 0:
        raise graph.refuse(operator.name, f"expected an axis of its {rank} behind the first, got {axis}")
    return graph.add(layers.Concatenate, axis=axis)(tensors)


def _pad(graph: KerasGraph, operator: OperatorInfo, options: Options) -> Any:
    sides = graph.constant(operator, 1)
    if sides.shape != (4, 2) or sides.dtype.kind != "i" or sides[0].any() or sides[3].any() or (sides < 0).any():
        raise graph.refuse(operator.name, "expected a padding of height and width")
    sides = sides.tolist()
    return graph.add(layers.ZeroPadding2D, padding=(tuple(sides[1]), tuple(sides[2])))(graph.tensor(operator))


def _reshape(graph: KerasGraph, operator: OperatorInfo, options: Options) -> Any:
    x, target = graph.tensor(operator), graph.tensors[operator.outputs[0]].shape
    if len(target) < 2 or target[0] != 1:
        raise graph.refuse(operator.name, f"expected the shape of one image, got {list(target)}")
    if len(target) == 2:
        return graph.add(layers.Flatten)(x)
    return graph.add(layers.Reshape, target_shape=target[1:])(x)


def _softmax(graph: KerasGraph, operator: OperatorInfo, options: Options) -> Any:
    if options["beta"] != 1.0:
        raise graph.refuse(operator.name, f"expected beta 1, got {options['beta']}")
    return graph.add(layers.Softmax)(graph.tensor(operator))


def _identity(graph: KerasGraph, operator: OperatorInfo, options: Options) -> Any:
    return graph.tensor(operator)


def _activation(graph: KerasGraph, operator: OperatorInfo, options: Options) -> Any:
    return activate(graph, operator.name, graph.tensor(operator))


def activate(graph: KerasGraph, name: str, x: Any) -> Any:
    """Put the layers of an activation function, by its operator's name, behind a tensor."""
    if name == "RELU":
        return graph.add(layers.ReLU)(x)
    if name == "RELU6":
        return graph.add(layers.ReLU, max_value=6.0)(x)
    if name == "HARD_SWISH":  # x * relu6(x + 3) / 6 (Howard et al., 2019, arXiv:1905.02244)
        gate = graph.add(layers.ReLU, max_value=6.0)(graph.add(layers.Rescaling, scale=1.0, offset=3.0)(x))
        return graph.add(layers.Multiply)([x, graph.add(layers.Rescaling, scale=1 / 6)(gate)])
    return graph.add(layers.Activation, activation={"TANH": "tanh", "LOGISTIC": "sigmoid"}[name])(x)


Build = Callable[[KerasGraph, OperatorInfo, Options], Any]
OPERATORS: Mapping[str, Build] = MappingProxyType(
    {
        "ADD": _elementwise(layers.Add, lambda values: {"scale": 1.0, "offset": _listed(values)}),
        "AVERAGE_POOL_2D": _pool(layers.AveragePooling2D),
        "CAST": _identity,
        "CONCATENATION": _concatenation,
        "CONV_2D": _convolution,
        "DEPTHWISE_CONV_2D": _depthwise,
        "DEQUANTIZE": _identity,
        "DIV": _division,
        "FULLY_CONNECTED": _fully_connected,
        "HARD_SWISH": _activation,
        "LOGISTIC": _activation,
        "MAX_POOL_2D": _pool(layers.MaxPooling2D),
        "MEAN": _mean,
        "MUL": _elementwise(layers.Multiply, lambda values: {"scale": _listed(values)}),
        "PAD": _pad,
        "QUANTIZE": _identity,
        "RELU": _activation,
        "RELU6": _activation,
        "RESHAPE": _reshape,
        "SOFTMAX": _softmax,
        "SQUEEZE": _reshape,
        "SUB": _subtraction,
        "TANH": _activation,
    }
)
"""Operators that can be read, by name, and the functions that build their layers."""
