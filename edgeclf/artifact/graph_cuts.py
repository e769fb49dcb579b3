"""Cuts operators out of a TFLite graph: each cut is a small model file of its own, which any runtime can time.

Needs `flatbuffers` and the schema that `ai-edge-litert` brings along.
"""

from __future__ import annotations

import copy
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from edgeclf.artifact.distant_buffers import gather_buffers
from edgeclf.artifact.tflite import OperatorInfo, TensorInfo, parse
from edgeclf.artifact.tflite_editor import TfliteEditor, pack_model
from edgeclf.errors import ModelError

_BROKEN = (struct.error, IndexError, KeyError, TypeError, ValueError, OverflowError)
"""What the generated code of the schema raises for a file whose parts lie outside of it."""
_UNCUT = frozenset({"CUSTOM", "DELEGATE", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE"})
_DEEPEST = 8  # operators on constants in a row, which are cut out with what reads them


Change = Callable[[Any, Sequence[TensorInfo], Sequence[str]], None]
"""Changes an unpacked model (`ModelT`) in place, by its tensors as they were read and the names of its operators."""


@dataclass(frozen=True)
class Cut:
    """A part of a graph as a file.

    Attributes:
        content: the file.
        inputs: the tensors that it reads, by their number in the whole graph, in the order of the file's inputs.
        outputs: those that it computes, likewise.
        places: numbers of the file's input tensors, in the same order.
        result_places: of its output tensors.
    """

    content: bytes = field(repr=False)
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    places: tuple[int, ...]
    result_places: tuple[int, ...] = ()


class GraphCutter:
    """A TFLite file whose operators can be cut out.

    Attributes:
        graph: its main graph; operators and tensors are named by their numbers in it.

    Args:
        file: its content, where what follows the FlatBuffer is passed over; or an editor of it, whose edits of
            constants show in what is cut out later, and whose operators may call other graphs.

    Raises:
        ModelError: it is no TFLite file, or a part of it cannot be read.
    """

    def __init__(self, file: bytes | TfliteEditor) -> None:
        self.graph = file.graph if isinstance(file, TfliteEditor) else parse(file)
        try:
            self._model = file.unpacked if isinstance(file, TfliteEditor) else _unpack(file)
        except _BROKEN as error:
            raise ModelError(f"the graph cannot be taken apart: {type(error).__name__}: {error}") from error
        self._producers = {t: i for i, op in enumerate(self.graph.operators) for t in op.outputs}

    def can_cut(self, operator: int) -> bool:
        """Return whether an operator computes its outputs from its inputs alone, and is no part of another library."""
        found = self.graph.operators[operator]
        builtin = self._model.operatorCodes[self._main.operators[operator].opcodeIndex].customCode is None
        called = found.calls and not self._model.subgraphs[1:]
        return builtin and not called and found.name not in _UNCUT

    def signature(self, operator: int) -> str:
        """Return a text that two operators share where they take the same time, whatever their numbers are."""
        found, raw = self.graph.operators[operator], self._main.operators[operator]
        described = [self._describe(tensor) for tensor in (*found.inputs, *found.outputs)]
        options = {} if raw.builtinOptions is None else vars(raw.builtinOptions)
        return f"{found.name} {described} {sorted((key, str(value)) for key, value in options.items())}"

    def fused_activation(self, operator: int) -> int:
        """Return the number of the activation function that is fused into an operator; 0: none."""
        options = self._main.operators[operator].builtinOptions
        return int(getattr(options, "fusedActivationFunction", 0) or 0)

    def cut(self, operators: Iterable[int], change: Change | None = None) -> Cut:
        """Cut operators out, with those on constants that feed them.

        Args:
            operators: their numbers.
            change: of what was cut out, such as `float_twin.make_float`.

        Raises:
            ModelError: an operator cannot be cut out, or not be changed.
        """
        chosen = self._with_constants(operators)
        if not all(self.can_cut(number) for number in chosen):
            raise ModelError("operators of other libraries, and those that call graphs, cannot be cut out")
        found = [self.graph.operators[number] for number in chosen]
        made = {tensor for op in found for tensor in op.outputs}
        read = dict.fromkeys(tensor for op in found for tensor in op.inputs if tensor >= 0)
        inputs = [t for t in read if t not in made and self.graph.tensors[t].data is None]
        inputs.sort(key=lambda t: t not in self.graph.input_indices)  # the image comes first
        return self._build(chosen, found, inputs, self._results(chosen, found), change)

    def _results(self, chosen: Sequence[int], found: Sequence[OperatorInfo]) -> list[int]:
        outside = {t for i, op in enumerate(self.graph.operators) if i not in chosen for t in op.inputs}
        inside = {tensor for op in found for tensor in op.inputs}
        kept = outside | set(self.graph.output_indices)
        results = [t for op in found for t in op.outputs if t in kept or t not in inside]
        return sorted(results, key=lambda t: t not in self.graph.output_indices)

    def _build(
        self,
        chosen: Sequence[int],
        found: Sequence[OperatorInfo],
        inputs: list[int],
        outputs: list[int],
        change: Change | None,
    ) -> Cut:
        from ai_edge_litert import schema_py_generated as schema

        used = dict.fromkeys(t for op in found for t in (*op.inputs, *op.outputs) if t >= 0)
        numbers = {tensor: place for place, tensor in enumerate(used)}
        model, part = schema.ModelT(), schema.SubGraphT()
        model.version, model.operatorCodes = 3, self._model.operatorCodes
        model.buffers, part.tensors, part.operators = [schema.BufferT()], [], []
        shared: dict[int, int] = {}

        def take(tensor: Any, constant: bool) -> Any:
            new = copy.copy(tensor)
            stored, new.buffer = new.buffer, 0
            if constant:
                if stored not in shared:
                    shared[stored] = len(model.buffers)
                    model.buffers.append(copy.copy(self._model.buffers[stored]))
                new.buffer = shared[stored]
            return new

        for tensor in used:
            part.tensors.append(take(self._main.tensors[tensor], self.graph.tensors[tensor].data is not None))
        for number, op in zip(chosen, found, strict=True):
            new = copy.copy(self._main.operators[number])
            new.inputs = [numbers.get(t, -1) for t in op.inputs]
            new.outputs = [numbers[t] for t in op.outputs]
            part.operators.append(new)
        part.inputs, part.outputs = [numbers[t] for t in inputs], [numbers[t] for t in outputs]
        model.subgraphs = [part]
        # operators name the graphs that they call by number, so that all come along
        for called in self._model.subgraphs[1:] if any(op.calls for op in found) else ():
            graph = copy.copy(called)
            graph.tensors = [take(tensor, True) for tensor in called.tensors]
            model.subgraphs.append(graph)
        if change is not None:
            change(model, [self.graph.tensors[t] for t in used], [op.name for op in found])
        size = sum(len(b.data) for b in model.buffers if b.data is not None)
        content = pack_model(model, size + 1000 * len(chosen))
        return Cut(content, tuple(inputs), tuple(outputs), tuple(part.inputs), tuple(part.outputs))

    @property
    def _main(self) -> Any:
        return self._model.subgraphs[0]

    def _with_constants(self, operators: Iterable[int]) -> list[int]:
        """Add, in the order of the graph, the operators whose inputs are constants and whose results are read."""
        chosen, fresh = set(operators), set(operators)
        for _ in range(_DEEPEST):
            read = {tensor for number in fresh for tensor in self.graph.operators[number].inputs}
            fresh = {self._producers[t] for t in read if t in self._producers} - chosen
            fresh = {number for number in fresh if self.is_constant(number)}
            if not fresh:
                break
            chosen |= fresh
        return sorted(chosen)

    def is_constant(self, operator: int) -> bool:
        """Return whether an operator computes from constants alone, which the runtime does once."""
        return operator in self._constant

    @cached_property
    def _constant(self) -> frozenset[int]:
        known = {tensor.index for tensor in self.graph.tensors if tensor.data is not None} | {-1}
        found = set()
        for number, operator in enumerate(self.graph.operators):
            if all(tensor in known for tensor in operator.inputs):
                found.add(number)
                known.update(operator.outputs)
        return frozenset(found)

    def _describe(self, tensor: int) -> str:
        if tensor < 0:
            return "none"
        info = self.graph.tensors[tensor]
        kind = "constant" if info.data is not None else "computed"
        return f"{info.dtype}{list(info.shape)} {kind} {len(info.scales)} {'sparse' if info.sparse else ''}"


def _unpack(content: bytes) -> Any:
    """Unpack what is cut: the main graph, the codes of operators, and constants; not what else a file may hold."""
    from ai_edge_litert import schema_py_generated as schema

    packed = schema.Model.GetRootAs(content, 0)
    model = schema.ModelT()
    codes = (packed.OperatorCodes(i) for i in range(packed.OperatorCodesLength()))
    model.operatorCodes = [schema.OperatorCodeT.InitFromObj(code) for code in codes]
    model.buffers = [schema.BufferT.InitFromObj(packed.Buffers(i)) for i in range(packed.BuffersLength())]
    gather_buffers(content, model.buffers)
    model.subgraphs = [schema.SubGraphT.InitFromObj(packed.Subgraphs(0))]
    return model
