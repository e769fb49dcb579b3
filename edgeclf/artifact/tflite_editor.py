"""Edits a TFLite file: unpacked once, changed, packed once.

Host side: needs `flatbuffers` and the schema that `ai-edge-litert` brings along.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.distant_buffers import find_distant, gather_buffers
from edgeclf.artifact.flatbuffer_reader import Reader
from edgeclf.artifact.operators import WEIGHTED
from edgeclf.artifact.tflite import IDENTIFIER, parse
from edgeclf.errors import ModelError

ALIGNMENT = 16
"""The data of a buffer starts at a multiple of this many bytes, as the schema's `force_align` asks for."""
INT4_VERSIONS = {"CONV_2D": 7, "FULLY_CONNECTED": 10}
"""Versions of the operators that take int8 activations and int4 weights."""
_SCALE_FREE = ("PAD", "RESHAPE")
"""Operators that pass integers on, whatever they stand for."""
_BUFFERS = 4  # field of the schema's Model table


class TfliteEditor:
    """A TFLite file that can be changed.

    Attributes:
        content: the file as it was read.
        graph: its main graph as it was read; tensors and operators keep their numbers in every edit but
            `remove_input_scaling`.

    Args:
        content: an appended zip must have been cut off.

    Raises:
        ModelError: it is no TFLite file.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.graph = parse(content)

    @cached_property
    def _model(self) -> Any:
        from ai_edge_litert import schema_py_generated as schema

        model = schema.ModelT.InitFromPackedBuf(self.content, 0)
        gather_buffers(self.content, model.buffers)
        return model

    @property
    def unpacked(self) -> Any:
        """The file as it stands after the edits so far: `ModelT` of the schema, shared with the editor."""
        return self._model

    @property
    def _main(self) -> Any:
        return self._model.subgraphs[0]

    def set_ranges(self, ranges: Mapping[int, tuple[float, float]]) -> None:
        """Note the smallest and largest value of activations, by tensor number, as the quantizer reads them."""
        from ai_edge_litert import schema_py_generated as schema

        for index, (low, high) in ranges.items():
            noted = schema.QuantizationParametersT()
            noted.min, noted.max = [low], [high]
            self._main.tensors[index].quantization = noted

    def set_constant(self, index: int, values: npt.NDArray[Any]) -> None:
        """Replace the constant of tensor `index`, and of no other that has the same bytes; values are of its type."""
        tensor = self._main.tensors[index]
        if sum(one.buffer == tensor.buffer for graph in self._model.subgraphs for one in graph.tensors) > 1:
            tensor.buffer = self._add_buffer(values)
            return
        buffer = self._model.buffers[tensor.buffer]
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)

    def set_scales(self, index: int, scales: npt.NDArray[Any]) -> None:
        """Let the integers of a symmetric constant stand for multiples of other steps; as many as it has."""
        self._main.tensors[index].quantization.scale = np.asarray(scales, np.float32)

    def store_as_int4(self, indices: Iterable[int]) -> None:
        """Store constants in four bits each, the first of two in the lower half of a byte, for kernels that know them.

        Raises:
            ValueError: an integer is not -8 to 7.
        """
        from ai_edge_litert import schema_py_generated as schema

        narrow = dict.fromkeys(indices)
        for index in narrow:
            tensor = self._main.tensors[index]
            values = np.frombuffer(self._model.buffers[tensor.buffer].data, np.uint8)
            if (np.abs(values.view(np.int8) + 0.5) > 8).any():
                raise ValueError(f"{tensor.name}: expected integers of -8 to 7")
            pairs = np.append(values, np.zeros(len(values) % 2, np.uint8)).reshape(-1, 2) & 0xF
            self.set_constant(index, pairs[:, 0] | pairs[:, 1] << 4)
            tensor.type = schema.TensorType.INT4
        for place, op in enumerate(self.graph.operators):
            if op.name in INT4_VERSIONS and op.inputs[1] in narrow:
                code = self._model.operatorCodes[self._main.operators[place].opcodeIndex]
                code.version = max(code.version, INT4_VERSIONS[op.name])

    def _add_buffer(self, values: npt.NDArray[Any] | None) -> int:
        from ai_edge_litert import schema_py_generated as schema

        made = schema.BufferT()
        if values is not None:
            made.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self._model.buffers.append(made)
        return len(self._model.buffers) - 1

    def scale_input(self, factor: float) -> bool:
        """Let the float input of an integer graph be `factor` times as large.

        The factor moves from the input's scale into the weights' scales, which the integers never see: nothing is
        rounded.

        Returns:
            False, with nothing changed, where something other than a convolution or a dense layer reads the input, or
            another layer reads the weights as well; padding and reshaping in between pass the integers on.
        """
        (entry,) = self.graph.input_indices
        inner, readers = entry, self.graph.consumers(entry)
        if len(readers) == 1 and readers[0].name == "QUANTIZE":
            inner = readers[0].outputs[0]
            readers = self.graph.consumers(inner)
        changes = self._scales_behind(inner, factor)
        if changes is None:
            return False
        if self.graph.tensors[entry].scale:
            changes[entry] = factor
        for index, by in changes.items():
            quantization = self._main.tensors[index].quantization
            quantization.scale = (np.asarray(quantization.scale, np.float64) * by).astype(np.float32)
        return True

    def _scales_behind(self, tensor: int, factor: float) -> dict[int, float] | None:
        """Find by what the scales of a tensor and of what reads it change; None: something else reads it."""
        readers = self.graph.consumers(tensor)
        if not readers or any(op.inputs[0] != tensor for op in readers):
            return None
        changes = {tensor: factor}
        for op in readers:
            if op.name in WEIGHTED and len(self.graph.tensors[op.inputs[1]].scales):
                if len(self.graph.consumers(op.inputs[1])) != 1:
                    return None
                changes[op.inputs[1]] = 1 / factor
                continue
            further = self._scales_behind(op.outputs[0], factor) if op.name in _SCALE_FREE else None
            if further is None:
                return None
            changes |= further
        return changes

    def remove_input_scaling(self) -> float:
        """Take the multiplication of a float input by one positive number out of the graph.

        Networks that other frameworks exported carry their scaling as an operator; in an integer graph it is the
        input's quantization. A multiplication that an activation function is fused into stays: it does more than scale.

        Returns:
            that number; 1.0, with nothing changed, where there is none.
        """
        (entry,) = self.graph.input_indices
        readers = self.graph.consumers(entry)
        if len(readers) != 1 or readers[0].name != "MUL":
            return 1.0
        (other,) = [i for i in readers[0].inputs if i != entry] or [entry]
        number = self.graph.tensors[other].values()
        if number is None or number.size != 1 or number.dtype != np.float32 or number.item() <= 0:
            return 1.0
        place = self.graph.operators.index(readers[0])
        if self.fused_activation(place) != "NONE":
            return 1.0
        result = readers[0].outputs[0]
        del self._main.operators[place]
        self._main.inputs = [result]
        for signature in self._model.signatureDefs or []:
            for named in signature.inputs or []:
                named.tensorIndex = result if named.tensorIndex == entry else named.tensorIndex
        return float(number.item())

    def expose(self, indices: Iterable[int]) -> None:
        """Make tensors outputs of the graph, behind those that it has: a delegate keeps what is inside to itself."""
        known = [int(index) for index in self._main.outputs]
        self._main.outputs = [*known, *(index for index in dict.fromkeys(indices) if index not in known)]

    def fused_activation(self, place: int) -> str:
        """Name the activation function inside operator number `place`, as the schema does: `NONE`, `RELU`, `RELU6`."""
        from ai_edge_litert import schema_py_generated as schema

        number = getattr(self._main.operators[place].builtinOptions, "fusedActivationFunction", 0)
        names = {value: name for name, value in vars(schema.ActivationFunctionType).items() if isinstance(value, int)}
        return str(names.get(int(number), "unknown"))

    def sign(self, key: str, entry: str, result: str) -> None:
        """Give the graph one signature, called `key`, that names its input and its first output."""
        from ai_edge_litert import schema_py_generated as schema

        made = schema.SignatureDefT()
        made.signatureKey, made.subgraphIndex, made.inputs, made.outputs = key.encode(), 0, [], []
        for rows, name, index in (
            (made.inputs, entry, self._main.inputs[0]),
            (made.outputs, result, self._main.outputs[0]),
        ):
            row = schema.TensorMapT()
            row.name, row.tensorIndex = name.encode(), int(index)
            rows.append(row)
        self._model.signatureDefs = [made]

    def set_metadata(self, entries: Mapping[str, bytes], description: str) -> None:
        """Add metadata buffers by name, each in the place of one of the same name, and set the file's short text."""
        from ai_edge_litert import schema_py_generated as schema

        model = self._model
        model.description = description
        rows = []
        for row in model.metadata or []:
            if row.name.decode() in entries:
                model.buffers[row.buffer].data = None  # its number stays taken: tensors name theirs by number
            else:
                rows.append(row)
        for name, content in entries.items():
            buffer, row = schema.BufferT(), schema.MetadataT()
            buffer.data = np.frombuffer(content, np.uint8)
            row.name, row.buffer = name, len(model.buffers)
            model.buffers.append(buffer)
            rows.append(row)
        model.metadata = rows

    def pack(self) -> bytes:
        """Write the file: a FlatBuffer with all data in its buffers, which are aligned."""
        if "_model" not in self.__dict__ and is_plain(self.content):
            return self.content
        return pack_model(self._model, len(self.content))


def pack_model(model: Any, size: int) -> bytes:
    """Write an unpacked model (`ModelT` of the schema) as a FlatBuffer: buffers aligned, equal vectors of numbers once.

    Args:
        model: what to write.
        size: bytes that it takes, about.

    Raises:
        ModelError: it takes more than the 2 GiB that a FlatBuffer may have.
    """
    from flatbuffers.builder import BuilderSizeError

    try:
        build = _builder(size + 65536)
        build.Finish(model.Pack(build), file_identifier=IDENTIFIER)
    except BuilderSizeError as error:
        raise ModelError("the graph has more than the 2 GiB that a TFLite file can be written with") from error
    return bytes(build.Output())


def is_plain(content: bytes) -> bool:
    """Return whether every buffer's data lies in the FlatBuffer and starts on a 16-byte boundary of the file."""
    tables = Reader(content).root().tables(_BUFFERS)
    places = (table.data_position(0) for table in tables)
    aligned = all(place is None or place % ALIGNMENT == 0 for place in places)
    return aligned and all(find_distant(table) is None for table in tables)


def _builder(size: int) -> Any:
    import flatbuffers

    class TfliteBuilder(flatbuffers.Builder):  # type: ignore[misc]
        """Writes buffers aligned, and equal vectors of numbers once.

        A reader follows an offset to each vector, so that several tables may point at the same one. The zero points
        of signed 8-bit weights are as many zeros of 64 bits as there are channels, which was measured to be 2 to
        13 % of a file.
        """

        def __init__(self, size: int) -> None:
            super().__init__(size)
            self.written: dict[tuple[str, bytes], Any] = {}

        # the generated Python code knows nothing of the schema's `force_align`
        def StartVector(self, element_size: int, count: int, alignment: int) -> Any:
            return super().StartVector(element_size, count, ALIGNMENT if element_size == 1 and count else alignment)

        def CreateNumpyVector(self, values: npt.NDArray[Any]) -> Any:
            if values.dtype.itemsize == 1:  # the data of a buffer, which programs that edit a file may overwrite
                return super().CreateNumpyVector(values)
            key = (values.dtype.str, values.tobytes())
            if key not in self.written:
                self.written[key] = super().CreateNumpyVector(values)
            return self.written[key]

    return TfliteBuilder(size)
