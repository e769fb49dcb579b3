"""Bias correction takes back the mean error of each layer, in one pass over the network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeclf.artifact.tflite import TfliteModel, parse
from edgeclf.artifact.tflite_editor import TfliteEditor
from edgeclf.compression.export.graph_queries import weighted_operators

pytest.importorskip("tf_keras")
import residual_network
import tf_keras
from network_builds import float_network
from residual_network import IMAGES

from edgeclf.compression import StepContext
from edgeclf.compression.export.policy import QuantizationPolicy
from edgeclf.compression.export.tflite import TFLite
from edgeclf.graph.prepared_network import prepare_network


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


def test_a_grouped_convolution_is_exported() -> None:
    import tf_keras

    from edgeclf.artifact.normalization import RAW
    from edgeclf.compression.export.tflite import TFLite
    from edgeclf.compression.step import StepContext
    from edgeclf.graph.float_network import FloatNetwork, InputSpec
    from edgeclf.graph.prepared_network import prepare_network
    from edgeclf.inference.litert import LITERT

    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(0)
    inputs = layers.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(layers.Rescaling(1 / 255)(inputs))
    x = layers.Conv2D(6, 3, groups=2, activation="relu")(x)
    model = tf_keras.Model(inputs, layers.Dense(4, activation="softmax")(layers.Flatten()(x)))
    raw = FloatNetwork(model, lambda x: model(x, training=False), model, InputSpec(16, 16, RAW), tuple("abcd"))
    network = prepare_network(raw)
    made = TFLite(equalization=True, io="float32").export(network, StepContext(network, calibration_images=IMAGES))
    assert [made.graph.tensors[op.inputs[1]].shape for op in weighted_operators(made.graph)][1] == (6, 3, 3, 4)
    session = LITERT.open(made)
    found = np.concatenate([session.run(image[None].astype(np.float32)) for image in IMAGES])
    np.testing.assert_allclose(found, network.on_pixels(IMAGES), atol=0.03)


def test_layers_without_a_bias_of_their_own_are_rounded_and_corrected_too() -> None:
    """As the growth convolutions of a DenseNet, which share zeros, and a dense layer that has none at all."""
    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(0)
    x = inputs = layers.Input((8, 8, 3))
    for _ in range(3):
        x = layers.Concatenate()([x, layers.Conv2D(6, 3, padding="same", use_bias=False, activation="relu")(x)])
    outputs = layers.Dense(4, use_bias=False)(layers.GlobalAveragePooling2D()(x))
    network = prepare_network(float_network(tf_keras.Model(inputs, outputs)))
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), np.uint8)
    context = StepContext(original=network, calibration_images=images)

    def export(**settings: Any) -> TfliteModel:
        return parse(TFLite("int8", **settings).export(network, context).content)

    plain, rounded = export(rounding="nearest", bias_correction=False), export(bias_correction=False)
    pairs = list(zip(weighted_operators(plain), weighted_operators(rounded), strict=True))
    assert [op.name for op, _ in pairs] == ["CONV_2D"] * 3 + ["FULLY_CONNECTED"]
    for op, other in pairs:
        before, after = plain.tensors[op.inputs[1]].values(), rounded.tensors[other.inputs[1]].values()
        assert (np.asarray(before) != np.asarray(after)).any(), "the nearest integers stayed"
    corrected = export(rounding="nearest")
    for op in weighted_operators(corrected)[:3]:
        assert np.any(corrected.tensors[op.inputs[2]].values()), "a bias of zeros takes the mean error back"


def test_layers_in_float_take_four_bytes_a_value_and_leave_fewer_images(
    network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgeclf.compression.export import int8_format
    from edgeclf.compression.export.observation import observe_ranges, pixel_feeder

    seen: list[tuple[Any, Any]] = []

    def spy(content: bytes, exact: bytes, patches: Any, images: Any, *others: Any) -> bytes:
        seen.append((patches, images))
        return content

    # the largest tensor is the picture of 16x16x3, the largest that a layer in float computes has 8x8x8
    monkeypatch.setattr(int8_format, "CORRECTION_BYTES", 3 * 16 * 16 * 3 * len(IMAGES))
    monkeypatch.setattr(int8_format, "correct_biases", spy)
    context, observed = StepContext(network, calibration_images=IMAGES), int8_format.observe(network, IMAGES)
    for policy in (QuantizationPolicy(), QuantizationPolicy(float_layers=("*depthwise*",))):
        TFLite(io="float32", policy=policy).export(network, context)
    (whole, every), (part, fewer) = seen
    assert (len(every), len(fewer)) == (24, 24 * (16 * 16 * 3) // (4 * 8 * 8 * 8)) == (24, 9)
    graph, feed = parse(observed.content), pixel_feeder(observed.input_max)
    for patches, images in ((whole, IMAGES), (part, fewer)):
        _, mean = observe_ranges(observed.content, images, feed, range(len(images)), weighted_operators(graph))
        for index, patch in mean.items():
            np.testing.assert_allclose(patches[index], patch, rtol=1e-6)
