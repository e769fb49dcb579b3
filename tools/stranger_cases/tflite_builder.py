"""Writes small TFLite files of any graph, also such as no converter makes."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

Types, Operators, Options = schema.TensorType, schema.BuiltinOperator, schema.BuiltinOptions


class GraphBuilder:
    """One graph of a file; tensors are known by their number."""

    def __init__(self, file: FileBuilder) -> None:
        self._file = file
        self.made = schema.SubGraphT()
        self.made.tensors, self.made.operators, self.made.inputs, self.made.outputs = [], [], [], []

    def tensor(self, name: str, shape: tuple[int, ...], kind: int = Types.FLOAT32, data: Any = None) -> int:
        """Add a tensor: computed, or constant where `data` is an array."""
        one = schema.TensorT()
        one.name, one.shape, one.type, one.buffer = name, list(shape), kind, 0
        if data is not None:
            one.buffer = self._file.buffer(np.asarray(data).tobytes())
        self.made.tensors.append(one)
        return len(self.made.tensors) - 1

    def operator(self, code: int, inputs: list[int], outputs: list[int], options: tuple[int, Any] = (0, None)) -> None:
        """Add an operator; `options` is the number of their kind in the schema, and the object."""
        one = schema.OperatorT()
        one.opcodeIndex, one.inputs, one.outputs = self._file.code(code), inputs, outputs
        one.builtinOptionsType, one.builtinOptions = options
        self.made.operators.append(one)

    def ends(self, inputs: list[int], outputs: list[int]) -> None:
        """Name the graph's inputs and outputs."""
        self.made.inputs, self.made.outputs = inputs, outputs


class FileBuilder:
    """A TFLite file."""

    def __init__(self) -> None:
        self._codes: list[int] = []
        self._buffers = [schema.BufferT()]
        self._graphs: list[GraphBuilder] = []

    def graph(self) -> GraphBuilder:
        """Add a graph; the first is the main one."""
        self._graphs.append(GraphBuilder(self))
        return self._graphs[-1]

    def buffer(self, content: bytes) -> int:
        """Add a buffer; its number."""
        one = schema.BufferT()
        one.data = np.frombuffer(content, np.uint8)
        self._buffers.append(one)
        return len(self._buffers) - 1

    def code(self, number: int) -> int:
        """Find or add an operator's code; its place."""
        if number not in self._codes:
            self._codes.append(number)
        return self._codes.index(number)

    def content(self) -> bytes:
        """Write the file."""
        import flatbuffers

        model = schema.ModelT()
        model.version, model.description, model.buffers = 3, "made by hand", self._buffers
        model.subgraphs, model.operatorCodes = [graph.made for graph in self._graphs], []
        for number in self._codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = number, min(number, 127), 1
            model.operatorCodes.append(entry)
        builder = flatbuffers.Builder(4096)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def endless_model() -> bytes:
    """float32[1, 4, 4, 3] in, [1, 48] out, through a WHILE whose condition always holds."""
    file = FileBuilder()
    main, condition, body = file.graph(), file.graph(), file.graph()
    image, flat, scores = main.tensor("image", (1, 4, 4, 3)), main.tensor("flat", (1, 48)), main.tensor("out", (1, 48))
    _reshape(main, image, flat, [1, 48])
    options = schema.WhileOptionsT()
    options.condSubgraphIndex, options.bodySubgraphIndex = 1, 2
    main.operator(Operators.WHILE, [flat], [scores], (Options.WhileOptions, options))
    main.ends([image], [scores])
    value, yes = condition.tensor("value", (1, 48)), condition.tensor("yes", (1,), Types.BOOL, [True])
    result = condition.tensor("result", (1,), Types.BOOL)
    condition.operator(
        Operators.LOGICAL_OR, [yes, yes], [result], (Options.LogicalOrOptions, schema.LogicalOrOptionsT())
    )
    condition.ends([value], [result])
    value, new = body.tensor("value", (1, 48)), body.tensor("new", (1, 48))
    body.operator(Operators.ABS, [value], [new], (Options.AbsOptions, schema.AbsOptionsT()))
    body.ends([value], [new])
    return file.content()


def self_calling_model() -> bytes:
    """The same, with a loop whose body holds the loop itself."""
    file = FileBuilder()
    graphs = [file.graph(), file.graph(), file.graph()]
    for graph in (graphs[0], graphs[2]):
        image, scores = graph.tensor("image", (1, 4, 4, 3)), graph.tensor("out", (1, 4, 4, 3))
        options = schema.WhileOptionsT()
        options.condSubgraphIndex, options.bodySubgraphIndex = 1, 2
        graph.operator(Operators.WHILE, [image], [scores], (Options.WhileOptions, options))
        graph.ends([image], [scores])
    value = graphs[1].tensor("value", (1, 4, 4, 3))
    graphs[1].ends([value], [graphs[1].tensor("yes", (1,), Types.BOOL, [True])])
    return file.content()


def many_outputs_model(classes: int) -> bytes:
    """float32[1, 4, 4, 3] in, [1, classes] out: one value, spread over all classes."""
    file = FileBuilder()
    graph = file.graph()
    image, mean, one = graph.tensor("image", (1, 4, 4, 3)), graph.tensor("mean", (1,)), graph.tensor("one", (1, 1))
    axes = graph.tensor("axes", (3,), Types.INT32, np.int32([1, 2, 3]))
    graph.operator(Operators.MEAN, [image, axes], [mean], (Options.ReducerOptions, schema.ReducerOptionsT()))
    _reshape(graph, mean, one, [1, 1])
    times, scores = graph.tensor("times", (2,), Types.INT32, np.int32([1, classes])), graph.tensor("out", (1, classes))
    graph.operator(Operators.TILE, [one, times], [scores], (Options.TileOptions, schema.TileOptionsT()))
    graph.ends([image], [scores])
    return file.content()


def understated_model(side: int) -> bytes:
    """A sum of a column and a row that the file calls [1, 48] and the runtime makes [side, side]."""
    file = FileBuilder()
    graph = file.graph()
    image, mean = graph.tensor("image", (1, 4, 4, 3)), graph.tensor("mean", (1,))
    axes = graph.tensor("axes", (4,), Types.INT32, np.arange(4, dtype=np.int32))
    graph.operator(Operators.MEAN, [image, axes], [mean], (Options.ReducerOptions, schema.ReducerOptionsT()))
    column = graph.tensor("column", (side, 1), data=np.ones((side, 1), np.float32))
    row = graph.tensor("row", (1, side), data=np.ones((1, side), np.float32))
    add = (Options.AddOptions, schema.AddOptionsT())
    tall, scores = graph.tensor("tall", (side, 1)), graph.tensor("scores", (1, 48))
    graph.operator(Operators.ADD, [column, mean], [tall], add)
    graph.operator(Operators.ADD, [tall, row], [scores], add)
    graph.ends([image], [scores])
    return file.content()


def folded_model(count: int) -> bytes:
    """float32[1, 4, 4, 3] in, [1, 48] out, and `count` numbers that a runtime computes on opening it."""
    file = FileBuilder()
    graph = file.graph()
    image, scores = graph.tensor("image", (1, 4, 4, 3)), graph.tensor("out", (1, 48))
    _reshape(graph, image, scores, [1, 48])
    ends = [graph.tensor(f"end {value}", (), Types.INT32, np.int32(value)) for value in (0, count, 1)]
    numbers = graph.tensor("numbers", (1,), Types.INT32)
    graph.operator(Operators.RANGE, ends, [numbers], (Options.RangeOptions, schema.RangeOptionsT()))
    graph.ends([image], [scores])
    return file.content()


def _reshape(graph: GraphBuilder, source: int, target: int, shape: list[int]) -> None:
    sizes = graph.tensor(f"shape of {target}", (len(shape),), Types.INT32, np.int32(shape))
    options = schema.ReshapeOptionsT()
    options.newShape = shape
    graph.operator(Operators.RESHAPE, [source, sizes], [target], (Options.ReshapeOptions, options))


def plain_model() -> bytes:
    """float32[1, 4, 4, 3] in, [1, 48] probabilities out: a softmax of the pixels."""
    file = FileBuilder()
    graph = file.graph()
    image, flat, scores = graph.tensor("image", (1, 4, 4, 3)), graph.tensor("flat", (1, 48)), graph.tensor("o", (1, 48))
    _reshape(graph, image, flat, [1, 48])
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    graph.operator(Operators.SOFTMAX, [flat], [scores], (Options.SoftmaxOptions, options))
    graph.ends([image], [scores])
    return file.content()


def labelled_model(labels: list[str] | None = None) -> bytes:
    """The plain model with standard metadata and an archive of labels, as other tools write them."""
    return _with_metadata({}, labels, b"")


def sealed_model(labels: list[str] | None = None, provenance: bytes = b"{}") -> bytes:
    """The same with a provenance, a JSON object, and a seal that fits: a checksum, which everybody can compute."""
    from edgeclf.artifact.provenance import BUFFER_NAME, EMPTY_SEAL, seal

    separator = b"" if provenance == b"{}" else b", "
    text = b'{"seal": "' + EMPTY_SEAL + b'"' + separator + provenance[1:]
    return seal(_with_metadata({BUFFER_NAME: text}, labels, EMPTY_SEAL))


def _with_metadata(buffers: dict[str, bytes], labels: list[str] | None, comment: bytes) -> bytes:
    from edgeclf.artifact.metadata import BUFFER_NAME
    from edgeclf.artifact.metadata_writer import append_labels, metadata_buffer
    from edgeclf.artifact.pixels import RAW
    from edgeclf.artifact.tflite_editor import TfliteEditor

    editor = TfliteEditor(plain_model())
    editor.set_metadata({**buffers, BUFFER_NAME: metadata_buffer("plain", "plain", 4, 4, 3, RAW)}, "plain")
    return append_labels(editor.pack(), labels or [f"class {i}" for i in range(48)], comment)


def endless_numbers_model() -> bytes:
    """float32[1, 4, 4, 3] in, [1, 48] out: pixels divided by zero, which gives NaN and infinity."""
    file = FileBuilder()
    graph = file.graph()
    image, flat, scores = graph.tensor("image", (1, 4, 4, 3)), graph.tensor("flat", (1, 48)), graph.tensor("o", (1, 48))
    zero = graph.tensor("zero", (1,), data=np.zeros(1, np.float32))
    _reshape(graph, image, flat, [1, 48])
    graph.operator(Operators.DIV, [flat, zero], [scores], (Options.DivOptions, schema.DivOptionsT()))
    graph.ends([image], [scores])
    return file.content()
