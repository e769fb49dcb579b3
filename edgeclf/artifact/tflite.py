"""Reads a `.tflite` file with `struct`: what the graph is, and whether the file's structure holds together.

Slots are those of tensorflow/compiler/mlir/lite/schema/schema.fbs. Everything that the native interpreter would follow
unchecked is checked here first: a position outside of the file, a tensor number that does not exist, a constant whose
bytes do not match its shape, a stride of zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.distant_buffers import find_distant
from edgeclf.artifact.flatbuffer_reader import Reader, Table, damage_error
from edgeclf.artifact.graph_calls import check_calls, read_calls
from edgeclf.artifact.operators import CUSTOM, LARGEST_RANK, TENSOR_TYPES, TYPE_BITS, operator_name
from edgeclf.errors import ModelError

IDENTIFIER = b"TFL3"
_LARGEST = 2**31
_PAIRS = np.stack([np.arange(256) << 4, np.arange(256) & 0xF0], axis=-1).astype(np.uint8).view(np.int8) >> 4
"""The two integers of a byte, the one in its lower half first: int8[256, 2]."""
_SMALLEST_SCALE = 1e-30  # the runtime divides scales by each other; a quotient beyond float32 ends the process

# where the numbers of an operator's options lie: name -> (slot, struct code, default)
_STRIDES = {"stride_w": (1, "i", 0), "stride_h": (2, "i", 0)}
_OPTIONS: dict[str, dict[str, tuple[int, str, int]]] = {
    "CONV_2D": {**_STRIDES, "dilation_w": (4, "i", 1), "dilation_h": (5, "i", 1)},
    "DEPTHWISE_CONV_2D": {**_STRIDES, "dilation_w": (5, "i", 1), "dilation_h": (6, "i", 1)},
    "TRANSPOSE_CONV": _STRIDES,
    "AVERAGE_POOL_2D": {**_STRIDES, "filter_w": (3, "i", 0), "filter_h": (4, "i", 0)},
    "MAX_POOL_2D": {**_STRIDES, "filter_w": (3, "i", 0), "filter_h": (4, "i", 0)},
}


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of the graph.

    `scales` and `zero_points` are empty where the tensor is not quantized, have one element a tensor or one an index
    along `axis`. `data` is None for what is computed; `signature` is the shape with -1 where a size is open.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: npt.NDArray[np.float32]
    zero_points: npt.NDArray[np.int64]
    axis: int
    signature: tuple[int, ...]
    sparse: bool
    data: memoryview | None = field(repr=False, default=None)

    @property
    def elements(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def scale(self) -> float:
        """The scale of a tensor that is quantized as a whole, else 0."""
        return float(self.scales[0]) if len(self.scales) == 1 else 0.0

    @property
    def zero_point(self) -> int:
        """The zero point of a tensor that is quantized as a whole, else 0."""
        return int(self.zero_points[0]) if len(self.zero_points) == 1 else 0

    def values(self) -> npt.NDArray[Any] | None:
        """Return the constant as an array of `shape`; None: there is none, or NumPy does not know its type."""
        if self.data is None or self.sparse:
            return None
        raw = np.frombuffer(self.data, np.uint8)
        if self.dtype == "int4":
            return _PAIRS[raw].reshape(-1)[: self.elements].reshape(self.shape)
        if TYPE_BITS.get(self.dtype) is None or self.dtype in ("bfloat16", "int2", "uint4"):
            return None
        return np.frombuffer(self.data, np.dtype(self.dtype).newbyteorder("<")).reshape(self.shape)

    def real_values(self) -> npt.NDArray[np.float64] | None:
        """Return the constant as the real numbers that it stands for, float64 of `shape`; None as for `values`."""
        values = self.values()
        if values is None:
            return None
        real = values.astype(np.float64)
        if not len(self.scales):
            return real
        shape = [1] * len(self.shape)
        if len(self.scales) > 1:
            shape[self.axis] = -1
        # one zero point, or none, stands for all scales
        zeros = np.resize(self.zero_points if len(self.zero_points) else 0, len(self.scales)).reshape(shape)
        return np.asarray((real - zeros) * self.scales.astype(np.float64).reshape(shape)).reshape(self.shape)


@dataclass(frozen=True)
class OperatorInfo:
    """One operator: tensors are given by their index, -1 is an input that is left out.

    `calls` has the numbers of the graphs that it runs: the branches of an IF, the condition and body of a WHILE.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, int]
    calls: tuple[int, ...] = ()


@dataclass(frozen=True)
class TfliteModel:
    """The main graph of a file, and its metadata buffers by name."""

    description: str
    tensors: tuple[TensorInfo, ...]
    operators: tuple[OperatorInfo, ...]
    input_indices: tuple[int, ...]
    output_indices: tuple[int, ...]
    metadata: Mapping[str, bytes] = field(repr=False)
    subgraphs: int = 1

    @cached_property
    def reshaped(self) -> Mapping[int, int]:
        """Number of values of the largest result of a RESHAPE, by the tensor that it reads."""
        found: dict[int, int] = {}
        for operator in self.operators:
            if operator.name == "RESHAPE" and operator.inputs and operator.outputs:
                index, made = operator.inputs[0], self.tensors[operator.outputs[0]].elements
                found[index] = max(found.get(index, 0), made)
        return found

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """The graph's inputs."""
        return tuple(self.tensors[i] for i in self.input_indices)

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """The graph's outputs."""
        return tuple(self.tensors[i] for i in self.output_indices)

    def producer(self, tensor: int) -> OperatorInfo | None:
        """Find the operator that computes `tensor`; None for a constant or an input."""
        return next((op for op in self.operators if tensor in op.outputs), None)

    def consumers(self, tensor: int) -> list[OperatorInfo]:
        """Find the operators that read `tensor`."""
        return [op for op in self.operators if tensor in op.inputs]


def parse(content: bytes) -> TfliteModel:
    """Read a TFLite file.

    Raises:
        ModelError: it is not a TFLite file at all.
        DamagedModelError: its structure does not hold together.
    """
    if content[4:8] != IDENTIFIER:
        raise ModelError(f"not a TFLite model: bytes 4 to 8 should be {IDENTIFIER!r}, got {bytes(content[4:8])!r}")
    reader = Reader(content)
    root = reader.root()
    buffers = [_buffer(table) for table in root.tables(4)]
    codes = [_operator_code(table) for table in root.tables(1)]
    graphs = root.tables(2)
    if not graphs:
        raise damage_error("it has no graph")
    parsed = [_graph(table, codes, buffers, len(graphs)) for table in graphs]
    check_calls([frozenset(call for operator in graph[1] for call in operator.calls) for graph in parsed])
    tensors, operators, inputs, outputs = parsed[0]
    metadata = {}
    for table in root.tables(6):
        data = _at(buffers, table.integer(1, "I"), "buffer")
        reader.spend_text(0 if data is None else len(data))
        metadata[table.text(0)] = b"" if data is None else bytes(data)
    return TfliteModel(root.text(3), tensors, operators, inputs, outputs, metadata, len(graphs))


def _buffer(table: Table) -> memoryview | None:
    distant = find_distant(table)
    return table.data(0) if distant is None else table.reader.span(*distant)


def _operator_code(table: Table) -> str:
    # the first field is of one byte and full at 127; newer operators stand in the second
    code = max(table.integer(0, "b"), table.integer(3, "i"))
    if code < 0:
        raise damage_error(f"it names an operator with the number {code}")
    return table.text(1) or "CUSTOM" if code == CUSTOM else operator_name(code)


_Graph = tuple[tuple[TensorInfo, ...], tuple[OperatorInfo, ...], tuple[int, ...], tuple[int, ...]]


def _graph(table: Table, codes: list[str], buffers: list[memoryview | None], graphs: int) -> _Graph:
    tensors = tuple(_tensor(i, t, buffers) for i, t in enumerate(table.tables(0)))
    inputs = _tensor_numbers(table, 1, len(tensors))
    outputs = _tensor_numbers(table, 2, len(tensors))
    return tensors, tuple(_operator(t, codes, len(tensors), graphs) for t in table.tables(3)), inputs, outputs


def _tensor_numbers(table: Table, slot: int, count: int, lowest: int = 0) -> tuple[int, ...]:
    numbers = table.integers(slot)
    for number in numbers:
        if not lowest <= number < count:
            raise damage_error(f"it names tensor {number} and has {count}")
    return numbers


def _tensor(index: int, table: Table, buffers: list[memoryview | None]) -> TensorInfo:
    shape = table.integers(0)
    if len(shape) > LARGEST_RANK:  # multiplying many of them takes minutes
        raise damage_error(f"tensor {index} has {len(shape):,} dimensions, expected at most {LARGEST_RANK}")
    if any(size < 0 for size in shape) or math.prod(shape) > _LARGEST:
        raise damage_error(f"tensor {index} has the shape {list(shape)}")
    number = table.integer(1, "b")
    dtype = TENSOR_TYPES.get(number, f"type {number}")
    if number < 0 or number > 64:
        raise damage_error(f"tensor {index} has the element type {number}")
    sparse = table.table(6) is not None
    data = _at(buffers, table.integer(2, "I"), "buffer")
    if data is not None and len(data) == 0:
        data = None
    bits = TYPE_BITS.get(dtype)
    if data is not None and bits is not None and not sparse:
        expected = (math.prod(shape) * bits + 7) // 8
        if len(data) != expected:
            raise damage_error(f"tensor {index} should have {expected} bytes, got {len(data)}")
    scales, zeros, axis = _quantization(index, table.table(4), shape)
    if dtype in ("uint8", "int8", "int16"):
        limits = np.iinfo(np.dtype(dtype))
        if ((zeros < limits.min) | (zeros > limits.max)).any():
            raise damage_error(f"tensor {index} has a zero point outside of {dtype}")
    return TensorInfo(index, table.text(3), shape, dtype, scales, zeros, axis, table.integers(7) or shape, sparse, data)


def _quantization(
    index: int, table: Table | None, shape: tuple[int, ...]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], int]:
    if table is None:
        return np.empty(0, np.float32), np.empty(0, np.int64), 0
    scales = table.numbers(2, "f4").astype(np.float32)
    zeros = table.numbers(3, "i8").astype(np.int64)
    axis = table.integer(6, "i")
    used = scales[scales != 0]
    if not ((used >= _SMALLEST_SCALE) & (used <= 1 / _SMALLEST_SCALE)).all():
        raise damage_error(f"tensor {index} has a scale that is no sensible number")
    if len(scales) > 1:
        if not 0 <= axis < len(shape):
            raise damage_error(f"tensor {index} is quantized along axis {axis} and has {len(shape)}")
        if len(scales) != shape[axis]:
            raise damage_error(f"tensor {index} has {len(scales)} scales along an axis of {shape[axis]}")
    return scales, zeros, axis


def _operator(table: Table, codes: list[str], count: int, graphs: int) -> OperatorInfo:
    name = _at(codes, table.integer(0, "I"), "operator")
    inputs = _tensor_numbers(table, 1, count, lowest=-1)
    outputs = _tensor_numbers(table, 2, count)
    options: dict[str, int] = {}
    known = _OPTIONS.get(name)
    if known is not None:
        stored = table.table(4)
        if stored is None:
            raise damage_error(f"{name} has no options")
        options = {key: stored.integer(slot, code, default) for key, (slot, code, default) in known.items()}
        for key, value in options.items():
            if not 1 <= value < 2**15:
                raise damage_error(f"{name} has {key} {value}")
    return OperatorInfo(name, inputs, outputs, options, read_calls(name, table, graphs))


def _at(values: list[Any], index: int, kind: str) -> Any:
    if index >= len(values):
        raise damage_error(f"it names {kind} {index} and has {len(values)}")
    return values[index]
