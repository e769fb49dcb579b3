"""Rounding in the loop without TFMOT."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("tensorflow_model_optimization")
import colored_squares
import tensorflow as tf
import tf_keras
from network_builds import float_network

from edgeclf.artifact.model_file import ModelFile
from edgeclf.compression.export.tflite import TFLite
from edgeclf.compression.step import StepContext
from edgeclf.compression.steps.fine_tune import copy_model
from edgeclf.compression.steps.fine_tuning import FineTuning
from edgeclf.compression.steps.quantize_aware import QuantizeAware
from edgeclf.compression.steps.simulated_rounding import Rounded, insert_rounding, round_kernel, start_ranges
from edgeclf.graph.batch_norm import scale_and_offset
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.graph.prepared_network import prepare_network
from edgeclf.inference.litert import LITERT

layers = tf_keras.layers


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
@settings(max_examples=30, deadline=None)
def test_kernels_are_rounded_to_255_steps_a_channel_whatever_is_folded_into_them(seed: int, factor: float) -> None:
    random = np.random.default_rng(seed)
    kernel = random.normal(size=(3, 3, 2, 4)).astype(np.float32)
    rounded = round_kernel(tf.constant(kernel), (0, 1, 2)).numpy()
    step = np.abs(kernel).max(axis=(0, 1, 2)) / 127
    assert (np.abs(rounded - kernel) <= step * 0.501).all()
    np.testing.assert_allclose(rounded / step, np.rint(rounded / step), atol=1e-3)
    factors = (factor * random.uniform(0.1, 10, 4)).astype(np.float32)
    folded = round_kernel(tf.constant(kernel * factors), (0, 1, 2)).numpy()
    # A number half way between two steps may go to either.
    assert np.mean(np.abs(folded - rounded * factors) > 1e-3 * step * factors) < 0.05


def test_gradients_pass_the_rounding() -> None:
    kernel = tf.Variable(np.random.default_rng(0).normal(size=(1, 1, 2, 3)).astype(np.float32))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(round_kernel(kernel, (0, 1, 2)) * 3.0)
    np.testing.assert_array_equal(tape.gradient(total, kernel), np.full((1, 1, 2, 3), 3.0))


@pytest.mark.parametrize("zero", [False, True])
def test_a_dense_layer_is_rounded_with_the_normalization_behind_it(zero: bool) -> None:
    random = np.random.default_rng(0)
    entry = layers.Input((6,))
    x = layers.Dense(5, name="wide")(entry)
    model = tf_keras.Model(entry, layers.Dense(3)(layers.BatchNormalization(name="after")(x)))
    gamma = np.array([0.01, 1, 100, -3, 0 if zero else 7], np.float32)
    model.get_layer("after").set_weights([gamma, *random.uniform(0.5, 2, (3, 5)).astype(np.float32)])
    kernel, _ = model.get_layer("wide").get_weights()
    made = insert_rounding(model)
    ones = np.eye(6, dtype=np.float32)
    rounded = made.get_layer("rounded_wide")(ones).numpy()
    scale = scale_and_offset(model.get_layer("after"))[0]
    folded = rounded * scale
    step = np.abs(kernel * scale).max() / 127
    np.testing.assert_allclose(folded / step, np.rint(folded / step), atol=1e-3)
    assert np.abs(folded - kernel * scale).max() <= 0.501 * step
    assert len(np.unique(np.rint(folded[:, 0] / step))) < 3  # next to nothing of the range of all


def test_a_normalization_of_another_axis_leaves_the_rounding_of_a_dense_layer_as_it_is() -> None:
    entry = layers.Input((6, 4))
    x = layers.BatchNormalization(axis=1)(layers.Dense(5, name="wide")(entry))
    model = tf_keras.Model(entry, layers.Dense(3)(x))
    kernel, _ = model.get_layer("wide").get_weights()
    image = np.tile(np.eye(4, dtype=np.float32), (1, 2, 1))[:, :6]
    found = insert_rounding(model).get_layer("rounded_wide")(image).numpy()[0, :4]
    np.testing.assert_allclose(found, round_kernel(tf.constant(kernel), (0, 1)), atol=1e-6)


def test_a_transposed_convolution_is_rounded_by_filter() -> None:
    entry = layers.Input((4, 4, 2))
    model = tf_keras.Model(entry, layers.Conv2DTranspose(3, 2, strides=2, name="up")(entry))
    layer = model.get_layer("up")
    kernel = np.random.default_rng(0).normal(size=(2, 2, 3, 2)) * [[[1], [10], [100]]]
    layer.set_weights([kernel, np.zeros(3)])
    image = np.zeros((1, 4, 4, 2), np.float32)
    image[0, 0, 0, 0] = 1
    found = insert_rounding(model).get_layer("rounded_up")(image).numpy()[0, :2, :2]
    steps = np.abs(kernel).max(axis=(0, 1, 3)) / 127
    np.testing.assert_allclose(found / steps, np.rint(kernel[..., 0] / steps), atol=1e-3)


def gated_network() -> FloatNetwork:
    """A network with squeeze-and-excite and hard-swish, for which TFMOT has no rules, trained on three colors."""
    tf_keras.utils.set_random_seed(1)
    entry = layers.Input((colored_squares.SIDE, colored_squares.SIDE, 3))
    x = layers.Rescaling(1 / 255)(entry)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.7)(x))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    y = layers.BatchNormalization(momentum=0.7)(y)
    y = layers.Multiply()([y, layers.Rescaling(1 / 6)(layers.ReLU(6)(layers.Rescaling(1, 3)(y)))])
    gate = layers.GlobalAveragePooling2D(keepdims=True)(y)
    gate = layers.Conv2D(8, 1)(layers.Conv2D(4, 1, activation="relu")(gate))
    y = layers.Multiply()([y, layers.Activation("sigmoid")(gate)])
    x = layers.Add()([x, y])
    x = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    model = tf_keras.Model(entry, x)
    model.compile(tf_keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    train = colored_squares.dataset().splits["train"]
    model.fit(np.asarray(train.images).astype(np.float32), train.labels, epochs=5, batch_size=16, verbose=0)
    return prepare_network(float_network(model))


@pytest.fixture(scope="module")
def gated() -> FloatNetwork:
    return gated_network()


def context_of(network: FloatNetwork) -> StepContext:
    data = colored_squares.dataset()
    return StepContext(network, data, np.asarray(data.splits["train"].images))


@pytest.mark.slow
def test_the_rounded_network_is_as_far_from_the_float_one_as_the_int8_file_is(gated: FloatNetwork) -> None:
    # Before the softmax, whose output has steps of 1/256.
    whole = prepare_network(float_network(tf_keras.Model(gated.model.inputs, gated.model.layers[-2].output)))
    network = replace(whole, input=gated.input)
    context, pixels = context_of(network), np.asarray(colored_squares.dataset().splits["validation"].images)
    assert context.calibration_images is not None
    model, scale = insert_rounding(copy_model(network.model)), np.float32(network.input_max / 255)
    start_ranges(model, copy_model(network.model), context.calibration_images, scale)
    content = TFLite(bias_correction=False, rounding="nearest", io="float32").export(network, context).content
    session = LITERT.open(ModelFile(content, "gated"))
    file = np.concatenate([session.run(image[None]) for image in pixels.astype(np.float32)])
    scaled = pixels.astype(np.float32) * scale
    simulated, exact = (one(scaled, training=False).numpy() for one in (model, network.model))
    # The file rounds its output too; that it is rounded once more makes no difference to what this looks at.
    errors = [float(np.sqrt(np.mean((exact - other) ** 2))) for other in (simulated, file)]
    assert errors[1] / 2.5 < errors[0] < errors[1] * 1.5, errors


@pytest.mark.slow
def test_it_is_trained_where_tfmot_has_no_rule(gated: FloatNetwork) -> None:
    context = context_of(gated)
    step = QuantizeAware(FineTuning(learning_rate=1e-3, epochs=1, batch_size=16))
    step.check(gated)
    before = [weight.copy() for weight in gated.model.get_weights()]
    made = step.apply(gated, context)
    assert not made.invariants.trained_ranges
    assert "edgeclf's own rounding in the loop (TFMOT has no rule for the layers" in made.notes[-1]
    assert not any(isinstance(layer, Rounded) for layer in made.model.layers)
    assert all(layer.trainable for layer in made.model.layers)
    for now, then in zip(gated.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    changed = [
        name
        for layer in made.model.layers
        for name, now, then in zip(
            [weight.name for weight in layer.weights],
            layer.get_weights(),
            gated.model.get_layer(layer.name).get_weights(),
            strict=True,
        )
        if not np.array_equal(now, then)
    ]
    assert any("kernel" in name for name in changed)
    assert not any("batch_normalization" in name for name in changed), changed
    assert (
        float(
            np.mean(
                made.on_pixels(np.asarray(context.data.splits["validation"].images)).numpy().argmax(1)
                == context.data.splits["validation"].labels
            )
        )
        > 0.9
    )
