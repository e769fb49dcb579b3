"""Input scaling leaves the network and stays right, and so do layers that only training needs."""

from __future__ import annotations

import numpy as np
import pytest

tf_keras = pytest.importorskip("tf_keras")
graph = pytest.importorskip("edgeclf.graph.prepared_network")
from edgeclf.artifact.normalization import RAW, Normalization  # noqa: E402
from edgeclf.compression.steps.clustering import choose_layers as clustered  # noqa: E402
from edgeclf.compression.steps.fake_quantization import insert_quantizers  # noqa: E402
from edgeclf.compression.steps.prune import Prune  # noqa: E402
from edgeclf.compression.steps.pruning import choose_layers  # noqa: E402
from edgeclf.graph.float_network import FloatNetwork, InputSpec  # noqa: E402
from edgeclf.graph.inner_scaling import (  # noqa: E402  # noqa: E402
    PREPARED_SCALING,
    SCALING,
    freeze_scaling,
    is_input_scaling,
    scales_input,
    unfreeze,
)
from edgeclf.graph.last_maps import find_last_maps  # noqa: E402
from edgeclf.graph.outputs import find_activated, gives_probabilities, loss_of, name_output  # noqa: E402
from edgeclf.graph.trace_channels import trace_channels  # noqa: E402

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


def loaded(model: object, normalization: Normalization = RAW) -> FloatNetwork:
    """As loading hands it on."""
    spec = InputSpec(8, 8, normalization)
    return FloatNetwork(model, lambda x: model(x, training=False), model, spec, ("a", "b", "c"))


def prepare(model: object) -> FloatNetwork:
    return graph.prepare_network(loaded(model))


def names(network: FloatNetwork) -> list[str]:
    return [type(layer).__name__ for layer in network.model.layers]


@pytest.mark.parametrize("factor", [1 / 255, 1 / 127.5])
def test_a_pure_scale_leaves_no_layer(factor: float) -> None:
    model = network(layers.Rescaling(factor))
    prepared = prepare(model)
    assert "Rescaling" not in names(prepared)
    assert prepared.input.input_max == pytest.approx(255 * factor)
    expected = model(PIXELS.astype(np.float32), training=False).numpy()
    np.testing.assert_allclose(prepared.on_pixels(PIXELS).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(
    "front",
    [layers.Rescaling(1 / 127.5, -1.0), layers.Normalization(mean=[100.0, 110.0, 120.0], variance=[50.0, 60.0, 70.0])],
)
def test_an_offset_becomes_a_frozen_depthwise_convolution(front: object) -> None:
    model = network(front)
    prepared = prepare(model)
    scaling = prepared.model.get_layer(PREPARED_SCALING)
    assert isinstance(scaling, layers.DepthwiseConv2D)
    assert scaling.kernel_size == (1, 1)
    assert not scaling.trainable_weights
    assert prepared.input.input_max == 1.0
    expected = model(PIXELS.astype(np.float32), training=False).numpy()
    np.testing.assert_allclose(prepared.on_pixels(PIXELS).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("span", "high"), [((0.0, 1.0), 1.0), ((-1.0, 1.0), 1.0), ((0.0, 255.0), 255.0), (None, 255.0)]
)
def test_networks_without_scaling_get_their_input_range(span: tuple[float, float] | None, high: float) -> None:
    model = network()
    low, top = span or (0.0, 255.0)
    prepared = graph.prepare_network(loaded(model, Normalization.from_range(low, top)))
    assert prepared.input.input_max == high
    expected = model(PIXELS / np.float32(255) * (top - low) + low, training=False).numpy()
    np.testing.assert_allclose(prepared.on_pixels(PIXELS).numpy(), expected, atol=1e-4)


def test_a_sequential_network_works_too() -> None:
    model = tf_keras.Sequential(
        [layers.InputLayer((8, 8, 3)), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(3, "softmax")]
    )
    prepared = prepare(model)
    np.testing.assert_allclose(prepared.on_pixels(PIXELS).numpy(), model(PIXELS.astype(np.float32)).numpy(), atol=1e-5)


def test_the_original_stays_as_it_is() -> None:
    model = network(layers.Rescaling(1 / 255))
    before = [layer.name for layer in model.layers]
    prepared = prepare(model)
    prepared.model.layers[1].set_weights([w * 0 for w in prepared.model.layers[1].get_weights()])
    assert [layer.name for layer in model.layers] == before
    assert np.abs(model.layers[2].get_weights()[0]).max() > 0


def test_another_network_that_reads_the_same_layers_changes_nothing() -> None:
    x = inputs = layers.Input((8, 8, 3))
    scaled = layers.Rescaling(1 / 255)(x)
    x = layers.Conv2D(4, 3, padding="same", use_bias=False)(scaled)
    x = layers.Add()([layers.BatchNormalization()(x), layers.Conv2D(4, 1, use_bias=False)(scaled)])
    model = tf_keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
    alone = prepare(model)
    others = [layers.Flatten()(tensor) for tensor in (inputs, *(layer.output for layer in model.layers[2:5]))]
    other = tf_keras.Model(inputs, others)
    shared = prepare(model)
    assert len(other.layers) > len(others)
    assert names(shared) == names(alone) == ["InputLayer", "Conv2D", "GlobalAveragePooling2D", "Dense"]
    expected = model(PIXELS.astype(np.float32), training=False).numpy()
    np.testing.assert_allclose(shared.on_pixels(PIXELS).numpy(), expected, atol=1e-5)


def test_layers_of_training_alone_leave_and_scalings_behind_them_are_found() -> None:
    """The start of the image classification tutorial of Keras, and two scalings in a row."""
    model = tf_keras.Sequential(
        [
            layers.RandomFlip("horizontal", input_shape=(8, 8, 3)),
            layers.RandomRotation(0.1),
            layers.RandomZoom(0.1),
            layers.RandomContrast(0.2),
            layers.RandomBrightness(0.2),
            layers.Rescaling(1 / 255),
            layers.GaussianNoise(0.1),
            layers.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.1, 0.2, 0.3]),
            layers.Conv2D(4, 3),
            layers.ActivityRegularization(0.1),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    prepared = prepare(model)
    expected = ["InputLayer", "DepthwiseConv2D", "Conv2D", "MaxPooling2D", "Flatten", "Dense"]
    assert names(prepared) == expected
    np.testing.assert_allclose(
        prepared.on_pixels(PIXELS).numpy(), model(PIXELS.astype(np.float32), training=False).numpy(), atol=1e-5
    )


def test_a_layer_of_training_alone_may_be_the_last_or_between_branches() -> None:
    x = inputs = layers.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same")(x)
    y = layers.GaussianNoise(0.1)(x)
    x = layers.Add()([x, y])
    x = layers.Dense(3)(layers.Flatten()(x))
    model = tf_keras.Model(inputs, layers.GaussianDropout(0.1)(x))
    prepared = prepare(model)
    assert names(prepared) == ["InputLayer", "Conv2D", "Add", "Flatten", "Dense"]
    np.testing.assert_allclose(
        prepared.on_pixels(PIXELS).numpy(),
        model(PIXELS.astype(np.float32), training=False).numpy(),
        rtol=1e-4,
        atol=1e-3,
    )


def test_a_base_as_one_layer_becomes_flat() -> None:
    base = tf_keras.Sequential([layers.Rescaling(1 / 255, input_shape=(8, 8, 3)), layers.Conv2D(4, 3)], name="base")
    inputs = layers.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(base(layers.RandomFlip()(inputs), training=False))
    model = tf_keras.Model(inputs, layers.Dense(3, activation="softmax")(x))
    prepared = prepare(model)
    assert names(prepared) == ["InputLayer", "Conv2D", "GlobalAveragePooling2D", "Dense"]
    assert prepared.input.input_max == pytest.approx(1.0)
    expected = model(PIXELS.astype(np.float32), training=False).numpy()
    np.testing.assert_allclose(prepared.on_pixels(PIXELS).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("keras_graph", [True, False])
def test_per_channel_normalization_and_channel_order_become_part_of_the_network(keras_graph: bool) -> None:
    model = network(layers.Rescaling(2.0))
    given = loaded(model, Normalization((10.0, 20.0, 30.0), (50.0, 60.0, 70.0), "BGR"))
    if not keras_graph:
        given = FloatNetwork(None, given.call, None, given.input, given.classes)
    assert given.input.input_max is None
    prepared = graph.prepare_network(given)
    assert prepared.input.input_max == 1.0
    assert (prepared.model is not None) == keras_graph
    entry = (PIXELS[..., ::-1].astype(np.float32) - [10, 20, 30]) / [50, 60, 70]
    expected = model(entry.astype(np.float32), training=False).numpy()
    np.testing.assert_allclose(given.on_pixels(PIXELS).numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(prepared.on_pixels(PIXELS).numpy(), expected, atol=1e-5)


def blue_first(name: str) -> object:
    """What stands behind the input of a run that was begun from a network whose colors are the other way round."""
    kernel = np.diag([1.0, 2.0, 3.0])[::-1].reshape(1, 1, 3, 3)
    constant = tf_keras.initializers.Constant
    return layers.Conv2D(3, 1, kernel_initializer=constant(kernel.tolist()), name=name, trainable=False)


def reversal() -> object:
    kernel = tf_keras.initializers.Constant(np.eye(3)[::-1].reshape(1, 1, 3, 3).tolist())
    return layers.Conv2D(3, 1, use_bias=False, kernel_initializer=kernel)


@pytest.mark.parametrize("front", [blue_first(SCALING), blue_first(PREPARED_SCALING), reversal()])
def test_colors_are_neither_pruned_nor_clustered_shrunk_or_trained(front: object) -> None:
    model = network(front)
    assert is_input_scaling(front)
    pruned, _, _ = choose_layers(model, Prune(0.8))
    assert front.name not in pruned
    assert len(pruned) == 2, "the other convolution, and the classifier"
    assert front.name not in clustered(model, 4)
    channels = trace_channels(model)
    assert all(front.name not in group.makers for group in channels.groups)
    freeze_scaling(model)
    unfreeze(model)
    assert [layer.name for layer in model.layers if not layer.trainable] == [front.name]
    quantized = insert_quantizers(prepare(model))
    assert not quantized.get_layer(f"quant_{front.name}").trainable
    assert not is_input_scaling(layers.Conv2D(3, 1, use_bias=False))


def test_what_stands_behind_a_reversal_of_colors_is_looked_at() -> None:
    assert scales_input(network(reversal(), layers.Rescaling(1 / 127.5, -1)))
    assert not scales_input(network(reversal()))


def softmaxes(how: str) -> object:
    inputs = layers.Input((8, 8, 3))
    maps = layers.Conv2D(3, 3, activation=how.partition(" ")[0])(inputs)
    if how.endswith("pooled"):
        return tf_keras.Model(inputs, layers.GlobalAveragePooling2D()(maps))
    pooled = layers.GlobalAveragePooling2D()(inputs)
    kinds = ("softmax", "softmax") if how.endswith("averaged") else ("softmax", "linear")
    return tf_keras.Model(inputs, layers.Average()([layers.Dense(3, activation=kind)(pooled) for kind in kinds]))


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ("softmax pooled", "softmax"),
        ("sigmoid pooled", "sigmoid"),
        ("linear pooled", ""),
        ("softmax averaged", "softmax"),
        ("softmax mixed", ""),
    ],
)
def test_averages_of_probabilities_are_probabilities(how: str, name: str) -> None:
    model = softmaxes(how)
    assert name_output(model) == name
    assert gives_probabilities(model) is bool(name)
    scores, targets = np.array([[0.7, 0.2, 0.1]], np.float32), np.array([[1.0, 0.0, 0.0]], np.float32)
    expected = {
        "softmax": -np.log(0.7),
        "sigmoid": -np.log([0.7, 0.8, 0.9]).mean(),
        "": -np.log(np.exp(0.7) / np.exp([0.7, 0.2, 0.1]).sum()),
    }
    assert float(loss_of(model)(targets, scores)) == pytest.approx(expected[name], rel=1e-4)


def test_the_last_maps_of_layers_that_are_called_on_their_own_output() -> None:
    inputs = layers.Input((16, 16, 3))
    again, pool = layers.Conv2D(3, 3, padding="same", activation="relu"), layers.MaxPooling2D(2)
    maps = again(pool(again(pool(inputs))))
    model = tf_keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(maps)))
    assert find_last_maps(model) is maps
    relu = layers.ReLU()
    both = layers.Add()([relu(layers.Conv2D(4, 1)(inputs)), relu(layers.Conv2D(4, 3, padding="same")(inputs))])
    model = tf_keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(both)))
    assert find_last_maps(model) is both
    assert find_activated(model) is model.layers[-1]


def test_a_copy_with_another_graph_keeps_input_classes_and_invariants() -> None:
    prepared = prepare(network(layers.Rescaling(1 / 255)))
    other = tf_keras.models.clone_model(prepared.model)
    other.set_weights([weight * 0 for weight in prepared.model.get_weights()])
    changed = prepared.with_model(other, notes=("all weights are zero",))
    assert (changed.input, changed.classes, changed.invariants) == (
        prepared.input,
        prepared.classes,
        prepared.invariants,
    )
    assert changed.notes == ("all weights are zero",)
    np.testing.assert_allclose(changed.on_pixels(PIXELS).numpy(), 1 / 3, atol=1e-6)
