"""Stores 4-bit weights in eight bits in a copy of a file's bytes, with `struct` and NumPy alone.

The runtime's fast kernels take no convolutions with 4-bit weights. The integers are the same in eight bits, and so are
the scales: the file stays as small as it is, and its network computes like any in int8.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from edgeclf.artifact.flatbuffer_reader import Reader, Table
from edgeclf.artifact.operators import TENSOR_TYPES
from edgeclf.artifact.tflite import TfliteModel

READERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""Operators whose second input is weights, which their kernels take in eight bits as well."""
_SUBGRAPHS, _BUFFERS, _TENSORS = 2, 4, 0  # fields of the schema's Model and SubGraph tables
_TYPE, _BUFFER, _DATA = 1, 2, 0  # of its Tensor and Buffer tables
_INT8 = next(number for number, name in TENSOR_TYPES.items() if name == "int8")
_ALIGNMENT, _LENGTH = 16, 4
_LARGEST = 1 << 31  # bytes of a FlatBuffer


def find_int4_weights(graph: TfliteModel) -> tuple[int, ...]:
    """List the constants of int4 in a main graph that are read as weights alone, beside activations of int8."""
    readers: dict[int, list[bool]] = {}
    for operator in graph.operators:
        for place, tensor in enumerate(operator.inputs):
            if tensor >= 0 and graph.tensors[tensor].dtype == "int4":
                entry = graph.tensors[operator.inputs[0]].dtype if operator.inputs[0] >= 0 else ""
                readers.setdefault(tensor, []).append(operator.name in READERS and place == 1 and entry == "int8")
    ends = {*graph.input_indices, *graph.output_indices}
    return tuple(
        tensor
        for tensor, fitting in sorted(readers.items())
        if all(fitting) and tensor not in ends and graph.tensors[tensor].values() is not None
    )


def with_int8_weights(content: bytes, graph: TfliteModel) -> bytes:
    """Return a copy of a TFLite file in which 4-bit weights of int8 layers take eight bits; or the file, without such.

    The wider weights stand behind everything else, and the tables of their buffers are pointed at them: nothing moves.
    Weights that share a buffer with something else stay as they are, and so do those behind the FlatBuffer, and all
    where the copy would be larger than a FlatBuffer may be.

    Args:
        content: the whole file, checked already; its seal does not fit the copy.
        graph: its main graph.

    Raises:
        DamagedModelError: its structure does not hold together.
    """
    wanted = set(find_int4_weights(graph))
    if not wanted:
        return content
    if len(content) + sum(graph.tensors[tensor].elements + _ALIGNMENT for tensor in wanted) >= _LARGEST:
        return content
    root = Reader(content).root()
    buffers, graphs = root.tables(_BUFFERS), [table.tables(_TENSORS) for table in root.tables(_SUBGRAPHS)]
    kept = {table.integer(_BUFFER, "I") for table in _others(graphs, wanted)}
    copy = bytearray(content)
    for tensor in sorted(wanted):
        table, values = graphs[0][tensor], graph.tensors[tensor].values()
        number, kind = table.integer(_BUFFER, "I"), table.field(_TYPE, 1)
        pointer = buffers[number].field(_DATA, 4)
        if number in kept or values is None or kind is None or pointer is None:
            continue
        # the length stands before the data, which are aligned
        copy += bytes(-(len(copy) + _LENGTH) % _ALIGNMENT)
        struct.pack_into("<I", copy, pointer, len(copy) - pointer)
        copy[kind] = _INT8
        copy += struct.pack("<I", values.size) + np.ascontiguousarray(values, np.int8).tobytes()
    return bytes(copy)


def _others(graphs: Sequence[Sequence[Table]], wanted: set[int]) -> list[Table]:
    """List the tensors of all graphs but the wanted ones of the first."""
    return [
        table
        for place, tensors in enumerate(graphs)
        for number, table in enumerate(tensors)
        if place or number not in wanted
    ]
