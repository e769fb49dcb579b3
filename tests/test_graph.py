"""Input scaling leaves the network and stays right; layers that cannot be quantized are named early."""

from __future__ import annotations

import numpy as np
import pytest

from edgeclf.errors import ModelError

tf_keras = pytest.importorskip("tf_keras")
graph = pytest.importorskip("edgeclf.compression.graph")
layers = tf_keras.layers
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)


def network(*front: object, tail: tuple[object, ...] = ()) -> object:
    x = inputs = layers.Input((8, 8, 3))
    for layer in front:
        x = layer(x)
    x = layers.Conv2D(4, 3, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    y = layers.ReLU()(x)
    for layer in tail:
        y = layer(y)
    x = layers.Add()([x, y])
    x = layers.GlobalAveragePooling2D()(x)
    return tf_keras.Model(inputs, layers.Dense(3, activation="softmax")(x))


def names(core: object) -> list[str]:
    return [type(layer).__name__ for layer in core.model.layers]


@pytest.mark.parametrize("factor", [1 / 255, 1 / 127.5])
def test_a_pure_scale_leaves_no_layer(factor: float) -> None:
    model = network(layers.Rescaling(factor))
    core = graph.prepare_core(model)
    assert "Rescaling" not in names(core)
    assert core.high == pytest.approx(255 * factor)
    expected = model(PIXELS.astype(np.float32), training=False).numpy()
    np.testing.assert_allclose(core.on_pixels(PIXELS).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(
    "front",
    [layers.Rescaling(1 / 127.5, -1.0), layers.Normalization(mean=[100.0, 110.0, 120.0], variance=[50.0, 60.0, 70.0])],
)
def test_an_offset_becomes_a_frozen_depthwise_convolution(front: object) -> None:
    model = network(front)
    core = graph.prepare_core(model)
    scaling = core.model.get_layer(graph.SCALING_LAYER)
    assert isinstance(scaling, layers.DepthwiseConv2D)
    assert scaling.kernel_size == (1, 1)
    assert not scaling.trainable_weights
    assert core.high == 1.0
    expected = model(PIXELS.astype(np.float32), training=False).numpy()
    np.testing.assert_allclose(core.on_pixels(PIXELS).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("span", "high"), [((0.0, 1.0), 1.0), ((-1.0, 1.0), 1.0), ((0.0, 255.0), 255.0), (None, 255.0)]
)
def test_networks_without_scaling_get_their_input_range(span: tuple[float, float] | None, high: float) -> None:
    model = network()
    core = graph.prepare_core(model, span)
    low, top = span or (0.0, 255.0)
    assert core.high == high
    expected = model(PIXELS / np.float32(255) * (top - low) + low, training=False).numpy()
    np.testing.assert_allclose(core.on_pixels(PIXELS).numpy(), expected, atol=1e-4)


def test_a_sequential_network_works_too() -> None:
    model = tf_keras.Sequential(
        [layers.InputLayer((8, 8, 3)), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(3, "softmax")]
    )
    core = graph.prepare_core(model)
    np.testing.assert_allclose(core.on_pixels(PIXELS).numpy(), model(PIXELS.astype(np.float32)).numpy(), atol=1e-5)


def test_the_original_stays_as_it_is() -> None:
    model = network(layers.Rescaling(1 / 255))
    before = [layer.name for layer in model.layers]
    core = graph.prepare_core(model)
    core.model.layers[1].set_weights([w * 0 for w in core.model.layers[1].get_weights()])
    assert [layer.name for layer in model.layers] == before
    assert np.abs(model.layers[2].get_weights()[0]).max() > 0


def test_layers_that_cannot_be_quantized_are_named() -> None:
    graph.check_quantizable(graph.prepare_core(network(layers.Rescaling(1 / 255))))
    bad = network(layers.Rescaling(1 / 255), tail=(layers.PReLU(name="odd_one"), layers.ELU(name="odd_two")))
    with pytest.raises(ModelError, match=r"odd_one \(PReLU\), odd_two \(ELU\)"):
        graph.check_quantizable(graph.prepare_core(bad))
    strange = network(layers.Rescaling(1 / 255), tail=(layers.Activation("selu", name="odd_three"),))
    with pytest.raises(ModelError, match=r"odd_three \(activation selu\)"):
        graph.check_quantizable(graph.prepare_core(strange))


def test_a_loose_batch_normalization_is_named() -> None:
    loose = network(layers.Rescaling(1 / 255), tail=(layers.BatchNormalization(name="loose"),))
    with pytest.raises(ModelError, match="loose"):
        graph.check_quantizable(graph.prepare_core(loose))
