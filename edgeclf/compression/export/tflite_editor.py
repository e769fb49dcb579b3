"""Reads and changes numbers inside a TFLite file that the converter just made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgeclf.artifact.tflite import OperatorInfo, TensorInfo, TfliteModel, parse

_EDGES = ("QUANTIZE", "DEQUANTIZE", "CAST")
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_FLOATS = ("float32", "float16")


def with_ranges(flat: bytes, ranges: Mapping[int, tuple[float, float]]) -> bytes:
    """The same graph with the smallest and largest value of each activation noted, as the quantizer reads them.

    Args:
        flat: a float graph.
        ranges: by tensor number.
    """
    model = schema.ModelT.InitFromPackedBuf(flat, 0)
    for index, (low, high) in ranges.items():
        noted = schema.QuantizationParametersT()
        noted.min, noted.max = [low], [high]
        model.subgraphs[0].tensors[index].quantization = noted
    return _packed(model, len(flat))


def activations(model: TfliteModel) -> list[TensorInfo]:
    """What is computed or comes in: the float tensors that need a range."""
    named = {index for op in model.operators for index in (*op.inputs, *op.outputs) if index >= 0}
    return [t for t in model.tensors if t.index in named and t.data is None and t.dtype == "float32"]


def float_operators(model: TfliteModel) -> tuple[str, ...]:
    """Operators inside the graph that compute in float, or that convert back and forth there.

    The conversion right behind the input and the one in front of the output do not count.
    """
    found = []
    for op in model.operators:
        touched = [model.tensors[i] for i in (*op.inputs, *op.outputs) if i >= 0]
        edge = set(op.inputs) & set(model.input_indices) or set(op.outputs) & set(model.output_indices)
        if op.name in _EDGES and edge:
            continue
        if op.name in ("QUANTIZE", "DEQUANTIZE") or any(t.dtype in _FLOATS for t in touched):
            found.append(op.name)
    return tuple(found)


def rescaled_input(flat: bytes, factor: float) -> bytes | None:
    """The same integer graph, its float input `factor` times as large.

    The factor moves from the input's scale into the weights' scales, which the integers never see: nothing is rounded.

    Returns:
        None where something other than a convolution or a dense layer reads the input.
    """
    model = parse(flat)
    (entry,) = model.input_indices
    inner = entry
    readers = model.consumers(entry)
    if len(readers) == 1 and readers[0].name == "QUANTIZE":
        inner = readers[0].outputs[0]
        readers = model.consumers(inner)
    if not readers or any(op.name not in WEIGHTED or op.inputs[0] != inner for op in readers):
        return None
    content = schema.ModelT.InitFromPackedBuf(flat, 0)
    tensors = content.subgraphs[0].tensors
    changes = {inner: factor} | {op.inputs[1]: 1 / factor for op in readers}
    if model.tensors[entry].scale:
        changes[entry] = factor
    for index, by in changes.items():
        scales = np.asarray(tensors[index].quantization.scale, np.float64)
        tensors[index].quantization.scale = (scales * by).astype(np.float32)
    return _packed(content, len(flat))


def without_scaling(flat: bytes) -> tuple[bytes, float]:
    """A float graph without the multiplication of its input by one positive number, and that number.

    Networks that other frameworks exported carry their scaling as an operator; in an integer graph it is the input's
    quantization.
    """
    model = parse(flat)
    (entry,) = model.input_indices
    readers = model.consumers(entry)
    if len(readers) != 1 or readers[0].name != "MUL":
        return flat, 1.0
    (other,) = [i for i in readers[0].inputs if i != entry] or [entry]
    number = model.tensors[other].values()
    if number is None or number.size != 1 or number.dtype != np.float32 or number.item() <= 0:
        return flat, 1.0
    result = readers[0].outputs[0]
    content = schema.ModelT.InitFromPackedBuf(flat, 0)
    graph = content.subgraphs[0]
    graph.operators = [op for op in graph.operators if result not in op.outputs]
    graph.inputs = [result]
    for signature in content.signatureDefs or []:
        for named in signature.inputs or []:
            named.tensorIndex = result if named.tensorIndex == entry else named.tensorIndex
    return _packed(content, len(flat)), float(number.item())


def with_short_names(flat: bytes) -> bytes:
    """The same graph; of the names of all operators fused into one, its tensor keeps the first."""
    content = schema.ModelT.InitFromPackedBuf(flat, 0)
    taken: set[bytes] = set()
    for tensor in content.subgraphs[0].tensors:
        name = (tensor.name or b"").split(b";")[0]
        while name in taken:
            name += b"_"
        taken.add(name)
        tensor.name = name
    return _packed(content, len(flat))


def _packed(content: Any, size: int) -> bytes:
    builder = flatbuffers.Builder(size + 65536)
    builder.Finish(content.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def with_biases(flat: bytes, biases: Mapping[int, np.ndarray]) -> bytes:
    """The same file with other int32 biases, by tensor number; written in place."""
    content = bytearray(flat)
    model = parse(content)  # type: ignore[arg-type]
    for index, values in biases.items():
        stored = model.tensors[index].data
        assert stored is not None
        np.frombuffer(stored, "<i4")[:] = values
    return bytes(content)


def weighted_operators(model: TfliteModel) -> list[OperatorInfo]:
    """Convolutions and dense layers with constant weights and an unshared bias, in the order of computation."""
    biases = [op.inputs[2] for op in model.operators if op.name in WEIGHTED and len(op.inputs) > 2]
    places: dict[Any, int] = {}
    for index in set(biases):
        if index >= 0 and model.tensors[index].data is not None:
            place = np.frombuffer(model.tensors[index].data, np.uint8).ctypes.data
            places[place] = places.get(place, 0) + 1
    kept = []
    for op in model.operators:
        if op.name not in WEIGHTED or len(op.inputs) < 3 or op.inputs[2] < 0 or biases.count(op.inputs[2]) > 1:
            continue
        weight, bias = model.tensors[op.inputs[1]], model.tensors[op.inputs[2]]
        if weight.data is None or bias.data is None:
            continue
        if places[np.frombuffer(bias.data, np.uint8).ctypes.data] == 1:
            kept.append(op)
    return kept
