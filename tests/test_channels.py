"""Channels that belong together: removing them leaves the outputs as they are, and every layer gets smaller."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

tf_keras = pytest.importorskip("tf_keras")
from network_builds import count_macs, float_network  # noqa: E402

from edgeclf.artifact.macs import count_macs as file_macs  # noqa: E402
from edgeclf.artifact.tflite import parse  # noqa: E402
from edgeclf.compression.export.converter import float_graph  # noqa: E402
from edgeclf.compression.steps.channel_choice import Widths, choose_channels, smallest_network  # noqa: E402
from edgeclf.compression.steps.goals import Goals  # noqa: E402
from edgeclf.graph.channels import ChannelGraph  # noqa: E402
from edgeclf.graph.prepared_network import prepare_network  # noqa: E402
from edgeclf.graph.remove_channels import remove_channels  # noqa: E402
from edgeclf.graph.separable import split_separable  # noqa: E402
from edgeclf.graph.trace_channels import trace_channels  # noqa: E402

layers = tf_keras.layers
SIDE = 6


def residual(x: Any, size: int) -> Any:
    y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(size, 3, padding="same", use_bias=False)(x)))
    return layers.ReLU()(layers.Add()([x, layers.Conv2D(x.shape[-1], 1)(y)]))


def concatenation(x: Any, size: int) -> Any:
    y = layers.Conv2D(size, 1, activation="relu")(x)
    return layers.Concatenate()([y, layers.MaxPooling2D(3, 1, "same")(x), layers.Conv2D(2, 3, padding="same")(y)])


def depthwise(x: Any, size: int) -> Any:
    y = layers.Conv2D(size, 1, activation="relu6")(x)
    return layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", depth_multiplier=1 + size % 2)(y))


def squeeze_and_excite(x: Any, size: int) -> Any:
    y = layers.GlobalAveragePooling2D(keepdims=size % 2 == 0)(x)
    if size % 2:
        y = layers.Reshape((1, 1, x.shape[-1]))(y)
    y = layers.Conv2D(x.shape[-1], 1)(layers.Conv2D(size, 1, activation="relu")(y))
    gate = layers.Rescaling(1 / 6)(layers.ReLU(6.0)(layers.Rescaling(1.0, 3.0)(y)))
    return layers.Multiply()([x, gate])


def separable(x: Any, size: int) -> Any:
    return layers.PReLU(shared_axes=[1, 2])(layers.SeparableConv2D(size, 3, padding="same", depth_multiplier=2)(x))


def shared(x: Any, size: int) -> Any:
    layer = layers.Conv2D(x.shape[-1], 1, activation="relu")
    return layer(layer(layers.Dropout(0.5)(x)))


BLOCKS = (residual, concatenation, depthwise, squeeze_and_excite, separable, shared)


def build(blocks: list[tuple[int, int]], flat: bool) -> Any:
    inputs = layers.Input((SIDE, SIDE, 3))
    x = layers.Activation("relu")(layers.BatchNormalization()(layers.Conv2D(5, 3, padding="same")(inputs)))
    for kind, size in blocks:
        x = BLOCKS[kind](x, size)
    x = layers.Flatten()(layers.AveragePooling2D(2)(x)) if flat else layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(4, activation="relu")(x)
    return split_separable(tf_keras.Model(inputs, layers.Dense(3, activation="softmax")(x)))


def randomize(model: Any, random: np.random.Generator) -> None:
    """Give all weights numbers; variances are positive."""
    for layer in model.layers:
        low = 0.2 if isinstance(layer, layers.BatchNormalization) else -0.6
        layer.set_weights([random.uniform(low, 0.8, weight.shape) for weight in layer.get_weights()])


def silence(model: Any, graph: ChannelGraph, gone: Any) -> None:
    """Make the channels zero for every image: filters, biases, and normalizations."""
    for cut in graph.cuts:
        if cut.role != "takes":
            layer = model.get_layer(cut.layer)
            weights = layer.get_weights()
            np.moveaxis(weights[cut.weight], cut.axis, 0)[gone[cut.channels]] = 0
            layer.set_weights(weights)


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(BLOCKS) - 1), st.integers(2, 5)), min_size=1, max_size=4),
    st.booleans(),
    st.integers(0, 2**16),
)
def test_removing_channels_that_are_zero_changes_no_output(
    blocks: list[tuple[int, int]], flat: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    model = build(blocks, flat)
    graph = trace_channels(model)
    assert not graph.blocked
    assert graph.macs() == count_macs_of_calls(model)
    kept = graph.everything
    for group in graph.groups:
        kept[random.permutation(group.channels)[: random.integers(0, len(group.channels))]] = False
    randomize(model, random)
    silence(model, graph, ~kept)
    images = random.uniform(-1, 1, (4, SIDE, SIDE, 3)).astype(np.float32)
    expected = np.asarray(model(images, training=False))
    made = remove_channels(model, graph, kept)
    np.testing.assert_allclose(np.asarray(made(images, training=False)), expected, rtol=0, atol=1e-5)
    assert made.count_params() < model.count_params() or kept.all()
    assert count_macs_of_calls(made) == graph.macs(kept) == trace_channels(made).macs()
    # each axis of each weight of each layer has lost exactly the places of the channels that went
    for cut in graph.cuts:
        shape = made.get_layer(cut.layer).get_weights()[cut.weight].shape
        assert shape[cut.axis] == len(cut.channels) - int((~kept[cut.channels]).sum())
    tf_keras.backend.clear_session()


def count_macs_of_calls(model: Any) -> int:
    """`count_macs`, where a layer with two calls counts twice."""
    total = count_macs(model)
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D) and len(layer._inbound_nodes) == 2:
            total += SIDE * SIDE * layer.get_weights()[0].size
    return total


def test_macs_of_layers_without_a_rule_are_those_of_the_file() -> None:
    inputs = layers.Input((8, 8, 3))
    x = layers.Conv2D(6, 1, activation="relu")(inputs)
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    grouped = layers.Conv2D(12, 3, groups=4, padding="same", name="grouped")
    x = layers.Conv2D(8, 1)(grouped(x))
    x = layers.Conv2D(6, 1)(grouped(x))
    x = layers.Conv2DTranspose(5, 3, strides=2, padding="same")(x)
    x = layers.Conv1D(20, 3, padding="same")(layers.Reshape((64, 20))(x))
    x = layers.Attention()([layers.Dense(7)(x), layers.Dense(9)(x), layers.Dense(7)(x)])
    model = tf_keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))
    graph = trace_channels(model)
    assert {layer.split("_")[0] for layer in graph.blocked} >= {"grouped", "conv2d", "attention"}
    content = float_graph(prepare_network(float_network(model)))
    own = 64 * (3 * 6 + 54 * 8) + 2 * 64 * 9 * 2 * 12 + 64 * 12 * (8 + 6)
    own += 64 * 9 * 6 * 5 + 64 * 3 * 20 * 20 + 64 * 20 * (7 + 9 + 7) + 64 * 64 * (7 + 9) + 9 * 3
    assert graph.macs() == own == file_macs(parse(content))
    assert (
        graph.weights()
        == 3 * 6 + 54 * 8 + 9 * 2 * 12 + 12 * (8 + 6) + 9 * 6 * 5 + 3 * 20 * 20 + 20 * (7 + 9 + 7) + 9 * 3
    )
    # what the other layers make cannot shrink
    assert graph.largest() == 64 * 6
    least = smallest_network(graph, Widths(4, 2))
    smaller = remove_channels(model, graph, least)
    assert graph.macs(least) == trace_channels(smaller).macs() < graph.macs()


def test_parameters_and_macs_are_those_of_the_arithmetic() -> None:
    inputs = layers.Input((8, 8, 3))
    x = layers.Conv2D(16, 3, padding="same", use_bias=False, name="stem")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="stem_bn")(x))
    x = layers.DepthwiseConv2D(3, 2, padding="same", name="depthwise")(x)
    x = layers.Conv2D(12, 1, name="wide")(x)
    x = layers.Add()([x, layers.Conv2D(12, 3, padding="same", name="inner")(x)])
    x = layers.Concatenate()([x, layers.Conv2D(6, 1, name="side")(x)])
    outputs = layers.Dense(5, activation="softmax", name="head")(layers.Flatten()(x))
    model = tf_keras.Model(inputs, outputs)
    graph = trace_channels(model)
    # 8x8 pixels before the stride, 4x4 behind it; the head takes 4x4 places of 12 + 6 channels
    assert graph.macs() == 64 * 27 * 16 + 16 * 9 * 16 + 16 * 16 * 12 + 16 * 9 * 12 * 12 + 16 * 12 * 6 + 16 * 18 * 5
    by_maker = {group.makers: group for group in graph.groups}
    assert {makers: len(group.channels) for makers, group in by_maker.items()} == {
        ("stem",): 16,
        ("wide", "inner"): 12,
        ("side",): 6,
    }
    assert by_maker["stem",].layers == ("stem", "stem_bn", "depthwise", "wide")
    kept = graph.everything
    kept[by_maker["stem",].channels[[0, 5, 6, 15]]] = False
    kept[by_maker["wide", "inner"].channels[:7]] = False
    kept[by_maker["side",].channels[3]] = False
    made = remove_channels(model, graph, kept)
    # 12 channels in the stem, 5 behind it, 5 at the side
    macs = 64 * 27 * 12 + 16 * 9 * 12 + 16 * 12 * 5 + 16 * 9 * 5 * 5 + 16 * 5 * 5 + 16 * 10 * 5
    parameters = 27 * 12 + 4 * 12 + (9 * 12 + 12) + (12 * 5 + 5) + (9 * 5 * 5 + 5) + (5 * 5 + 5) + (160 * 5 + 5)
    assert graph.macs(kept) == count_macs(made) == macs
    assert made.count_params() == parameters
    assert [layer.name for layer in made.layers] == [layer.name for layer in model.layers]
    np.testing.assert_array_equal(
        made.get_layer("side").get_weights()[0],
        model.get_layer("side").get_weights()[0][:, :, 7:][..., [0, 1, 2, 4, 5]],
    )


def test_what_a_layer_without_a_rule_touches_stays() -> None:
    inputs = layers.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, name="free", activation="relu")(inputs)
    x = layers.Conv2D(8, 3, name="kept")(x)
    x = layers.LayerNormalization(name="mixing")(x)
    x = layers.Conv2D(8, 1, groups=2, name="grouped")(layers.Conv2D(8, 1, name="before")(x))
    outputs = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    graph = trace_channels(tf_keras.Model(inputs, outputs))
    assert [group.makers for group in graph.groups] == [("free",)]
    assert graph.blocked == {
        "mixing": "LayerNormalization: shrinking knows no rule for it",
        "grouped": "Conv2D: it is grouped",
    }
    kept = graph.everything
    kept[graph.groups[0].channels] = False
    with pytest.raises(ValueError, match="all 8 channels of free would go"):
        remove_channels(tf_keras.Model(inputs, outputs), graph, kept)
    with pytest.raises(ValueError, match="channels that cannot be removed"):
        remove_channels(tf_keras.Model(inputs, outputs), graph, ~graph.everything | kept[::-1])


def test_dropout_with_noise_of_so_many_channels_keeps_them() -> None:
    inputs = layers.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, name="free", activation="relu")(inputs)
    x = layers.Dropout(0.5, noise_shape=(None, 1, 1, None))(x)
    x = layers.Dropout(0.5, noise_shape=(None, 6, 6, 1))(x)
    x = layers.Conv2D(8, 3, name="kept", activation="relu")(x)
    x = layers.Dropout(0.5, noise_shape=(None, 1, 1, 8), name="fixed")(x)
    outputs = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    model = tf_keras.Model(inputs, outputs)
    graph = trace_channels(model)
    assert graph.blocked == {"fixed": "Dropout: its noise_shape fixes the number of channels"}
    assert [group.makers for group in graph.groups] == [("free",)]
    kept = graph.everything
    kept[graph.groups[0].channels[2:]] = False
    made = remove_channels(model, graph, kept)
    assert made(np.zeros((2, 8, 8, 3), np.float32), training=True).shape == (2, 3)


def test_the_choice_reaches_the_goal_in_steps_and_takes_what_scores_least() -> None:
    model = build([(0, 5), (1, 5)], True)
    graph = trace_channels(model)
    random = np.random.default_rng(0)
    scores = random.uniform(0.5, 1, graph.count)
    widths = Widths(2, 1)
    kept = choose_channels(graph, scores, Goals(graph.macs() // 2), widths)
    assert 0.25 * graph.macs() < graph.macs(kept) <= graph.macs() // 2
    for group in graph.groups:
        inside = kept[group.channels]
        assert inside.sum() in (len(group.channels), 4, 2, 1)
        if not inside.all():
            assert scores[group.channels[~inside]].max() < scores[group.channels[inside]].min()
    least = smallest_network(graph, widths)
    assert all(least[group.channels].sum() == 1 for group in graph.groups)
    assert graph.macs(choose_channels(graph, scores, Goals(0), widths)) == graph.macs(least)
    few = choose_channels(graph, scores, Goals(weights=graph.weights(least)), widths)
    assert graph.weights(few) == graph.weights(least)
    assert [Widths(8, 4).next_below(count) for count in (17, 16, 8, 5, 4, 3)] == [16, 8, 4, 4, None, None]


@settings(max_examples=20, deadline=None)
@given(
    blocks=st.lists(st.tuples(st.integers(0, len(BLOCKS) - 1), st.integers(2, 6)), min_size=1, max_size=3),
    seed=st.integers(0, 99),
    part=st.floats(0.3, 0.9),
    by_weights=st.booleans(),
    by_largest=st.booleans(),
)
def test_nothing_goes_that_the_goals_would_leave(
    blocks: list[tuple[int, int]], seed: int, part: float, by_weights: bool, by_largest: bool
) -> None:
    graph = trace_channels(build(blocks, True))
    scores, widths = np.random.default_rng(seed).uniform(0.01, 1, graph.count), Widths(1, 1)
    weights, largest = round(part * graph.weights()), round(part * graph.largest())
    goals = Goals(round(part * graph.macs()), weights if by_weights else None, largest if by_largest else None)
    kept = choose_channels(graph, scores, goals, widths)

    def holds(mask: Any) -> bool:
        return not goals.exceeded_by(Goals(graph.macs(mask), graph.weights(mask), graph.largest(mask)))

    if not holds(smallest_network(graph, widths)):
        return
    assert holds(kept)
    for group in graph.groups:
        gone = group.channels[~kept[group.channels]]
        if len(gone):
            wider = kept.copy()
            wider[gone[np.argmax(scores[gone])]] = True
            assert not holds(wider), "a channel could have stayed"
