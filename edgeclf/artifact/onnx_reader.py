"""Reads of an ONNX file what a classifier needs to be known for: input, output, last operators, and its notes.

Protocol buffers, read without the package `onnx`, bounds checked; field numbers are those of onnx/onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edgeclf.artifact.operators import LARGEST_RANK
from edgeclf.errors import DamagedModelError, ModelError

MOST_FIELDS = 1_000_000
"""Read in one file: a network of 5,000 operators has some 100,000."""
ELEMENT_TYPES = MappingProxyType(
    {1: "float32", 2: "uint8", 3: "int8", 5: "int16", 6: "int32", 7: "int64", 10: "float16"}
)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_EXTERNAL = 1
# fields of ModelProto, GraphProto, NodeProto, TensorProto
_GRAPH, _PROPERTIES = 7, 14
_NODES, _CONSTANTS, _INPUTS, _OUTPUTS = 1, 5, 11, 12
_NODE_IN, _NODE_OUT, _KIND, _ATTRIBUTES = 1, 2, 4, 5
_TENSOR_NAME, _LOCATION = 8, 14
_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS = 5, 10


@dataclass(frozen=True)
class OnnxValue:
    """An input or output: `shape` has -1 where a size is open, `dtype` is empty where it is none of `ELEMENT_TYPES`."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class OnnxNode:
    """An operator: tensors by their names."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class OnnxFacts:
    """What a file states. `inputs` are those that have no constant."""

    inputs: tuple[OnnxValue, ...]
    outputs: tuple[OnnxValue, ...]
    nodes: tuple[OnnxNode, ...]
    properties: Mapping[str, str]


class _Reader:
    """Walks over messages of one file; the number of fields is bounded."""

    def __init__(self) -> None:
        self._left = MOST_FIELDS

    def fields(self, message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        """List numbers and values of a message's fields.

        Raises:
            DamagedModelError: it is cut, or no protocol buffer.
        """
        at = 0
        while at < len(message):
            self._left -= 1
            if self._left < 0:
                raise ModelError(f"has more than {MOST_FIELDS:,} fields")
            key, at = _varint(message, at)
            kind, number = key & 7, key >> 3
            if kind == _VARINT:
                value, at = _varint(message, at)
                yield number, value
                continue
            if kind == _BYTES:
                size, at = _varint(message, at)
            elif kind in (_FIXED64, _FIXED32):
                size = 8 if kind == _FIXED64 else 4
            else:
                raise DamagedModelError(f"is no ONNX file, or damaged (field {number} of the kind {kind})")
            if size > len(message) - at:
                raise DamagedModelError(f"is cut or damaged (field {number} ends behind the end)")
            yield number, message[at : at + size]
            at += size

    def messages(self, message: memoryview, number: int) -> Iterator[memoryview]:
        """List the messages and texts in the field of that number."""
        for found, value in self.fields(message):
            if found == number and isinstance(value, memoryview):
                yield value

    def text(self, message: memoryview, number: int) -> str:
        """Return the text in a field; empty: it has none."""
        found = ""
        for value in self.messages(message, number):
            found = _text(value)
        return found

    def integer(self, message: memoryview, number: int) -> int:
        """Return the integer in a field; 0: it has none."""
        found = 0
        for known, value in self.fields(message):
            if known == number and isinstance(value, int):
                found = value
        return found


def read_onnx(content: bytes) -> OnnxFacts:
    """Read the facts of an ONNX file.

    Raises:
        DamagedModelError: it is cut, or no ONNX file.
        ModelError: it keeps constants in other files, or is larger than allowed.
    """
    reader, whole = _Reader(), memoryview(content)
    graphs = list(reader.messages(whole, _GRAPH))
    if len(graphs) != 1:
        raise DamagedModelError(f"is no ONNX file, or damaged (expected one graph, got {len(graphs)})")
    (graph,) = graphs
    constants = {_constant(reader, tensor) for tensor in reader.messages(graph, _CONSTANTS)}
    inputs = tuple(_value(reader, value) for value in reader.messages(graph, _INPUTS))
    return OnnxFacts(
        inputs=tuple(value for value in inputs if value.name not in constants),
        outputs=tuple(_value(reader, value) for value in reader.messages(graph, _OUTPUTS)),
        nodes=tuple(_node(reader, node) for node in reader.messages(graph, _NODES)),
        properties={reader.text(one, 1): reader.text(one, 2) for one in reader.messages(whole, _PROPERTIES)},
    )


def _constant(reader: _Reader, tensor: memoryview) -> str:
    if reader.integer(tensor, _LOCATION) == _EXTERNAL:
        raise ModelError("keeps constants in other files, which are not read; save it in one file")
    return reader.text(tensor, _TENSOR_NAME)


def _node(reader: _Reader, node: memoryview) -> OnnxNode:
    for attribute in reader.messages(node, _ATTRIBUTES):
        for field in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
            for tensor in reader.messages(attribute, field):
                _constant(reader, tensor)
    inputs, outputs = (tuple(map(_text, reader.messages(node, side))) for side in (_NODE_IN, _NODE_OUT))
    return OnnxNode(reader.text(node, _KIND), inputs, outputs)


def _value(reader: _Reader, value: memoryview) -> OnnxValue:
    name, shape, dtype = reader.text(value, 1), [], ""
    for kind in reader.messages(value, 2):
        for tensor in reader.messages(kind, 1):
            dtype = ELEMENT_TYPES.get(reader.integer(tensor, 1), "")
            for sizes in reader.messages(tensor, 2):
                shape = [_size(reader, size) for size in reader.messages(sizes, 1)]
                if len(shape) > LARGEST_RANK:
                    count = f"{len(shape):,} dimensions, expected at most {LARGEST_RANK}"
                    raise DamagedModelError(f"{name!r:.60} has {count}")
    return OnnxValue(name, tuple(shape), dtype)


def _size(reader: _Reader, size: memoryview) -> int:
    """Return a size; -1 where it is open, named or no sensible number."""
    number = reader.integer(size, 1)
    return number if 0 < number < 2**31 else -1


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for place in range(10):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at
    raise DamagedModelError("is cut or damaged (a number does not end)")


def _text(value: memoryview) -> str:
    return bytes(value).decode(errors="replace")
