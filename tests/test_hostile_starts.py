"""TFLite files that nobody trained as the start of a training: each is one line of ModelError."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
from stranger_cases.tflite_builder import FileBuilder, GraphBuilder, Operators, Options, Types

from edgeclf.artifact.model_file import ModelFile
from edgeclf.errors import ModelError
from edgeclf.keras_files.tflite_network import read_tflite_network

Made = tuple[FileBuilder, GraphBuilder, int, int]


def start() -> Made:
    """A graph from float32[1, 8, 8, 3] to float32[1, 4], its operators to be added."""
    file = FileBuilder()
    graph = file.graph()
    image, scores = graph.tensor("image", (1, 8, 8, 3)), graph.tensor("scores", (1, 4))
    graph.ends([image], [scores])
    return file, graph, image, scores


def options(kind: str, **values: Any) -> tuple[int, Any]:
    made = getattr(schema, f"{kind}T")()
    for name, value in values.items():
        setattr(made, name, value)
    return getattr(Options, kind), made


def convolution(**values: Any) -> tuple[int, Any]:
    return options("Conv2DOptions", **{"strideW": 1, "strideH": 1, **values})


def classify(graph: GraphBuilder, source: int, scores: int, channels: int, **values: Any) -> None:
    """Mean over the image, and a dense layer."""
    pooled = graph.tensor("pooled", (1, channels))
    axes = graph.tensor("axes", (2,), Types.INT32, np.int32([1, 2]))
    graph.operator(Operators.MEAN, [source, axes], [pooled], options("ReducerOptions"))
    kernel = graph.tensor("dense", (4, channels), data=np.ones((4, channels), np.float32))
    graph.operator(Operators.FULLY_CONNECTED, [pooled, kernel], [scores], options("FullyConnectedOptions", **values))


def kernel(graph: GraphBuilder, shape: tuple[int, ...], value: float = 0.1) -> int:
    return graph.tensor("kernel", shape, data=np.full(shape, value, np.float32))


def convolved(
    shape: tuple[int, ...] = (5, 3, 3, 3),
    given: tuple[int, Any] | None = None,
    made: tuple[int, ...] = (1, 8, 8, 5),
    value: float = 0.1,
) -> bytes:
    """One convolution and a head."""
    file, graph, image, scores = start()
    maps = graph.tensor("maps", made)
    operands = [image, kernel(graph, shape, value)]
    graph.operator(Operators.CONV_2D, operands, [maps], convolution() if given is None else given)
    classify(graph, maps, scores, made[-1])
    return file.content()


def elementwise(operands: int, shape: tuple[int, ...]) -> bytes:
    """A multiplication of the image with a constant."""
    file, graph, image, scores = start()
    maps = graph.tensor("maps", (1, 8, 8, 3))
    factors = [kernel(graph, shape)] * (operands - 1)
    graph.operator(Operators.MUL, [image, *factors], [maps], options("MulOptions"))
    classify(graph, maps, scores, 3)
    return file.content()


def padded(sides: Any, made: tuple[int, ...]) -> bytes:
    file, graph, image, scores = start()
    maps = graph.tensor("maps", made)
    stored = graph.tensor("sides", np.shape(sides), Types.INT32, np.int32(sides))
    graph.operator(Operators.PAD, [image, stored], [maps], options("PadOptions"))
    classify(graph, maps, scores, 3)
    return file.content()


def joined(axis: int) -> bytes:
    file, graph, image, scores = start()
    maps = graph.tensor("maps", (2, 8, 8, 3))
    graph.operator(Operators.CONCATENATION, [image, image], [maps], options("ConcatenationOptions", axis=axis))
    classify(graph, maps, scores, 3)
    return file.content()


def circle() -> bytes:
    """Two sums that take each other's result."""
    file, graph, image, scores = start()
    one, other = graph.tensor("one", (1, 8, 8, 3)), graph.tensor("other", (1, 8, 8, 3))
    graph.operator(Operators.ADD, [image, other], [one], options("AddOptions"))
    graph.operator(Operators.ADD, [image, one], [other], options("AddOptions"))
    classify(graph, other, scores, 3)
    return file.content()


def twice(outputs: int) -> bytes:
    """An operator that computes the image itself, or one tensor twice."""
    file, graph, image, scores = start()
    maps = graph.tensor("maps", (1, 8, 8, 3))
    graph.operator(Operators.RELU, [image], [[image], [maps, maps], []][outputs])
    classify(graph, image, scores, 3)
    return file.content()


def dequantized_of_nothing() -> bytes:
    """A kernel that a DEQUANTIZE computes, which has no input."""
    file, graph, image, scores = start()
    maps, made = graph.tensor("maps", (1, 8, 8, 5)), graph.tensor("made", (5, 3, 3, 3))
    graph.operator(Operators.DEQUANTIZE, [], [made])
    graph.operator(Operators.CONV_2D, [image, made], [maps], convolution())
    classify(graph, maps, scores, 5)
    return file.content()


def shared_weights() -> bytes:
    """A hundred convolutions whose kernels are the same bytes, eight megabytes each."""
    file, graph, image, scores = start()
    filters = 250_000
    first = kernel(graph, (filters, 1, 1, 3))
    buffer = graph.made.tensors[first].buffer
    sums = image
    for _ in range(100):
        again = graph.tensor("again", (filters, 1, 1, 3))
        graph.made.tensors[again].buffer = buffer
        maps, pooled = graph.tensor("maps", (1, 1, 1, filters)), graph.tensor("small", (1, 1, 1, 3))
        sides = options("Pool2DOptions", strideW=8, strideH=8, filterWidth=8, filterHeight=8)
        graph.operator(Operators.AVERAGE_POOL_2D, [image], [pooled], sides)
        graph.operator(Operators.CONV_2D, [pooled, again], [maps], convolution())
        sums = maps
    classify(graph, sums, scores, 4)
    return file.content()


def long_chain() -> bytes:
    file, graph, image, scores = start()
    at = image
    for _ in range(6000):
        new = graph.tensor("", (1, 8, 8, 3))
        graph.operator(Operators.RELU, [at], [new])
        at = new
    classify(graph, at, scores, 3)
    return file.content()


def no_head() -> bytes:
    """An output that stands for four classes and is computed by nothing."""
    return start()[0].content()


BROKEN = {
    "a circle": (circle, "input 1 to be a constant|depend on the image"),
    "the image is computed again": (lambda: twice(0), "which nothing else computes"),
    "one output twice": (lambda: twice(1), "expected one output"),
    "no output": (lambda: twice(2), "expected one output"),
    "no options": (lambda: convolved(given=(0, None)), "has no options|should have options"),
    "options of another kind": (lambda: convolved(given=options("Pool2DOptions", strideW=1, strideH=1)), "options of"),
    "negative stride": (lambda: convolved(given=convolution(strideW=-1)), "has stride_w -1"),
    "huge stride": (lambda: convolved(given=convolution(strideH=2**31 - 1)), "has stride_h"),
    "stride and dilation": (
        lambda: convolved(given=convolution(strideW=2, strideH=2, dilationHFactor=2, dilationWFactor=2)),
        "sizes do not fit|expected an output of shape",
    ),
    "unknown padding": (lambda: convolved(given=convolution(padding=7)), "expected the padding 0"),
    "unknown activation": (lambda: convolved(given=convolution(fusedActivationFunction=5)), "activation function 5"),
    "kernel of two dimensions": (lambda: convolved(shape=(5, 27)), "4 dimensions"),
    "grouped": (lambda: convolved(shape=(5, 3, 3, 1)), "grouped"),
    "no filters": (lambda: convolved(shape=(0, 3, 3, 3), made=(1, 8, 8, 5)), "constant|fit|shape"),
    "another shape": (lambda: convolved(made=(1, 4, 4, 5)), r"expected an output of shape \[1, 4, 4, 5\]"),
    "not finite": (lambda: convolved(value=float("nan")), "not finite"),
    "one operand": (lambda: elementwise(1, (1,)), "expected 2 inputs, got 1"),
    "three operands": (lambda: elementwise(3, (1,)), "expected 2 inputs, got 3"),
    "a constant of a column": (lambda: elementwise(2, (3, 1, 1)), r"constant of shape \[3, 1, 1\]"),
    "negative padding": (lambda: padded([[0, 0], [-1, 0], [0, 0], [0, 0]], (1, 7, 8, 3)), "padding of height"),
    "padding of one side": (lambda: padded([[0], [1], [1], [0]], (1, 8, 8, 3)), "padding of height"),
    "enormous padding": (
        lambda: padded([[0, 0], [20_000, 0], [20_000, 0], [0, 0]], (1, 20_008, 20_008, 3)),
        "needs at most 1,000 MB",
    ),
    "joined images": (lambda: joined(0), "axis"),
    "joined nowhere": (lambda: joined(9), "axis"),
    "dequantized of nothing": (dequantized_of_nothing, "constant"),
    "the same weights a hundred times": (shared_weights, "more weights than it has bytes"),
    "six thousand operators": (long_chain, "at most 5,000 operators, got 6,002"),
    "computed by nothing": (no_head, "does not depend on the image"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_hostile_start_is_one_line(name: str) -> None:
    make, reason = BROKEN[name]
    with pytest.raises(ModelError, match=reason) as caught:
        read_tflite_network(ModelFile(make(), "start.tflite"))
    assert str(caught.value).startswith("start.tflite: ")
    assert "\n" not in str(caught.value)


def subtracted(kind: str, operator: int, constant: float) -> bytes:
    """The image less a constant, or divided by it, with ReLU in the same operator."""
    file, graph, image, scores = start()
    maps = graph.tensor("maps", (1, 8, 8, 3))
    values = graph.tensor("constant", (3,), data=np.full(3, constant, np.float32))
    graph.operator(operator, [image, values], [maps], options(f"{kind}Options", fusedActivationFunction=1))
    classify(graph, maps, scores, 3)
    return file.content()


@pytest.mark.parametrize(("kind", "operator"), [("Sub", Operators.SUB), ("Div", Operators.DIV)])
def test_an_activation_inside_arithmetic_is_read(kind: str, operator: int) -> None:
    network = read_tflite_network(ModelFile(subtracted(kind, operator, 0.5), "start.tflite"))
    # half of the pixels are 1, half -1: of 1 - 0.5 and -1 - 0.5 ReLU keeps 0.5; of 2 and -2 it keeps 2
    image = np.ones((1, 8, 8, 3), np.float32)
    image[:, ::2] = -1
    mean = 3 * 0.5 / 2 if kind == "Sub" else 3 * 2 / 2
    np.testing.assert_allclose(network(image), np.full((1, 4), mean), rtol=1e-6)


def test_a_division_by_zero_is_refused() -> None:
    with pytest.raises(ModelError, match="it divides by zero"):
        read_tflite_network(ModelFile(subtracted("Div", Operators.DIV, 0.0), "start.tflite"))


def deep_chain(count: int) -> bytes:
    file, graph, image, scores = start()
    for number in range(count):
        maps = graph.tensor(f"maps{number}", (1, 8, 8, 3))
        graph.operator(Operators.RELU, [image], [maps])
        image = maps
    classify(graph, image, scores, 3)
    return file.content()


def test_more_layers_in_a_row_than_keras_can_build_are_refused() -> None:
    with pytest.raises(ModelError, match="more layers in a row than tf-keras can build"):
        read_tflite_network(ModelFile(deep_chain(1500), "start.tflite"))


def test_a_reason_is_given_once() -> None:
    """What a builder refuses is no fault of the sizes."""
    with pytest.raises(ModelError) as caught:
        read_tflite_network(ModelFile(convolved(shape=(5, 3, 3, 1)), "start.tflite"))
    assert str(caught.value).count("cannot be read into a network") == 1
    assert str(caught.value).endswith("it is a grouped convolution")


def test_a_plain_start_is_read() -> None:
    network = read_tflite_network(ModelFile(convolved(), "start.tflite"))
    image = np.ones((1, 8, 8, 3), np.float32)
    # 36 of 64 places see 27 pixels, 24 at the edges 18, 4 in the corners 12, each times 0.1
    mean = 0.1 * (36 * 27 + 24 * 18 + 4 * 12) / 64
    np.testing.assert_allclose(network(image), np.full((1, 4), 5 * mean), rtol=1e-5)
