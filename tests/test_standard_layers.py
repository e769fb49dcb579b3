"""Arithmetic, 16-bit precision and integer input become standard layers in float32, which compute the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

tf_keras = pytest.importorskip("tf_keras")
pytest.importorskip("tensorflow_model_optimization")
import tensorflow as tf  # noqa: E402

from edgeclf.compression.steps.fake_quantization import insert_quantizers  # noqa: E402
from edgeclf.errors import ModelError, UntrustedModelError  # noqa: E402
from edgeclf.graph.arithmetic import OPERATION_LAYERS  # noqa: E402
from edgeclf.graph.inner_scaling import scales_input  # noqa: E402
from edgeclf.graph.prepared_network import prepare_network  # noqa: E402
from edgeclf.graph.quantizable import make_quantizable  # noqa: E402
from edgeclf.graph.standard_layers import standardize  # noqa: E402
from edgeclf.keras_files.loading import load_float_model, load_network  # noqa: E402

layers = tf_keras.layers
PIXELS = (
    np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    // np.uint8([1, 2, 4, 8])[:, None, None, None]
)
PREPROCESSING = {"tf": "mobilenet_v2", "caffe": "resnet50", "torch": "densenet"}


def functional(front: Any, *middle: Any, dtype: str = "float32") -> Any:
    tf_keras.utils.set_random_seed(0)
    inputs = tf_keras.Input((16, 16, 3), dtype=dtype)
    x = front(inputs)
    for layer in (*middle, layers.Conv2D(6, 3, strides=2, use_bias=False)):
        x = layer(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(3, kernel_initializer=tf_keras.initializers.RandomNormal(stddev=0.02))(x)
    return tf_keras.Model(inputs, layers.Activation("softmax", dtype="float32")(x))


def by_hand(model: Any) -> Any:
    return np.asarray(model(PIXELS if model.inputs[0].dtype == "uint8" else PIXELS.astype(np.float32), training=False))


@pytest.mark.parametrize(
    ("style", "suffix"),
    [("tf", "h5"), ("tf", "keras"), ("caffe", "h5"), ("torch", "keras")],  # tf-keras cannot save a slice as .keras
)
def test_preprocess_input_inside_is_folded_and_quantization_takes_it(style: str, suffix: str, tmp_path: Path) -> None:
    model = functional(getattr(tf_keras.applications, PREPROCESSING[style]).preprocess_input)
    expected = by_hand(model)
    assert np.ptp(expected, axis=0).max() > 1e-3  # the images differ
    model.save(tmp_path / f"net.{suffix}")
    network = load_network(tmp_path / f"net.{suffix}").network
    kinds = {type(layer).__name__ for layer in network.model.layers}
    assert kinds == {
        *("InputLayer", "Rescaling", "Conv2D", "BatchNormalization", "ReLU", "GlobalAveragePooling2D", "Dense"),
        "Activation",
    }
    np.testing.assert_allclose(network.on_pixels(PIXELS), expected, atol=2e-6)
    assert scales_input(network.model)
    prepared = prepare_network(network)
    np.testing.assert_allclose(prepared.on_pixels(PIXELS), expected, atol=2e-6)
    if style != "tf":
        insert_quantizers(make_quantizable(prepared))
        assert len(load_float_model(tmp_path / f"net.{suffix}").layers) == len(network.model.layers)


@pytest.mark.parametrize(
    ("middle", "folded"),
    [
        ([layers.RandomFlip, lambda: layers.ZeroPadding2D(1)], True),
        ([lambda: layers.AveragePooling2D(2)], True),
        ([lambda: layers.DepthwiseConv2D(3)], False),
    ],
)
def test_a_reversal_of_the_channels_goes_into_the_first_convolution(middle: list[Any], folded: bool) -> None:
    model = functional(tf_keras.applications.vgg16.preprocess_input, *(make() for make in middle))
    made = standardize(model)
    assert sum(type(layer) is layers.Conv2D for layer in made.layers) == (1 if folded else 2)
    np.testing.assert_allclose(by_hand(made), by_hand(model), atol=2e-6)


def everything(pixels: Any) -> Any:
    x = tf.cast(pixels, tf.float32) / 255.0
    x = tf.stop_gradient(-(2 * (1.0 - x) - [0.1, 0.2, 0.3]))
    x = tf.nn.bias_add(tf.reverse(x, [-1]), [0.3, 0.2, 0.1])
    gate = tf.nn.relu6(x + 3.0) * (1 / 6)
    x = x * gate - tf.clip_by_value(x, 0, 0.5) + x
    return x


def test_all_known_functions_together() -> None:
    model = functional(everything, dtype="uint8")
    made = standardize(model)
    assert made.inputs[0].dtype == "float32"
    assert not any(type(layer).__name__ in OPERATION_LAYERS for layer in made.layers)
    np.testing.assert_allclose(by_hand(made), by_hand(model), atol=2e-6)


@pytest.mark.parametrize("axes", [[1, 2], [-3, -2]])
def test_mean_and_softmax_as_functions(axes: list[int]) -> None:
    inputs = tf_keras.Input((16, 16, 3))
    x = tf.nn.silu(layers.Conv2D(4, 3)(inputs / 255.0))
    x = tf.nn.softmax(x, axis=1)  # over the rows of an image
    model = tf_keras.Model(inputs, tf.nn.softmax(layers.Dense(3)(tf.reduce_mean(x * x, axes))))
    made = standardize(model)
    assert [type(layer).__name__ for layer in made.layers][-3:] == ["GlobalAveragePooling2D", "Dense", "Activation"]
    np.testing.assert_allclose(by_hand(made), by_hand(model), atol=2e-6)


@pytest.mark.parametrize(
    ("front", "words"),
    [
        (lambda x: 1.0 / (x + 1.0), "a constant is divided by a tensor"),
        (lambda x: x / 0.0, "it divides by zero"),
        (lambda x: x - np.ones((16, 16, 3), np.float32), "differs from place to place"),
        (lambda x: x[:, ::-1], "takes a part of the image"),
        (lambda x: tf.reverse(x, [1]), "mirrors the image"),
        (lambda x: tf.cast(tf.cast(x, tf.int32), tf.float32), "rounds to whole numbers"),
        (lambda x: tf.clip_by_value(x, 0.1, 0.5), "clips elsewhere"),
        (lambda x: tf.nn.silu(x, beta=2.0), "with another beta than 1"),
        (lambda x: x / (x + 1.0), "both operands are tensors"),
    ],
)
def test_what_no_layer_can_do_is_one_line(front: Any, words: str) -> None:
    with pytest.raises(ModelError, match=rf"layer \S+ calls tf\.\S+, and .*{words}"):
        standardize(functional(front))


@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_functions_that_are_no_arithmetic_are_refused_by_name(suffix: str, tmp_path: Path) -> None:
    functional(lambda x: tf.math.digamma(x + 1.0)).save(tmp_path / f"net.{suffix}")
    with pytest.raises(UntrustedModelError, match="the TensorFlow function 'math.digamma'"):
        load_network(tmp_path / f"net.{suffix}")


@pytest.mark.parametrize("suffix", ["h5", "keras"])
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float32"])
def test_16_bits_and_uint8_input_become_float32(policy: str, suffix: str, tmp_path: Path) -> None:
    tf_keras.mixed_precision.set_global_policy(policy)
    try:
        model = functional(layers.Rescaling(1 / 255), dtype="uint8")
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    model.save(tmp_path / f"net.{suffix}")
    network = load_network(tmp_path / f"net.{suffix}").network
    assert {layer.compute_dtype for layer in network.model.layers} == {"float32"}
    tolerance = {"mixed_float16": 2e-3, "mixed_bfloat16": 2e-2, "float32": 1e-6}[policy]
    np.testing.assert_allclose(network.on_pixels(PIXELS), by_hand(model), atol=tolerance)
    assert prepare_network(network).input.input_max == pytest.approx(1)


def test_scaling_counts_in_front_of_weights_alone() -> None:
    plain = functional(layers.Conv2D(4, 3), layers.Rescaling(0.5))
    assert not scales_input(plain)
    inner = tf_keras.Sequential([layers.RandomFlip(), layers.Rescaling(1 / 255)])
    assert scales_input(functional(layers.RandomRotation(0.1), inner))
    keras = pytest.importorskip("keras", minversion="3")
    for front, inside in ((keras.applications.resnet50.preprocess_input, True), (keras.layers.RandomFlip(), False)):
        inputs = keras.Input((16, 16, 3))
        x = keras.layers.Flatten()(keras.layers.Conv2D(2, 3)(front(inputs)))
        assert scales_input(keras.Model(inputs, keras.layers.Dense(2)(x))) == inside


@pytest.mark.parametrize(
    "name",
    [
        *("uint8_input.h5", "mixed_float16.h5"),
        *("preprocess_input_inside_tf_keras.keras", "preprocess_input_inside_keras3.keras"),
    ],
)
def test_the_files_that_went_wrong(name: str, shared_data: Path) -> None:
    path = shared_data.parent / "faults" / name
    framework = pytest.importorskip("keras", minversion="3") if "keras3" in name else tf_keras
    model = framework.models.load_model(path, compile=False)
    network = load_network(path).network
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    expected = np.asarray(model(pixels if "uint8" in name else pixels.astype(np.float32)))
    np.testing.assert_allclose(network.on_pixels(pixels), expected, atol=2e-3 if "float16" in name else 1e-5)
    np.testing.assert_allclose(prepare_network(network).on_pixels(pixels), network.on_pixels(pixels), atol=1e-5)
