"""4-bit weights that the runtime gets in eight bits: the same integers and scales, in a copy of the file's bytes."""

from __future__ import annotations

import contextlib
import copy
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tflite_models
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeclf.artifact.flatbuffer_reader import Reader
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.tflite import parse
from edgeclf.artifact.tflite_editor import TfliteEditor
from edgeclf.artifact.wide_weights import find_int4_weights, with_int8_weights
from edgeclf.errors import DamagedModelError, ModelError
from edgeclf.inference.delegation import find_delegated
from edgeclf.inference.litert import LITERT

BUFFERS = 4  # field of the schema's Model table


def widened(content: bytes) -> bytes:
    return with_int8_weights(content, parse(content))


def test_the_integers_and_scales_are_the_same() -> None:
    content = tflite_models.packaged("int4")
    stored, wide = parse(content), parse(widened(content))
    found = find_int4_weights(stored)
    assert found
    for before, after in zip(stored.tensors, wide.tensors, strict=True):
        narrow = before.index in found
        assert (before.dtype == "int4") is narrow
        assert after.dtype == ("int8" if narrow else before.dtype)
        assert (before.shape, before.name, before.axis) == (after.shape, after.name, after.axis)
        assert before.scales.tolist() == after.scales.tolist()
        if before.data is not None:
            np.testing.assert_array_equal(before.values(), after.values())
    assert stored.metadata == wide.metadata


def test_nothing_moves_in_the_copy() -> None:
    content = tflite_models.packaged("int4")
    wide = widened(content)
    weights = find_int4_weights(parse(content))
    changed = np.flatnonzero(np.frombuffer(content, np.uint8) != np.frombuffer(wide[: len(content)], np.uint8))
    # of each tensor the byte of its type, and at most the four of where its data lie
    assert len(weights) <= len(changed) <= 5 * len(weights)
    added = sum(parse(content).tensors[index].elements for index in weights)
    assert added <= len(wide) - len(content) <= added + 20 * len(weights)
    starts = [wide.index(bytes(t.data), len(content)) for t in parse(wide).tensors if t.index in weights and t.data]
    assert all(start % 16 == 0 for start in starts)


@pytest.mark.parametrize("name", ["uint8", "int16x8", "float_0_255"])
def test_a_file_without_such_weights_is_not_copied(name: str) -> None:
    content = tflite_models.bare(name)
    assert widened(content) is content


def edited(change: Callable[[Any, list[int]], None]) -> bytes:
    """`int4` after a change of its main graph, which gets the numbers of the tensors with 4-bit weights too."""
    editor = TfliteEditor(tflite_models.bare("int4"))
    change(editor.unpacked.subgraphs[0], list(find_int4_weights(editor.graph)))
    return editor.pack()


def read_as_input(graph: Any, weights: list[int]) -> None:
    reader = next(op for op in graph.operators if weights[0] in op.inputs)
    reader.inputs = [weights[0], weights[0], reader.inputs[2]]


def make_output(graph: Any, weights: list[int]) -> None:
    graph.outputs = [*graph.outputs, weights[0]]


def compute_in_float(graph: Any, weights: list[int]) -> None:
    reader = next(op for op in graph.operators if weights[0] in op.inputs)
    graph.tensors[reader.inputs[0]].type = 0


@pytest.mark.parametrize("change", [read_as_input, make_output, compute_in_float])
def test_what_is_not_read_as_weights_of_int8_layers_alone_stays(change: Callable[[Any, list[int]], None]) -> None:
    before = find_int4_weights(parse(tflite_models.bare("int4")))
    content = edited(change)
    assert find_int4_weights(parse(content)) == before[1:]
    assert parse(widened(content)).tensors[before[0]].dtype == "int4"


def test_weights_that_share_their_bytes_stay() -> None:
    content = tflite_models.bare("int4_shared")
    assert widened(content) is content
    assert LITERT.open(ModelFile(content, "shared")).as_stored
    editor = TfliteEditor(tflite_models.bare("int4"))
    first, *others = find_int4_weights(editor.graph)
    other = copy.copy(editor.unpacked.subgraphs[0])
    other.tensors, other.operators, other.inputs, other.outputs = [other.tensors[first]], [], [0], [0]
    editor.unpacked.subgraphs.append(other)
    wide = parse(widened(editor.pack()))
    assert [wide.tensors[index].dtype for index in (first, *others)] == ["int4", *["int8"] * len(others)]


def test_weights_whose_table_another_buffer_number_stands_for_stay() -> None:
    editor = TfliteEditor(tflite_models.bare("int4"))
    first, *others = find_int4_weights(editor.graph)
    model = editor.unpacked
    twin = copy.copy(model.subgraphs[0].tensors[first])
    twin.buffer = len(model.buffers)
    model.subgraphs[0].tensors.append(twin)
    model.buffers.append(copy.copy(model.buffers[model.subgraphs[0].tensors[first].buffer]))
    content = bytearray(editor.pack())
    places = Reader(bytes(content)).root().table_positions(BUFFERS)
    mine, its = model.subgraphs[0].tensors[first].buffer, twin.buffer
    # offsets point forward: the earlier entry of the list gets the later table
    entry, target = (mine, its) if places[its] > places[mine] else (its, mine)
    start = places[entry] - int.from_bytes(offset_bytes(bytes(content), entry), "little")
    struct.pack_into("<I", content, start, places[target] - start)
    wide = parse(widened(bytes(content)))
    assert [wide.tensors[index].dtype for index in (first, *others)] == ["int4", *["int8"] * len(others)]
    assert wide.tensors[-1].dtype == "int4"


def offset_bytes(content: bytes, number: int) -> bytes:
    """The entry of a buffer in the list of buffers, which is the distance to its table."""
    root = Reader(content).root()
    place = root.field(BUFFERS, 4)
    assert place is not None
    start = place + int.from_bytes(content[place : place + 4], "little") + 4 + 4 * number
    return content[start : start + 4]


def test_layers_that_share_their_weights_get_one_copy() -> None:
    layers = 40

    def repeat(graph: Any, weights: list[int]) -> None:
        (reader,) = (op for op in graph.operators if weights[0] in op.inputs)
        for number in range(layers):
            again = copy.copy(reader)
            for places in ("inputs", "outputs"):
                setattr(again, places, np.array(getattr(again, places)))
            made = []
            for index in (weights[0], reader.outputs[0]):
                twin = copy.copy(graph.tensors[index])
                twin.name = f"twin {number} of {index}"
                graph.tensors.append(twin)
                made.append(len(graph.tensors) - 1)
            again.inputs[1], again.outputs[0] = made
            graph.operators.append(again)

    content = edited(repeat)
    weights = find_int4_weights(parse(content))
    unlike = find_int4_weights(parse(tflite_models.bare("int4")))
    assert len(weights) == len(unlike) + layers
    stored, wide = parse(content), parse(widened(content))
    for index in weights:
        assert wide.tensors[index].dtype == "int8"
        np.testing.assert_array_equal(stored.tensors[index].values(), wide.tensors[index].values())
    added = sum(stored.tensors[index].elements for index in unlike)
    assert len(widened(content)) - len(content) <= added + 20 * len(unlike)


def test_weights_behind_the_flatbuffer_get_eight_bits_too() -> None:
    content = tflite_models.distant(tflite_models.bare("int4"))
    stored, wide = parse(content), parse(widened(content))
    weights = find_int4_weights(stored)
    assert weights
    for index in weights:
        assert wide.tensors[index].dtype == "int8"
        np.testing.assert_array_equal(stored.tensors[index].values(), wide.tensors[index].values())
    image = tflite_models.digits()[0][:1]
    sessions = [LITERT.open(ModelFile(one, "a")) for one in (content, tflite_models.bare("int4"))]
    assert not sessions[0].as_stored
    np.testing.assert_array_equal(*(session.run(image) for session in sessions))


def test_what_the_fast_kernels_refuse_is_computed_as_it_is_stored() -> None:
    def shrink_step(graph: Any, weights: list[int]) -> None:
        (reader,) = (op for op in graph.operators if weights[0] in op.inputs)
        steps = graph.tensors[reader.outputs[0]].quantization
        steps.scale = np.asarray(steps.scale, np.float32) * np.float32(1e-4)

    file = ModelFile(edited(shrink_step), "small step")
    image = tflite_models.digits()[0][:1]
    for asked in ({}, {"threads": 2}, {"also_read": [file.graph.operators[1].outputs[0]]}):
        session = LITERT.open(file, **asked)
        assert session.as_stored
        np.testing.assert_array_equal(session.run(image), LITERT.open(file, as_stored=True).run(image))
    broken = ModelFile(edited(lambda graph, weights: setattr(graph.tensors[weights[0]], "quantization", None)), "none")
    with pytest.raises(ModelError, match="none: litert refuses it"):
        LITERT.open(broken)


def test_the_fast_kernels_compute_all_sums_and_the_labels_are_those_of_other_programs() -> None:
    file = ModelFile(tflite_models.packaged("int4"), "int4")
    images, _ = tflite_models.digits()
    ours, others = LITERT.open(file), LITERT.open(file, as_stored=True)
    convolutions = {n for n, op in enumerate(file.graph.operators) if "CONV" in op.name or "FULLY" in op.name}
    assert convolutions <= find_delegated(file.graph, ours.planned_operators() or ())
    assert not convolutions <= find_delegated(file.graph, others.planned_operators() or ())
    outputs = [np.stack([session.run(image[None])[0] for image in images]).astype(int) for session in (ours, others)]
    labels = [values.argmax(axis=1) for values in outputs]
    assert (labels[0] == labels[1]).mean() > 0.98
    assert np.abs(outputs[0] - outputs[1]).max() <= 16


def test_tensors_inside_can_be_read_too() -> None:
    file = ModelFile(tflite_models.packaged("int4"), "int4")
    inner = next(op.outputs[0] for op in file.graph.operators if op.name == "CONV_2D")
    image = tflite_models.digits()[0][:1]
    seen = []
    for session in (LITERT.open(file, also_read=[inner]), LITERT.open(file, preserve_all_tensors=True)):
        session.run(image)
        seen.append(session.read(inner).astype(int))
    assert np.abs(seen[0] - seen[1]).max() <= 1


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_damage_is_an_error_or_harmless(seed: int, flips: int) -> None:
    content, random = bytearray(tflite_models.bare("int4")), np.random.default_rng(seed)
    graph = parse(bytes(content))
    for place in random.integers(0, min(len(content), 3000), flips):
        content[place] = random.integers(0, 256)
    with contextlib.suppress(DamagedModelError):
        assert len(with_int8_weights(bytes(content), graph)) <= 3 * len(content)
