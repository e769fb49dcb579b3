"""Which layers of an int8 model stay in float: chosen by name or operator; what matches nothing is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tflite_models

from edgeclf.artifact.tflite import parse
from edgeclf.compression.choice import Asked, choose_recipes
from edgeclf.compression.export.policy import INT8_BY_THEMSELVES, QuantizationPolicy, layer_name
from edgeclf.compression.export.tflite import TFLite
from edgeclf.compression.recipe import Recipe
from edgeclf.errors import InputError
from edgeclf.inference.litert import LITERT

FLOAT = parse(tflite_models.bare("float_0_1"))
NAMES = [FLOAT.tensors[op.outputs[0]].name for op in FLOAT.operators]


def test_patterns_and_operators_name_layers_of_the_float_graph() -> None:
    assert QuantizationPolicy().float_nodes(FLOAT) == frozenset()
    first = layer_name(NAMES[0])
    assert QuantizationPolicy(float_layers=(first,)).float_nodes(FLOAT) == {NAMES[0]}
    behind = [layer_name(name) for name in NAMES[1:] if layer_name(name) != first]
    assert first not in {layer_name(name) for name in QuantizationPolicy(tuple(behind)).float_nodes(FLOAT)}
    convolutions = {n for n, op in zip(NAMES, FLOAT.operators, strict=True) if op.name == "CONV_2D"}
    assert QuantizationPolicy(float_operators=("conv_2d",)).float_nodes(FLOAT) == convolutions
    assert len(convolutions) == 2


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (QuantizationPolicy(("model/conv_9*",)), r"float_layers: model/conv_9\* matches no layer; the nearest"),
        (QuantizationPolicy((), ("LSTM",)), "float_operators: the network has no LSTM; it has CONV_2D, DEPTHWISE"),
        (QuantizationPolicy(("*",)), "name every layer; make a float32 model of it instead"),
    ],
)
def test_what_matches_nothing_is_refused(policy: QuantizationPolicy, message: str) -> None:
    with pytest.raises(InputError, match=message):
        policy.float_nodes(FLOAT)


def test_a_selective_recipe_has_a_file_name_of_its_own_and_a_json_round_trip() -> None:
    (recipe,) = choose_recipes(Asked(recipes="int8", settings={"float_layers": ("a*", "b"), "equalization": True}))
    assert recipe.export == TFLite(equalization=True, policy=QuantizationPolicy(("a*", "b")))
    assert recipe.name == "int8"
    assert recipe.file_name.startswith("int8-")
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert not recipe.export.integer
    with pytest.raises(InputError, match="float_layers and float_operators go with int8 models, got float16"):
        TFLite("float16", policy=QuantizationPolicy(("a",)))


def test_a_layer_in_float_computes_with_its_float_weights() -> None:
    pytest.importorskip("tf_keras")
    import residual_network

    from edgeclf.compression.step import StepContext

    network: Any = residual_network.build()
    context = StepContext(network, calibration_images=residual_network.IMAGES)
    mixed = TFLite(policy=QuantizationPolicy(("*/depthwise/*",))).export(network, context).graph
    (kept,) = [op for op in mixed.operators if op.name == "DEPTHWISE_CONV_2D"]
    weights = mixed.tensors[kept.inputs[1]].values()
    assert weights is not None
    expected = network.model.get_layer("depthwise").get_weights()[0]
    assert weights.reshape(expected.shape) == pytest.approx(expected)
    assert [mixed.tensors[op.inputs[1]].dtype for op in mixed.operators if op.name == "CONV_2D"] == ["int8"] * 3
    assert mixed.inputs[0].dtype == "uint8"


def test_a_layer_in_float_keeps_the_weights_that_ranges_by_squared_error_would_clip() -> None:
    pytest.importorskip("tf_keras")
    import residual_network

    from edgeclf.artifact.tflite_editor import TfliteEditor
    from edgeclf.compression.export.int8_format import observe
    from edgeclf.compression.export.range_choice import clip_weights
    from edgeclf.compression.step import StepContext

    def dense_weights(graph: Any) -> Any:
        (dense,) = [op for op in graph.operators if op.name == "FULLY_CONNECTED"]
        return graph.tensors[dense.inputs[1]].values()

    network: Any = residual_network.build()
    editor = TfliteEditor(observe(network, residual_network.IMAGES).content)
    expected = dense_weights(editor.graph)
    clip_weights(editor)
    assert dense_weights(parse(editor.pack())) != pytest.approx(expected)
    context = StepContext(network, calibration_images=residual_network.IMAGES)
    mixed = TFLite(ranges="mse", policy=QuantizationPolicy(("*/dense/*",))).export(network, context).graph
    assert dense_weights(mixed) == pytest.approx(expected)


@pytest.mark.slow
def test_operators_that_the_quantizer_never_keeps_in_float_are_refused() -> None:
    tf_keras = pytest.importorskip("tf_keras")
    from edgeclf.artifact.normalization import RAW
    from edgeclf.compression.export.int8_format import observe, quantize_observed
    from edgeclf.graph.float_network import FloatNetwork, InputSpec
    from edgeclf.graph.prepared_network import prepare_network

    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(0)
    inputs = layers.Input((16, 16, 3))
    x = layers.MaxPool2D()(layers.Conv2D(8, 3, activation="relu", name="first")(inputs))
    x = layers.AveragePooling2D()(layers.Conv2DTranspose(8, 3, name="wider")(x))
    x = layers.Dense(3)(layers.Flatten()(x))
    model = tf_keras.Model(inputs, layers.Softmax()(x))
    spec = InputSpec(16, 16, RAW)
    network = prepare_network(FloatNetwork(model, lambda x: model(x, training=False), model, spec, tuple("abc")))
    observed = observe(network, np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8))
    graph = parse(observed.content)
    for operator in sorted({op.name for op in graph.operators}):
        policy = QuantizationPolicy(float_operators=(operator,))
        if operator in INT8_BY_THEMSELVES:
            with pytest.raises(
                InputError, match=f"float_operators: {operator} has no effect: .* int8 of {operator} all the same"
            ):
                quantize_observed(observed, policy)
        else:
            kept = {layer_name(name) for name in policy.float_nodes(graph)}
            tensors = parse(quantize_observed(observed, policy)).tensors
            assert kept <= {layer_name(tensor.name) for tensor in tensors if tensor.dtype == "float32"}
    assert {"TRANSPOSE_CONV", "MAX_POOL_2D", "AVERAGE_POOL_2D"} < set(INT8_BY_THEMSELVES)
    with pytest.raises(InputError, match=r"float_layers: \*/MaxPool\* has no effect"):
        quantize_observed(observed, QuantizationPolicy(("*/MatMul*", "*/MaxPool*")))
    # a pool stays in float behind a layer that does
    quantize_observed(observed, QuantizationPolicy(("*/first/*", "*/MaxPool*")))


def test_operators_that_only_pick_values_are_refused_too() -> None:
    tf_keras = pytest.importorskip("tf_keras")
    import tensorflow as tf

    from edgeclf.artifact.normalization import RAW
    from edgeclf.compression.export.int8_format import observe, quantize_observed
    from edgeclf.graph.float_network import FloatNetwork, InputSpec

    random = np.random.default_rng(0)
    filters = tf.constant(random.normal(size=(3, 3, 3, 8)), tf.float32)
    kernel = tf.constant(random.normal(size=(72, 3)), tf.float32)

    def compute(images: Any) -> Any:
        x = tf.nn.relu(tf.nn.conv2d(images / 255, filters, 1, "SAME"))
        parts = [
            x[:, ::2, ::2],
            tf.slice(x, (0, 1, 1, 0), (1, 8, 8, 8)),
            tf.concat([half * 1.5 for half in tf.split(x, 2, 3)], 3),
            tf.concat([half * 0.5 for half in tf.split(x, [3, 5], 3)], 3),
            tf.stack(tf.unstack(x, axis=3)[::-1], 3),
            tf.image.resize(x, (8, 8), "nearest"),
        ]
        ends = [tf.reduce_mean(part, (1, 2)) for part in parts]
        ends += [tf.reduce_max(x, (1, 2)), tf.reduce_min(x, (1, 2))]
        ends.append(tf.reduce_mean(tf.nn.max_pool2d(x, 2, 2, "SAME"), (1, 2)))
        return tf.nn.softmax(tf.concat(ends, 1) @ kernel)

    inputs = tf_keras.layers.Input((16, 16, 3), batch_size=1)
    model = tf_keras.Model(inputs, tf_keras.layers.Lambda(compute)(inputs))
    network = FloatNetwork(model, model, model, InputSpec(16, 16, RAW), tuple("abc"))
    observed = observe(network, random.integers(0, 256, (4, 16, 16, 3), np.uint8))
    refused = {}
    for operator in sorted({op.name for op in parse(observed.content).operators}):
        try:
            quantize_observed(observed, QuantizationPolicy(float_operators=(operator,)))
        except InputError as error:
            refused[operator] = str(error)
    assert all(f"float_operators: {operator} has no effect" in line for operator, line in refused.items())
    assert set(refused) == set(INT8_BY_THEMSELVES) - {"AVERAGE_POOL_2D", "TRANSPOSE_CONV"}


def test_the_layer_that_reads_the_pixels_computes_in_float_on_what_their_quantization_stands_for() -> None:
    pytest.importorskip("tf_keras")
    import residual_network

    from edgeclf.compression.export.converter import float_graph
    from edgeclf.compression.step import StepContext

    network: Any = residual_network.build()
    context = StepContext(network, calibration_images=residual_network.IMAGES)
    exact = np.asarray(network.on_pixels(residual_network.IMAGES))
    graph = parse(float_graph(network))
    first = layer_name(graph.tensors[graph.operators[0].outputs[0]].name)
    for io, zero in (("uint8", 0), ("int8", -128), ("float32", None)):
        file = TFLite(io=io, policy=QuantizationPolicy((first,))).export(network, context)
        graph, session = file.graph, LITERT.open(file)
        assert graph.inputs[0].dtype == io
        pixels = residual_network.IMAGES.astype(np.float32)
        if zero is not None:
            assert (graph.operators[0].name, graph.inputs[0].zero_point) == ("DEQUANTIZE", zero)
            assert graph.inputs[0].scale == pytest.approx(network.input_max / 255)
            pixels = (residual_network.IMAGES.astype(np.int32) + zero).astype(io)
        elif file.input_range is not None:
            pixels *= np.float32(file.input_range[1] / 255)
        (reader,) = [op for op in graph.operators if op.name == "CONV_2D"][:1]
        assert graph.tensors[reader.inputs[1]].dtype == "float32"
        outputs = np.stack([session.run(image[None])[0] for image in pixels])
        if zero is not None:
            outputs = (outputs.astype(np.float32) - graph.outputs[0].zero_point) * graph.outputs[0].scale
        assert np.abs(outputs - exact).max() < 0.03
    with pytest.raises(InputError, match="name every layer; make a float32 model of it instead"):
        TFLite(policy=QuantizationPolicy(("*",))).export(network, context)
