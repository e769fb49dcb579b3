"""Makes tensors inside a graph readable as outputs, in a copy of the file's bytes, with `struct` alone.

A graph's outputs are a list of tensor numbers. The list is written anew behind everything else, and the graph's table
is pointed at it: nothing moves, and the file on the disk keeps its single output, which other clients expect.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from edgeclf.artifact.flatbuffer_reader import Reader, damage_error

_SUBGRAPHS, _OUTPUTS = 2, 2  # fields of the schema's Model and SubGraph tables
_OFFSET = 4


def with_outputs(content: bytes, tensors: Sequence[int]) -> bytes:
    """Return a copy of a TFLite file whose main graph has `tensors` as further outputs, behind its own.

    Args:
        content: the whole file, checked already; its seal does not fit the copy.
        tensors: numbers of computed tensors of the main graph, none of which is an output already.

    Raises:
        DamagedModelError: the file has no graph, or the graph no outputs.
    """
    graphs = Reader(content).root().tables(_SUBGRAPHS)
    place = graphs[0].field(_OUTPUTS, _OFFSET) if graphs else None
    if place is None:
        raise damage_error("its graph has no outputs")
    numbers = (*graphs[0].integers(_OUTPUTS), *tensors)
    start = -(-len(content) // _OFFSET) * _OFFSET
    copy = bytearray(content.ljust(start, b"\0"))
    copy += struct.pack(f"<I{len(numbers)}i", len(numbers), *numbers)
    struct.pack_into("<I", copy, place, start - place)
    return bytes(copy)
