"""Finds activations, float operators and weights in the graph of a TFLite file."""

from __future__ import annotations

from collections import Counter

from edgeclf.artifact.operators import WEIGHTED
from edgeclf.artifact.tflite import OperatorInfo, TensorInfo, TfliteModel

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


def computed_tensors(model: TfliteModel) -> frozenset[int]:
    """Return the numbers of the tensors that depend on the input; others are computed from constants alone."""
    found = set(model.input_indices)
    for op in model.operators:
        if found.intersection(op.inputs):
            found.update(op.outputs)
    return frozenset(found)


def weighted_operators(model: TfliteModel) -> list[OperatorInfo]:
    """List convolutions and dense layers with constant weights that no other operator reads, in the order of
    computation; some have no bias, or one of zeros that they share. What they take depends on the input."""
    readers, computed = _count_readers(model), computed_tensors(model)
    return [
        op
        for op in model.operators
        if op.name in WEIGHTED
        and op.inputs[0] in computed
        and model.tensors[op.inputs[1]].data is not None
        and readers[op.inputs[1]] == 1
    ]


def corrected_operators(model: TfliteModel) -> list[OperatorInfo]:
    """List those of `weighted_operators` that have a constant bias which no other operator reads."""
    readers = _count_readers(model)
    biased = [op for op in weighted_operators(model) if len(op.inputs) > 2 and op.inputs[2] >= 0]
    return [op for op in biased if model.tensors[op.inputs[2]].data is not None and readers[op.inputs[2]] == 1]


def is_grouped(model: TfliteModel, op: OperatorInfo) -> bool:
    """Return whether an operator is a convolution whose filters see a part of the input's channels each."""
    return op.name == "CONV_2D" and model.tensors[op.inputs[1]].shape[-1] != model.tensors[op.inputs[0]].shape[-1]


def _count_readers(model: TfliteModel) -> Counter[int]:
    """Count how often each tensor is an input of an operator."""
    return Counter(index for op in model.operators for index in op.inputs)
