"""Finds activations, float operators and weights in the graph of a TFLite file."""

from __future__ import annotations

import numpy as np

from edgeclf.artifact.tflite import OperatorInfo, TensorInfo, TfliteModel
from edgeclf.artifact.tflite_editor import WEIGHTED

_EDGES = ("QUANTIZE", "DEQUANTIZE", "CAST")
_FLOATS = ("float32", "float16")


def activations(model: TfliteModel) -> list[TensorInfo]:
    """List what is computed or comes in: the float tensors that need a range."""
    named = {index for op in model.operators for index in (*op.inputs, *op.outputs) if index >= 0}
    return [t for t in model.tensors if t.index in named and t.data is None and t.dtype == "float32"]


def float_operators(model: TfliteModel) -> tuple[str, ...]:
    """List operators inside the graph that compute in float, or that convert back and forth there.

    The conversion right behind the input and the one in front of the output do not count.
    """
    found = []
    for op in model.operators:
        touched = [model.tensors[i] for i in (*op.inputs, *op.outputs) if i >= 0]
        edge = set(op.inputs) & set(model.input_indices) or set(op.outputs) & set(model.output_indices)
        if op.name in _EDGES and edge:
            continue
        if any(t.dtype in _FLOATS for t in touched):
            found.append(op.name)
    return tuple(found)


def weighted_operators(model: TfliteModel) -> list[OperatorInfo]:
    """List convolutions and dense layers with constant weights and an unshared bias, in the order of computation."""
    biases = [op.inputs[2] for op in model.operators if op.name in WEIGHTED and len(op.inputs) > 2]
    places: dict[int, int] = {}
    for index in set(biases):
        if index >= 0 and model.tensors[index].data is not None:
            place = _address(model.tensors[index])
            places[place] = places.get(place, 0) + 1
    kept = []
    for op in model.operators:
        if op.name not in WEIGHTED or len(op.inputs) < 3 or op.inputs[2] < 0 or biases.count(op.inputs[2]) > 1:
            continue
        weight, bias = model.tensors[op.inputs[1]], model.tensors[op.inputs[2]]
        if weight.data is not None and bias.data is not None and places[_address(bias)] == 1:
            kept.append(op)
    return kept


def is_grouped(model: TfliteModel, op: OperatorInfo) -> bool:
    """Return whether an operator is a convolution whose filters see a part of the input's channels each."""
    return op.name == "CONV_2D" and model.tensors[op.inputs[1]].shape[-1] != model.tensors[op.inputs[0]].shape[-1]


def _address(tensor: TensorInfo) -> int:
    """Return where a constant lies in memory; tensors may share a buffer."""
    assert tensor.data is not None
    return int(np.frombuffer(tensor.data, np.uint8).ctypes.data)
