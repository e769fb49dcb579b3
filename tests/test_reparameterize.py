"""Blocks that train with parallel branches compute the same when they are folded into one convolution."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

tf_keras = pytest.importorskip("tf_keras")
from network_builds import built, count_macs, float_network, images  # noqa: E402

from edgeclf.graph.prepared_network import prepare_network  # noqa: E402
from edgeclf.graph.reparameterize import fold_branches  # noqa: E402
from edgeclf.training.networks import NetworkSettings  # noqa: E402
from edgeclf.training.networks.building import build_network  # noqa: E402

layers = tf_keras.layers


def randomize(model: Any) -> Any:
    """Give batch normalizations numbers as after a training, and biases some too."""
    random = np.random.default_rng(3)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([random.uniform(0.3, 1.2, weight.shape) for weight in layer.get_weights()])
        elif isinstance(layer, layers.Conv2D) and layer.use_bias:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, random.normal(0, 0.3, bias.shape)])
    return model


def assert_equal(made: Any, model: Any, size: int = 32) -> None:
    """Compare to 1e-5 of the largest output."""
    pixels = images(size, 4).astype(np.float32) / 255
    expected, got = (np.asarray(one(pixels, training=False), np.float64) for one in (model, made))
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["qarepvgg", "repvgg"])
def test_the_folded_network_computes_what_the_branched_one_does(name: str) -> None:
    model = randomize(build_network(name, NetworkSettings(32, 10, rescaling=(1.0, 0.0))))
    features = tf_keras.Model(model.inputs, model.layers[-2].output)
    made, count = fold_branches(features)
    assert count == 1 + 2 + 4 + 6
    assert_equal(made, features)
    convolutions = [layer for layer in made.layers if isinstance(layer, layers.Conv2D)]
    assert [layer.kernel_size for layer in convolutions] == count * [(3, 3)]
    assert not any(isinstance(layer, (layers.Add, layers.BatchNormalization)) for layer in made.layers)


def test_what_is_compressed_is_the_folded_network() -> None:
    prepared = prepare_network(float_network(built("qarepvgg")))
    # 3x3 convolutions with bias: one of 3 channels, then 16 filters at 32 pixels, 32 at 16, 64 at 8, and the classifier
    channels = [3, 16, 16, 16, *4 * [32], *6 * [64]]
    sizes = [32, 32, 32, *4 * [16], *6 * [8]]
    pairs = list(itertools.pairwise(channels))
    assert prepared.model.count_params() == sum((9 * c + 1) * f for c, f in pairs) + (64 + 1) * 10
    assert count_macs(prepared.model) == sum(9 * c * f * s * s for (c, f), s in zip(pairs, sizes, strict=True)) + 640
    assert prepared.notes == ("13 blocks of parallel branches folded into one convolution each",)


def sum_of(*branches: Callable[[Any], Any], behind: Any = None, size: Any = 12) -> Any:
    """A network whose first addition adds `branches`, with a batch normalization behind it where that is given."""
    tf_keras.utils.set_random_seed(5)
    inputs = layers.Input((size, size, 3))
    x = layers.ReLU()(layers.Conv2D(4, 3, padding="same")(inputs))
    x = layers.Add()([branch(x) for branch in branches])
    return randomize(tf_keras.Model(inputs, x if behind is None else behind(x)))


def branch(kernel: int, stride: int = 1, normalizations: int = 1, **settings: Any) -> Callable[[Any], Any]:
    def add(x: Any) -> Any:
        x = layers.Conv2D(4, kernel, stride, **{"padding": "same", **settings})(x)
        for _ in range(normalizations):
            x = layers.BatchNormalization()(x)
        return x

    return add


def identity(x: Any) -> Any:
    return x


def normalization(x: Any) -> Any:
    return layers.BatchNormalization()(x)


@pytest.mark.parametrize("size", [11, 12])
@pytest.mark.parametrize(
    "branches",
    [
        (identity, branch(3)),
        (branch(1, 2), branch(3, 2), branch(5, 2, normalizations=2)),
        (branch(1, padding="valid"), normalization, branch(5, normalizations=0)),
        (branch(2), branch(4, use_bias=False)),
    ],
    ids=["identity", "stride", "valid 1x1", "even kernels"],
)
def test_branches_of_several_kernels_and_strides_are_folded(branches: Any, size: int) -> None:
    for behind in (None, normalization):
        model = sum_of(*branches, behind=behind, size=size)
        made, count = fold_branches(model)
        assert count == 1
        assert not any(isinstance(layer, layers.Add) for layer in made.layers)
        assert_equal(made, model, size)


@pytest.mark.parametrize(
    "branches",
    [
        (identity, branch(3, activation="relu")),
        (identity, identity),
        (branch(3), branch(3, dilation_rate=2)),
        (branch(3), branch(1, 1, groups=2)),
        (identity, lambda x: branch(3)(layers.ReLU()(x))),
        (branch(1), lambda x: branch(3)(branch(3)(x))),
        (lambda x: layers.MaxPooling2D(1)(x), branch(3)),
    ],
    ids=["activation", "no convolution", "dilation", "groups", "another entry", "two convolutions", "pooling"],
)
def test_other_sums_stay_as_they_are(branches: Any) -> None:
    model = sum_of(*branches)
    assert fold_branches(model) == (model, 0)


def test_a_stride_without_a_known_size_stays_as_it_is() -> None:
    model = sum_of(branch(1, 2), branch(3, 2), size=None)
    assert fold_branches(model) == (model, 0)
    made, count = fold_branches(unknown := sum_of(identity, branch(3), size=None))
    assert count == 1
    assert_equal(made, unknown, 9)


def test_residual_networks_have_nothing_to_fold() -> None:
    model = built("resnet8")
    assert fold_branches(model) == (model, 0)
