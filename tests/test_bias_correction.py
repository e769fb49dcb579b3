"""Bias correction takes back the mean error of each layer, in one pass over the network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeclf.artifact.tflite import parse
from edgeclf.artifact.tflite_editor import TfliteEditor
from edgeclf.compression.export.graph_queries import weighted_operators

pytest.importorskip("tf_keras")
import residual_network
from residual_network import IMAGES


@pytest.fixture(scope="module")
def network() -> Any:
    return residual_network.build()


def quantized(network: Any) -> tuple[Any, bytes]:
    """What flows through the float graph, and the int8 graph before the correction."""
    from edgeclf.compression.export.int8_format import observe, quantize_observed

    observed = observe(network, IMAGES)
    return observed, quantize_observed(observed)


def correct_slowly(content: bytes, observed: Any, feed: Any) -> bytes:
    """The same correction by definition: the whole graph runs on all images once for each layer."""
    from edgeclf.compression.export.bias_correction import real_weights, response
    from edgeclf.compression.export.observation import Observer, mean_patch

    float_model = parse(observed.content)
    twins = {float_model.tensors[op.inputs[1]].name: op for op in weighted_operators(float_model)}
    editor = TfliteEditor(content)
    model = editor.graph
    for op in weighted_operators(model):
        observer, total = Observer(editor.pack()), 0.0
        for image in IMAGES:
            observer.run(feed(image))
            total = total + mean_patch(model, op, observer.real(op.inputs[0]).astype(np.float64))
        weight, bias, entry = (model.tensors[op.inputs[i]] for i in (1, 2, 0))
        twin = twins[weight.name]
        exact = response(op, real_weights(float_model.tensors[twin.inputs[1]]), observed.patches[twin.inputs[1]])
        difference = exact - response(op, real_weights(weight), total / len(IMAGES))
        steps = np.rint(difference / (np.float64(entry.scale) * weight.scales))
        editor.set_constant(bias.index, (np.asarray(bias.values(), np.int64) + steps.astype(np.int64)).astype("<i4"))
    return editor.pack()


def biases(content: bytes) -> list[Any]:
    model = parse(content)
    return [model.tensors[op.inputs[2]].values() for op in weighted_operators(model)]


def test_one_pass_gives_the_biases_that_one_run_for_each_layer_gives(network: Any) -> None:
    from edgeclf.compression.export.bias_correction import correct_biases
    from edgeclf.compression.export.observation import pixel_feeder

    observed, content = quantized(network)
    feed = pixel_feeder(observed.input_max)
    fast = correct_biases(content, observed.content, observed.patches, IMAGES, feed)
    before, after = biases(content), biases(fast)
    assert len(after) == 5
    assert any((old != new).any() for old, new in zip(before, after, strict=True))
    for got, expected in zip(after, biases(correct_slowly(content, observed, feed)), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_parts_of_a_graph_compute_what_the_graph_computes(network: Any) -> None:
    from edgeclf.compression.export.graph_parts import PartwiseRun
    from edgeclf.compression.export.observation import Observer, pixel_feeder

    observed, content = quantized(network)
    feed = pixel_feeder(observed.input_max)
    graph = parse(content)
    run = PartwiseRun(TfliteEditor(content), np.stack([feed(image) for image in IMAGES]))
    assert run.mean(graph.input_indices[0]).shape == (1, 16, 16, 3)
    for place in range(1, len(graph.operators) + 1):
        run.advance(place)
    results = run.values(graph.output_indices[0])
    observer = Observer(content)
    for image, result in zip(IMAGES, results, strict=True):
        observer.run(feed(image))
        np.testing.assert_array_equal(result, observer.read(graph.output_indices[0]))
