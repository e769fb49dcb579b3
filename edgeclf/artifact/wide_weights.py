"""Stores 4-bit weights in eight bits in a copy of a file's bytes, with `struct` and NumPy alone.

The runtime's fast kernels take no convolutions with 4-bit weights. The integers are the same in eight bits, and so are
the scales: the file stays as small as it is, and its network computes like any in int8.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from edgeclf.artifact.distant_buffers import find_distant
from edgeclf.artifact.flatbuffer_reader import Reader, Table
from edgeclf.artifact.operators import TENSOR_TYPES, WEIGHTED
from edgeclf.artifact.tflite import TfliteModel

_SUBGRAPHS, _BUFFERS, _TENSORS = 2, 4, 0  # fields of the schema's Model and SubGraph tables
_TYPE, _BUFFER = 1, 2  # of its Tensor table
_DATA, _DISTANT = 0, (1, 2)  # of its Buffer table: the data, or where they lie in the file and how many bytes they are
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
                readers.setdefault(tensor, []).append(operator.name in WEIGHTED and place == 1 and entry == "int8")
    ends = {*graph.input_indices, *graph.output_indices}
    constants = (t.index for t in graph.tensors if t.data is not None and not t.sparse and t.index not in ends)
    return tuple(tensor for tensor in constants if all(readers.get(tensor, [False])))


def with_int8_weights(content: bytes, graph: TfliteModel) -> bytes:
    """Return a copy of a TFLite file in which 4-bit weights of int8 layers take eight bits; or the file, without such.

    The wider weights stand behind everything else, and the tables of their buffers are pointed at them: nothing moves.
    Weights that share a buffer with something else stay as they are, and all do where the copy would be larger than a
    FlatBuffer may be. Each byte of the file is copied once and unpacked once at most.

    Args:
        content: the whole file, checked already; its seal does not fit the copy.
        graph: its main graph.

    Raises:
        DamagedModelError: its structure does not hold together.
    """
    wanted = set(find_int4_weights(graph))
    if not wanted:
        return content
    root = Reader(content).root()
    buffers, graphs = root.tables(_BUFFERS), [table.tables(_TENSORS) for table in root.tables(_SUBGRAPHS)]
    groups = _group_by_buffer(buffers, graphs, wanted).values()
    # tensors of different shapes share their bytes where they have as many elements, and are left alone elsewhere
    shared = [tensors for tensors in groups if len({graph.tensors[tensor].elements for tensor in tensors}) == 1]
    if (
        len(content) + sum(2 * len(graph.tensors[tensors[0]].data or b"") + _ALIGNMENT for tensors in shared)
        >= _LARGEST
    ):
        return content
    copy, widened = bytearray(content), False
    for tensors in shared:
        buffer, values = buffers[graphs[0][tensors[0]].integer(_BUFFER, "I")], graph.tensors[tensors[0]].values()
        kinds = [place for tensor in tensors if (place := graphs[0][tensor].field(_TYPE, 1)) is not None]
        if values is None or len(kinds) < len(tensors):
            continue
        # the length stands before the data, which are aligned
        copy += bytes(-(len(copy) + _LENGTH) % _ALIGNMENT)
        if not _point(copy, buffer, len(copy), values.size):
            continue
        copy += struct.pack("<I", values.size) + np.ascontiguousarray(values, np.int8).tobytes()
        for kind in kinds:
            copy[kind] = _INT8
        widened = True
    return bytes(copy) if widened else content


def _group_by_buffer(
    buffers: Sequence[Table], graphs: Sequence[Sequence[Table]], wanted: set[int]
) -> dict[int, list[int]]:
    """Group wanted tensors of the first graph by where their buffer's table lies, without those that others have too.

    Several numbers of buffers may stand for one table.
    """
    groups: dict[int, list[int]] = {}
    others: set[int] = set()
    for place, tensors in enumerate(graphs):
        for number, table in enumerate(tensors):
            position = buffers[table.integer(_BUFFER, "I")].position
            if place or number not in wanted:
                others.add(position)
            else:
                groups.setdefault(position, []).append(number)
    return {position: numbers for position, numbers in groups.items() if position not in others}


def _point(copy: bytearray, buffer: Table, start: int, size: int) -> bool:
    """Point the table of a buffer at data of `size` bytes whose length stands at `start`; False: it cannot be."""
    pointer = buffer.field(_DATA, 4)
    if find_distant(buffer) is None:
        if pointer is not None:
            struct.pack_into("<I", copy, pointer, start - pointer)
        return pointer is not None
    places = [place for slot in _DISTANT if (place := buffer.field(slot, 8)) is not None]
    if len(places) < len(_DISTANT):
        return False
    for place, value in zip(places, (start + _LENGTH, size), strict=True):
        struct.pack_into("<Q", copy, place, value)
    return True
