"""Parameter counts as arithmetic, and the shapes that the networks promise."""

from __future__ import annotations

import itertools

import pytest

pytest.importorskip("tensorflow")
import tf_keras

from edgeclf.errors import InputError, UnknownNameError
from edgeclf.training.networks import NETWORKS, build_network

NORMALIZATION = 4  # scale, offset, moving mean, moving variance a channel


def convolution(kernel: int, channels: int, filters: int) -> int:
    return kernel * kernel * channels * filters + NORMALIZATION * filters


def test_two_layer_cnn() -> None:
    flat = 6 * 6 * 64  # 32 - 2 = 30, pooled 15, - 2 = 13, pooled 6
    expected = (3 * 3 * 3 + 1) * 32 + (3 * 3 * 32 + 1) * 64 + (flat + 1) * 128 + (128 + 1) * 10
    assert build_network("cnn", image_size=32, classes=10).count_params() == expected == 315_722


def test_resnet8() -> None:
    expected = convolution(3, 3, 16) + 2 * convolution(3, 16, 16)
    for channels, filters in ((16, 32), (32, 64)):
        shortcut = channels * filters
        expected += convolution(3, channels, filters) + convolution(3, filters, filters) + shortcut
    expected += (64 + 1) * 10
    assert build_network("resnet8", image_size=32, classes=10).count_params() == expected == 78_330


def test_mobilenet_v1_quarter_width() -> None:
    widths = [8, 16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256]
    expected = convolution(3, 3, 8)
    for channels, filters in itertools.pairwise(widths):
        expected += 9 * channels + NORMALIZATION * channels + convolution(1, channels, filters)
    expected += (256 + 1) * 10
    assert build_network("mobilenet-v1", image_size=96, classes=10, width=0.25).count_params() == expected


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_ends_in_as_many_probabilities_as_classes(name: str) -> None:
    import numpy as np

    size = 2 * NETWORKS[name].multiple
    network = build_network(name, image_size=size, classes=7)
    made = network(np.full((2, size, size, 3), 128, np.float32), training=False).numpy()
    assert made.shape == (2, 7)
    np.testing.assert_allclose(made.sum(1), 1, atol=1e-5)
    assert [type(layer).__name__ for layer in network.layers[:2]] == ["InputLayer", "Rescaling"]


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_said_about_depthwise_convolutions_is_so(name: str) -> None:
    built = build_network(name, image_size=32, classes=10)
    found = any(isinstance(layer, tf_keras.layers.DepthwiseConv2D) for layer in built.layers)
    assert found == NETWORKS[name].depthwise


def test_a_misspelt_network_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'resnet8'"):
        build_network("resnet9", image_size=32, classes=10)


def test_a_width_for_a_network_without_one_is_refused() -> None:
    with pytest.raises(InputError, match="resnet8 has no width multiplier"):
        build_network("resnet8", image_size=32, classes=10, width=0.5)


def test_an_image_size_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="multiple of 32, got 40"):
        build_network("mobilenet-v1", image_size=40, classes=10)
