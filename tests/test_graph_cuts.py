"""Operators that are cut out of a graph compute what they compute in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tflite_models
from ai_edge_litert import schema_py_generated as schema

from edgeclf.artifact.graph_cuts import GraphCutter
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.tflite_editor import TfliteEditor, pack_model
from edgeclf.compression.export.graph_parts import PartwiseRun
from edgeclf.errors import ModelError
from edgeclf.inference.litert import LITERT


def test_an_edited_constant_shows_in_what_is_cut_out_after_that() -> None:
    editor = TfliteEditor(tflite_models.bare("float_0_1"))
    (place,) = (i for i, op in enumerate(editor.graph.operators) if op.name == "CONV_2D" and i == 0)
    operator, cutter = editor.graph.operators[place], GraphCutter(editor)
    before = cutter.cut([place])
    assert (before.inputs, before.outputs) == ((editor.graph.input_indices[0],), (operator.outputs[0],))
    for index in operator.inputs[1:]:
        editor.set_constant(index, np.zeros(editor.graph.tensors[index].shape, np.float32))
    after = cutter.cut([place])
    shape = editor.graph.tensors[before.inputs[0]].shape
    image = np.random.default_rng(0).random(shape).astype(np.float32)
    results = []
    for cut in (before, after):
        session = LITERT.open(ModelFile(cut.content, "cut"))
        session.run_tensors({cut.places[0]: image})
        results.append(session.read(cut.result_places[0]))
    assert results[0].any()
    assert not results[1].any()


def loop() -> bytes:
    """A graph that adds 3 to its input until it is 10 or more, and doubles that."""
    codes = [schema.BuiltinOperator.WHILE, schema.BuiltinOperator.LESS, schema.BuiltinOperator.ADD]
    model = schema.ModelT()
    model.version, model.operatorCodes, model.buffers, model.subgraphs = 3, [], [schema.BufferT()], []
    for code in codes:
        made = schema.OperatorCodeT()
        made.builtinCode = made.deprecatedBuiltinCode = code
        made.version = 1
        model.operatorCodes.append(made)

    def operator(code: int, inputs: list[int], kind: int, options: Any) -> Any:
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = code, inputs, [len(inputs)]
        made.builtinOptionsType, made.builtinOptions = kind, options
        return made

    def graph(constant: float | None, made: Any, result: int = 0) -> None:
        one = schema.SubGraphT()
        one.tensors, one.operators, one.inputs, one.outputs = [], [made], [0], [int(made.outputs[0])]
        for number in range(int(made.outputs[0]) + 1):
            tensor = schema.TensorT()
            tensor.name, tensor.shape, tensor.buffer, tensor.type = f"t{number}".encode(), [1], 0, 0
            if constant is not None and number == 1:
                buffer = schema.BufferT()
                buffer.data = np.frombuffer(np.array([constant], "<f4").tobytes(), np.uint8)
                model.buffers.append(buffer)
                tensor.buffer = len(model.buffers) - 1
            one.tensors.append(tensor)
        one.tensors[-1].type = result
        model.subgraphs.append(one)

    calls = schema.WhileOptionsT()
    calls.condSubgraphIndex, calls.bodySubgraphIndex = 1, 2
    options = schema.BuiltinOptions
    graph(None, operator(0, [0], options.WhileOptions, calls))
    graph(10.0, operator(1, [0, 1], options.LessOptions, schema.LessOptionsT()), schema.TensorType.BOOL)
    graph(3.0, operator(2, [0, 1], options.AddOptions, schema.AddOptionsT()))
    main = model.subgraphs[0]
    doubled = operator(2, [1, 1], options.AddOptions, schema.AddOptionsT())
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.buffer, tensor.type = b"doubled", [1], 0, 0
    main.tensors.append(tensor)
    main.operators.append(doubled)
    main.outputs = [2]
    return pack_model(model, 4000)


def test_a_loop_is_cut_out_of_an_own_graph_with_what_it_calls_and_not_out_of_a_strangers() -> None:
    content = loop()
    run = PartwiseRun(TfliteEditor(content), np.array([[1.0], [12.0]], np.float32))
    run.advance(1)
    assert run.values(1).ravel().tolist() == [10.0, 12.0]
    run.advance(2)
    assert run.values(2).ravel().tolist() == [20.0, 24.0]
    with pytest.raises(ModelError, match="cannot be cut out"):
        GraphCutter(content).cut([0])
