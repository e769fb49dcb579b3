"""One editor changes a TFLite file; a scaling of the input is taken out only where it does nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tflite_models
from ai_edge_litert.interpreter import Interpreter

from edgeclf.artifact.tensor_names import shorten_names
from edgeclf.artifact.tflite import parse
from edgeclf.artifact.tflite_editor import TfliteEditor, is_plain
from edgeclf.errors import ModelError

tf_keras = pytest.importorskip("tf_keras")
IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 8, 8, 3)).astype(np.float32)


def logits(content: bytes, images: np.ndarray) -> np.ndarray:
    native = Interpreter(model_content=content)
    native.allocate_tensors()
    found = []
    for image in images:
        native.set_tensor(native.get_input_details()[0]["index"], image[None])
        native.invoke()
        found.append(native.get_tensor(native.get_output_details()[0]["index"])[0])
    return np.stack(found)


def converted(front: Any) -> bytes:
    """A float graph; `front` computes on its input."""
    import tensorflow as tf

    tf_keras.utils.set_random_seed(0)
    dense = tf_keras.layers.Dense(4)

    @tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 3))])
    def network(images: Any) -> Any:
        return dense(tf.reshape(front(images), (1, 192)))

    function = network.get_concrete_function()
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([function], dense).convert())


def test_a_multiplication_of_the_whole_input_is_taken_out() -> None:
    content = converted(lambda x: x * 0.5)
    editor = TfliteEditor(content)
    assert editor.remove_input_scaling() == 0.5
    bare = editor.pack()
    assert "MUL" not in [op.name for op in parse(bare).operators]
    np.testing.assert_allclose(logits(bare, IMAGES * 0.5), logits(content, IMAGES), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("activation", ["relu6", "relu"])
def test_a_multiplication_with_a_fused_activation_stays(activation: str) -> None:
    import tensorflow as tf

    content = converted(lambda x: getattr(tf.nn, activation)(x * 0.05))
    (multiplication,) = [op for op in parse(content).operators if op.name == "MUL"]
    assert not any("RELU" in op.name for op in parse(content).operators)
    editor = TfliteEditor(content)
    factor = editor.remove_input_scaling()
    bare = editor.pack()
    assert factor == 1.0
    assert multiplication.name in [op.name for op in parse(bare).operators]
    signed = IMAGES - 100
    np.testing.assert_allclose(logits(bare, signed * factor), logits(content, signed), rtol=1e-5, atol=1e-4)


def test_a_multiplication_without_options_is_taken_out() -> None:
    content = converted(lambda x: x * 0.05)
    (place,) = [i for i, op in enumerate(parse(content).operators) if op.name == "MUL"]
    editor = TfliteEditor(content)
    multiplication = editor.unpacked.subgraphs[0].operators[place]
    multiplication.builtinOptions, multiplication.builtinOptionsType = None, 0
    again = TfliteEditor(editor.pack())
    assert again.remove_input_scaling() == pytest.approx(0.05)


def test_an_int8_file_of_such_a_network_computes_what_the_network_computes() -> None:
    import tensorflow as tf

    from edgeclf.artifact.normalization import RAW
    from edgeclf.compression.export.tflite import TFLite
    from edgeclf.compression.step import StepContext
    from edgeclf.graph.float_network import FloatNetwork, InputSpec
    from edgeclf.graph.prepared_network import prepare_network

    tf_keras.utils.set_random_seed(0)
    dense = tf_keras.layers.Dense(4)
    dense.build((1, 192))

    def call(images: Any) -> Any:
        return dense(tf.reshape(tf.nn.relu6(images * 0.05), (-1, 192)))

    network = prepare_network(FloatNetwork(None, call, dense, InputSpec(8, 8, RAW), tuple("abcd")))
    images = np.random.default_rng(0).integers(0, 256, (120, 8, 8, 3), dtype=np.uint8)
    made = TFLite("int8", "float32").export(network, StepContext(network, calibration_images=images))
    pixels = images[:20].astype(np.float32)
    expected = np.asarray(call(pixels))
    assert np.abs(logits(made.content, pixels) - expected).max() < 0.05 * np.abs(expected).max()


def test_weights_that_two_layers_read_keep_their_scales() -> None:
    from edgeclf.artifact.normalization import RAW
    from edgeclf.compression.export.tflite import TFLite
    from edgeclf.compression.step import StepContext
    from edgeclf.graph.float_network import FloatNetwork, InputSpec
    from edgeclf.graph.prepared_network import prepare_network

    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(0)
    inputs, twice = layers.Input((8, 8, 3)), layers.Conv2D(3, 3, padding="same", activation="relu")
    x = twice(twice(layers.Rescaling(1 / 255)(inputs)))
    model = tf_keras.Model(inputs, layers.Dense(4)(layers.Flatten()(x)))
    spec = InputSpec(8, 8, RAW)
    network = prepare_network(FloatNetwork(model, lambda x: model(x, training=False), model, spec, tuple("abcd")))
    images = np.random.default_rng(0).integers(0, 256, (120, 8, 8, 3), dtype=np.uint8)
    made = TFLite("int8", "float32").export(network, StepContext(network, calibration_images=images))
    first, second = (op for op in made.graph.operators if op.name == "CONV_2D")
    assert first.inputs[1] == second.inputs[1]
    pixels = images[:20].astype(np.float32)
    low, high = made.input_range or (0.0, 255.0)
    expected = model(pixels).numpy()
    found = logits(made.content, pixels / 255 * (high - low) + low)
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


def test_a_file_without_a_change_is_packed_as_it_is_where_it_is_plain() -> None:
    content = tflite_models.bare("uint8")
    aligned = TfliteEditor(content).pack()
    assert is_plain(aligned)
    assert TfliteEditor(aligned).pack() is aligned
    before, after = parse(content), parse(aligned)
    assert before.operators == after.operators
    for old, new in zip(before.tensors, after.tensors, strict=True):
        assert (old.name, old.shape, old.scale, old.zero_point) == (new.name, new.shape, new.scale, new.zero_point)
        np.testing.assert_array_equal(old.values(), new.values())


def integer_graph(network: Any) -> bytes:
    """What the converter makes of a network, int8 from end to end."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    random = np.random.default_rng(0)
    shape = (1, *network.input_shape[1:])
    converter.representative_dataset = lambda: ([random.normal(size=shape).astype(np.float32)] for _ in range(4))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def test_equal_vectors_are_written_once() -> None:
    tf_keras.utils.set_random_seed(0)
    layers = [tf_keras.layers.Conv2D(40, 1) for _ in range(6)]
    network = tf_keras.Sequential([tf_keras.layers.Input((8, 8, 40)), *layers])
    content = integer_graph(network)
    editor = TfliteEditor(content)
    assert editor.unpacked is not None, "changed, perhaps: packed anew"
    packed = editor.pack()
    # kernels and biases of six layers have 40 zeros of 8 bytes each, which one vector is left of
    assert len(content) - len(packed) >= (2 * 6 - 1) * 40 * 8
    before, after = parse(content), parse(packed)
    assert before.operators == after.operators
    for old, new in zip(before.tensors, after.tensors, strict=True):
        np.testing.assert_array_equal(old.scales, new.scales)
        assert (old.name, old.shape, old.zero_point) == (new.name, new.shape, new.zero_point)
        np.testing.assert_array_equal(old.values(), new.values())
    images = np.random.default_rng(0).integers(-128, 128, (3, 8, 8, 40)).astype(np.int8)
    np.testing.assert_array_equal(logits(packed, images), logits(content, images))
    again = TfliteEditor(packed)
    assert again.unpacked is not None
    assert again.pack() == packed


def test_constants_and_names_are_replaced() -> None:
    editor = TfliteEditor(tflite_models.bare("float_0_255"))
    (chosen,) = [t for t in editor.graph.tensors if t.data is not None and t.shape == (10,)][:1]
    editor.set_constant(chosen.index, np.arange(10, dtype=np.float32))
    shorten_names(editor.unpacked)
    changed = parse(editor.pack())
    np.testing.assert_array_equal(changed.tensors[chosen.index].values(), np.arange(10))
    names = [tensor.name for tensor in changed.tensors]
    assert len(set(names)) == len(names)
    assert not any(";" in name for name in names)


def test_a_file_that_would_be_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import flatbuffers

    content = tflite_models.bare("float_0_255")
    monkeypatch.setattr(flatbuffers.Builder, "MAX_BUFFER_SIZE", len(content) // 2)
    editor = TfliteEditor(content)
    assert editor.unpacked is not None
    with pytest.raises(ModelError, match="more than the 2 GiB"):
        editor.pack()


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(ModelError, match="not a TFLite model"):
        TfliteEditor(b"nothing of the kind")
