"""Edits a float TFLite file from elsewhere into the plain graph that exporters take, and what enters and leaves it.

Host side, as `tflite_editor`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.flatbuffer_reader import Reader, damage_error
from edgeclf.artifact.tflite import OperatorInfo, TensorInfo, TfliteModel
from edgeclf.artifact.tflite_editor import TfliteEditor

CHANNELS_LAST = (0, 2, 3, 1)
"""What TRANSPOSE makes of an input with channels first."""
FEWEST_HALVED = 64
"""Numbers of a constant that is worth a DEQUANTIZE of its own in a file with float16 weights."""
MOST_NAMED = 1000
"""Tensors that the signatures of a classifier name."""
_GRAPHS, _SIGNATURES = 2, 7  # fields of the schema's Model table
_SPARSITY, _VARIANTS = 6, 9  # of its Tensor table
_FLOAT32, _FLOAT16, _UINT8, _INT8 = 0, 1, 3, 9  # element types of the schema
_INTEGERS = {"uint8": (_UINT8, 0), "int8": (_INT8, -128)}  # element type, and the integer that stands for 0
_VALID = 1  # padding of the schema


class SourceEditor(TfliteEditor):
    """A float TFLite file whose input, constants and accessories can be changed.

    An edit that adds or removes operators makes `graph` outdated: pack, and open the result.
    """

    def remove_accessories(self) -> None:
        """Remove metadata and signatures: those of the file that is made of it are its own."""
        self._model.metadata, self._model.metadataBuffer, self._model.signatureDefs = None, None, None
        self._remove_unused_data()

    def _remove_unused_data(self) -> None:
        """Empty the buffers that no tensor has; their numbers stay."""
        used = {tensor.buffer for graph in self._model.subgraphs for tensor in graph.tensors}
        for number, buffer in enumerate(self._model.buffers):
            if number not in used:
                buffer.data = None

    def remove_entry_operators(self) -> None:
        """Let the input be what the network computes with: float32[1, H, W, C].

        A CAST of raw uint8 pixels at the front, and a TRANSPOSE of an input with channels first, go; their results are
        the input then.
        """
        (entry,) = self.graph.input_indices
        removed = []
        while (operator := self._entry_operator(entry)) is not None:
            place = self.graph.operators.index(operator)
            if place in removed:
                raise damage_error("its first operators lead in a circle")
            removed.append(place)
            entry = operator.outputs[0]
        for place in reversed(removed):
            del self._main.operators[place]
        self._main.inputs = [entry]

    def _entry_operator(self, entry: int) -> OperatorInfo | None:
        readers = self.graph.consumers(entry)
        if len(readers) != 1:
            return None
        (reader,) = readers
        tensor, result = self.graph.tensors[entry], self.graph.tensors[reader.outputs[0]]
        if reader.name == "CAST" and (tensor.dtype, result.dtype) == ("uint8", "float32"):
            return reader
        order = self.graph.tensors[reader.inputs[1]].values() if reader.name == "TRANSPOSE" else None
        return reader if order is not None and tuple(order.tolist()) == CHANNELS_LAST else None

    def fix_shapes(
        self,
        shapes: Mapping[int, tuple[int, ...]],
        values: Mapping[int, npt.NDArray[Any]],
        places: Collection[int],
    ) -> None:
        """Give tensors the shapes that they have, and make constants of what the operators at some places compute.

        Args:
            shapes: of what is computed, by tensor number.
            values: of the tensors that the operators make.
            places: of the operators, which go.
        """
        for index, shape in shapes.items():
            self._main.tensors[index].shape = np.asarray(shape, np.int32)
        for tensor in self._main.tensors:
            tensor.shapeSignature = None
        for index, constant in values.items():
            self._main.tensors[index].buffer = self._add_buffer(constant)
        operators = enumerate(self._main.operators)
        self._main.operators = [operator for place, operator in operators if place not in places]

    def widen_constants(self) -> None:
        """Store float16 constants, which a DEQUANTIZE widens, as the float32 that they become."""
        kept = []
        for place, operator in enumerate(self.graph.operators):
            values = self._halved_constant(operator)
            if values is None:
                kept.append(self._main.operators[place])
            else:
                self._main.tensors[operator.outputs[0]].buffer = self._add_buffer(values.astype("<f4"))
        self._main.operators = kept
        read = {index for operator in kept for index in operator.inputs}
        for tensor in self.graph.tensors:
            if tensor.dtype == "float16" and tensor.data is not None and tensor.index not in read:
                # it keeps its number, and nothing else
                self._main.tensors[tensor.index].buffer, self._main.tensors[tensor.index].shape = 0, [0]
        self._remove_unused_data()

    def _halved_constant(self, operator: OperatorInfo) -> npt.NDArray[Any] | None:
        constant = self.graph.tensors[operator.inputs[0]] if operator.name == "DEQUANTIZE" else None
        return constant.values() if constant is not None and constant.dtype == "float16" else None

    def halve_constants(self) -> None:
        """Store float32 constants in 16 bits, with a DEQUANTIZE that widens each; small ones stay."""
        from ai_edge_litert import schema_py_generated as schema

        read = {index for operator in self.graph.operators for index in operator.inputs if index >= 0}
        for tensor in self.graph.tensors:
            values = tensor.values() if tensor.index in read and tensor.dtype == "float32" else None
            if values is None or values.size < FEWEST_HALVED:
                continue
            limit = np.finfo(np.float16).max
            halved = self._add_tensor(f"{tensor.name}/float16", np.clip(values, -limit, limit).astype("<f2"), _FLOAT16)
            self._main.tensors[tensor.index].buffer = self._add_buffer(None)
            code = self._operator_code(schema.BuiltinOperator.DEQUANTIZE, 3)
            self._put_first(code, [halved], tensor.index, schema.BuiltinOptions.DequantizeOptions)
        self._remove_unused_data()

    def scale_entry(self, factor: float) -> None:
        """Multiply what enters by a number before the network computes with it."""
        from ai_edge_litert import schema_py_generated as schema

        options = schema.MulOptionsT()
        number = self._add_tensor("edgeclf_scale", np.asarray(factor, "<f4"), _FLOAT32)
        code = self._operator_code(schema.BuiltinOperator.MUL, 1)
        self._put_before_entry(code, [number], schema.BuiltinOptions.MulOptions, options, _FLOAT32)

    def take_bytes(self) -> None:
        """Let the input be uint8 pixels, which a CAST widens."""
        from ai_edge_litert import schema_py_generated as schema

        options = schema.CastOptionsT()
        options.inDataType, options.outDataType = _UINT8, _FLOAT32
        code = self._operator_code(schema.BuiltinOperator.CAST, 1)
        self._put_before_entry(code, [], schema.BuiltinOptions.CastOptions, options, _UINT8)

    def convert_entry(self, dtype: str, scale: float) -> None:
        """Let the input be integers: a DEQUANTIZE in front of a float input, a QUANTIZE of one that holds others.

        Args:
            dtype: `uint8` or `int8`.
            scale: what one step stands for; the smallest integer stands for 0.
        """
        from ai_edge_litert import schema_py_generated as schema

        before = self._main.inputs[0]
        number, zero = _INTEGERS[dtype]
        if self._main.tensors[before].type == _FLOAT32:
            code = self._operator_code(schema.BuiltinOperator.DEQUANTIZE, 2)
            kind, options = schema.BuiltinOptions.DequantizeOptions, schema.DequantizeOptionsT()
        else:
            code = self._operator_code(schema.BuiltinOperator.QUANTIZE, 1)
            kind, options = schema.BuiltinOptions.QuantizeOptions, schema.QuantizeOptionsT()
        self._put_before_entry(code, [], kind, options, number)
        self._main.tensors[self._main.inputs[0]].quantization = _quantization(scale, zero)
        for signature in self._model.signatureDefs or []:
            for named in signature.inputs or []:
                named.tensorIndex = self._main.inputs[0] if named.tensorIndex == before else named.tensorIndex

    def convert_int8_result(self) -> None:
        """Let the output be uint8 with the same steps, where it is int8: a QUANTIZE behind it."""
        from ai_edge_litert import schema_py_generated as schema

        before = self._main.outputs[0]
        tensor = self._main.tensors[before]
        made = self._add_tensor("scores", None, _UINT8, np.asarray(tensor.shape, np.int32))
        given = tensor.quantization
        self._main.tensors[made].quantization = _quantization(float(given.scale[0]), int(given.zeroPoint[0]) + 128)
        operator = schema.OperatorT()
        operator.opcodeIndex = self._operator_code(schema.BuiltinOperator.QUANTIZE, 1)
        operator.inputs, operator.outputs = np.asarray([before], np.int32), np.asarray([made], np.int32)
        operator.builtinOptionsType = schema.BuiltinOptions.QuantizeOptions
        operator.builtinOptions = schema.QuantizeOptionsT()
        self._main.operators.append(operator)
        self._main.outputs = [made]
        for signature in self._model.signatureDefs or []:
            for named in signature.outputs or []:
                named.tensorIndex = made if named.tensorIndex == before else named.tensorIndex

    def normalize_entry(
        self, scales: npt.NDArray[np.float64], offsets: npt.NDArray[np.float64], *, reverse: bool
    ) -> None:
        """Put a 1x1 convolution in front, which quantization treats as any other layer.

        Args:
            scales: float64[3], what each of the network's channels is multiplied by.
            offsets: float64[3], what is added to it after that.
            reverse: whether the network takes its channels in the opposite order.
        """
        from ai_edge_litert import schema_py_generated as schema

        options: Any = schema.Conv2DOptionsT() if reverse else schema.DepthwiseConv2DOptionsT()
        options.padding, options.strideW, options.strideH = _VALID, 1, 1
        options.dilationWFactor = options.dilationHFactor = 1
        if reverse:
            weights = np.diag(scales)[:, ::-1].reshape(3, 1, 1, 3)
            operator, kind = schema.BuiltinOperator.CONV_2D, schema.BuiltinOptions.Conv2DOptions
        else:
            options.depthMultiplier = 1
            weights = scales.reshape(1, 1, 1, 3)
            operator, kind = schema.BuiltinOperator.DEPTHWISE_CONV_2D, schema.BuiltinOptions.DepthwiseConv2DOptions
        constants = [
            self._add_tensor("edgeclf_scaling/kernel", weights.astype("<f4"), _FLOAT32),
            self._add_tensor("edgeclf_scaling/bias", offsets.astype("<f4"), _FLOAT32),
        ]
        self._put_before_entry(self._operator_code(operator, 1), constants, kind, options, _FLOAT32)

    def _put_before_entry(self, code: int, constants: Sequence[int], kind: int, options: Any, dtype: int) -> None:
        """Put an operator in front that makes the present input; its own input, of the same shape, is the new one."""
        entry = self._main.inputs[0]
        shape = np.asarray(self._main.tensors[entry].shape, np.int32)
        if self._main.tensors[entry].name == b"image":
            self._main.tensors[entry].name = b"edgeclf_pixels"
        image = self._add_tensor("image", None, dtype, shape)
        self._put_first(code, [image, *constants], entry, kind, options)
        self._main.inputs = [image]

    def _put_first(self, code: int, inputs: Sequence[int], output: int, kind: int, options: Any = None) -> None:
        from ai_edge_litert import schema_py_generated as schema

        made = schema.OperatorT()
        made.opcodeIndex = code
        made.inputs, made.outputs = np.asarray(inputs, np.int32), np.asarray([output], np.int32)
        made.builtinOptionsType, made.builtinOptions = (0, None) if options is None else (kind, options)
        self._main.operators.insert(0, made)

    def _add_tensor(self, name: str, values: Any, dtype: int, shape: Any = None) -> int:
        """Add a constant, or, with `shape` in place of `values`, a tensor that is computed."""
        from ai_edge_litert import schema_py_generated as schema

        made = schema.TensorT()
        made.name, made.type = name.encode(), dtype
        made.shape = np.asarray(values.shape if shape is None else shape, np.int32)
        made.buffer = self._add_buffer(values)
        self._main.tensors.append(made)
        return len(self._main.tensors) - 1

    def _operator_code(self, number: int, version: int) -> int:
        from ai_edge_litert import schema_py_generated as schema

        for index, known in enumerate(self._model.operatorCodes):
            if max(known.builtinCode, known.deprecatedBuiltinCode) == number and known.version >= version:
                return index
        made = schema.OperatorCodeT()
        made.builtinCode, made.deprecatedBuiltinCode, made.version = number, min(number, 127), version
        self._model.operatorCodes.append(made)
        return len(self._model.operatorCodes) - 1


def _quantization(scale: float, zero: int) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    made = schema.QuantizationParametersT()
    made.scale, made.zeroPoint = np.asarray([scale], np.float32), np.asarray([zero], np.int64)
    return made


def check_unpacking(content: bytes) -> None:
    """Refuse a file that its schema's own classes would unpack into much more than it holds.

    Tables may be shared, and these classes copy each wherever it is named. `parse`, which must have read the file,
    bounds the tables of tensors and operators; here it is those that it does not look at.

    Raises:
        DamagedModelError: it is so.
    """
    root = Reader(content).root()
    named = [len(row.tables(side)) for row in root.tables(_SIGNATURES) for side in (0, 1)]
    if sum(named) > MOST_NAMED:
        raise damage_error(f"its signatures name {sum(named):,} tensors, expected at most {MOST_NAMED:,}")
    for graph in root.tables(_GRAPHS):
        for tensor in graph.tables(0):
            if tensor.table(_SPARSITY) is not None or tensor.tables(_VARIANTS):
                raise damage_error("it has sparse constants or tensors of tensors, expected plain ones")


def list_quantized(graph: TfliteModel) -> list[TensorInfo]:
    """List the tensors that operators touch and that stand for other numbers than they hold."""
    touched = {index for one in graph.operators for index in (*one.inputs, *one.outputs) if index >= 0}
    return [one for one in graph.tensors if one.index in touched and len(one.scales)]
