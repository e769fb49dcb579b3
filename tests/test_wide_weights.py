"""4-bit weights that the runtime gets in eight bits: the same integers and scales, in a copy of the file's bytes."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tflite_models
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.tflite import parse
from edgeclf.artifact.tflite_editor import TfliteEditor
from edgeclf.artifact.wide_weights import find_int4_weights, with_int8_weights
from edgeclf.errors import DamagedModelError
from edgeclf.inference.delegation import find_delegated
from edgeclf.inference.litert import LITERT


def widened(content: bytes) -> bytes:
    return with_int8_weights(content, parse(content))


def dtypes(content: bytes) -> dict[str, str]:
    return {tensor.name: tensor.dtype for tensor in parse(content).tensors}


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
    assert dtypes(widened(content)) == dtypes(content)
    editor = TfliteEditor(tflite_models.bare("int4"))
    first, *others = find_int4_weights(editor.graph)
    other = copy.copy(editor.unpacked.subgraphs[0])
    other.tensors, other.operators, other.inputs, other.outputs = [other.tensors[first]], [], [0], [0]
    editor.unpacked.subgraphs.append(other)
    wide = parse(widened(editor.pack()))
    assert [wide.tensors[index].dtype for index in (first, *others)] == ["int4", *["int8"] * len(others)]


def test_layers_that_share_their_weights_both_get_them() -> None:
    def share(graph: Any, weights: list[int]) -> None:
        place = {tuple(graph.tensors[index].shape): index for index in weights}
        for index in weights:  # equal shapes only
            graph.tensors[index].buffer = graph.tensors[place[tuple(graph.tensors[index].shape)]].buffer

    content = edited(share)
    weights = find_int4_weights(parse(content))
    stored, wide = parse(content), parse(widened(content))
    for index in weights:
        assert wide.tensors[index].dtype == "int8"
        np.testing.assert_array_equal(stored.tensors[index].values(), wide.tensors[index].values())


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
