"""Counts multiply-accumulates and parameters of a graph."""

from __future__ import annotations

import math

from edgeclf.artifact.tflite import OperatorInfo, TensorInfo, TfliteModel

_WITH_BIAS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "CONV_3D")
_WEIGHT_TYPES = ("float32", "float16", "int8", "uint8", "int16", "int4")
_SHAPE_INPUTS = ("PAD", "PADV2", "MIRROR_PAD", "QUANTIZE")


def count_macs(model: TfliteModel) -> int:
    """Count the multiply-accumulates of one inference.

    Counted are the convolutions (2D, 3D, depthwise, transposed), the fully connected and the batched matrix products;
    additions, activations and pooling are not.
    """
    return sum(operator_macs(model, operator) for operator in model.operators)


def operator_macs(model: TfliteModel, operator: OperatorInfo) -> int:
    """Count the multiply-accumulates of one operator."""
    if operator.name == "TRANSPOSE_CONV":  # inputs: output shape, weights [out, kh, kw, in], data [N, H, W, in]
        weights, data = _tensor(model, operator, 1), _tensor(model, operator, 2)
        if weights is None or data is None or len(weights.shape) != 4:
            return 0
        return data.elements * weights.shape[0] * weights.shape[1] * weights.shape[2]
    weights = _tensor(model, operator, 1)
    if weights is None or not operator.outputs or not weights.shape:
        return 0
    result = model.tensors[operator.outputs[0]].elements
    match operator.name, weights.shape:
        case "CONV_2D", (_, height, width, channels):
            return result * height * width * channels
        case "CONV_3D", (depth, height, width, channels, _):
            return result * depth * height * width * channels
        case "DEPTHWISE_CONV_2D", (_, height, width, _):
            return result * height * width
        case "FULLY_CONNECTED", (*_, inner):
            # with an open batch a dense layer on maps states one row; a RESHAPE back to maps states them all
            return max(result, model.reshaped.get(operator.outputs[0], 0)) * int(inner)
        case "BATCH_MATMUL", _:
            left = _tensor(model, operator, 0)
            return result * left.shape[-1] if left is not None and left.shape else 0
    return 0


def count_parameters(model: TfliteModel) -> int:
    """Count the elements of constant weights and biases; batch norm is folded into them, so Keras may count more."""
    return sum(math.prod(tensor.shape) for tensor in parameter_tensors(model))


def parameter_tensors(model: TfliteModel) -> list[TensorInfo]:
    """Find the constants that were learned: weights and biases, not shapes, paddings or single numbers."""
    found: dict[int, TensorInfo] = {}
    for operator in model.operators:
        if operator.name in _SHAPE_INPUTS:
            continue
        for place, index in enumerate(operator.inputs):
            if index < 0:
                continue
            tensor = model.tensors[index]
            if tensor.data is None or tensor.elements < 2:
                continue
            bias = place == (3 if operator.name == "TRANSPOSE_CONV" else 2 if operator.name in _WITH_BIAS else -1)
            if bias or tensor.dtype in _WEIGHT_TYPES:
                found[index] = tensor
    return [found[index] for index in sorted(found)]


def _tensor(model: TfliteModel, operator: OperatorInfo, place: int) -> TensorInfo | None:
    if place >= len(operator.inputs) or operator.inputs[place] < 0:
        return None
    return model.tensors[operator.inputs[place]]
