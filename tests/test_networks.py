"""Parameter counts as arithmetic, and the shapes that the networks promise."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")
import tf_keras
from network_builds import NAMES, built, size_of

import edgeclf
from edgeclf.cli.options import complete_from
from edgeclf.cli.train import _networks
from edgeclf.errors import InputError, UnknownNameError
from edgeclf.training.networks import NETWORKS, Network, NetworkSettings
from edgeclf.training.networks.building import build_network

NORMALIZATION = 4  # scale, offset, moving mean, moving variance a channel


def convolution(kernel: int, channels: int, filters: int) -> int:
    return kernel * kernel * channels * filters + NORMALIZATION * filters


def test_two_layer_cnn() -> None:
    flat = 6 * 6 * 64  # 32 - 2 = 30, pooled 15, - 2 = 13, pooled 6
    expected = (3 * 3 * 3 + 1) * 32 + (3 * 3 * 32 + 1) * 64 + (flat + 1) * 128 + (128 + 1) * 10
    assert build_network("cnn", NetworkSettings(image_size=32, classes=10)).count_params() == expected == 315_722


def test_resnet8() -> None:
    expected = convolution(3, 3, 16) + 2 * convolution(3, 16, 16)
    for channels, filters in ((16, 32), (32, 64)):
        shortcut = channels * filters
        expected += convolution(3, channels, filters) + convolution(3, filters, filters) + shortcut
    expected += (64 + 1) * 10
    assert build_network("resnet8", NetworkSettings(image_size=32, classes=10)).count_params() == expected == 78_330


def test_mobilenet_v1_quarter_width() -> None:
    widths = [8, 16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256]
    expected = convolution(3, 3, 8)
    for channels, filters in itertools.pairwise(widths):
        expected += 9 * channels + NORMALIZATION * channels + convolution(1, channels, filters)
    expected += (256 + 1) * 10
    settings = NetworkSettings(image_size=96, classes=10, width=0.25)
    assert build_network("mobilenet-v1", settings).count_params() == expected


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_ends_in_as_many_probabilities_as_classes(name: str) -> None:
    network, size = built(name), size_of(name)
    assert size % NETWORKS[name].multiple == 0
    assert size >= NETWORKS[name].smallest
    made = network(np.full((2, size, size, 3), 128, np.float32), training=False).numpy()
    assert made.shape == (2, len(NAMES))
    np.testing.assert_allclose(made.sum(1), 1, atol=1e-5)
    assert [type(layer).__name__ for layer in network.layers[:2]] == ["InputLayer", "Rescaling"]


@pytest.mark.parametrize("name", NETWORKS)
def test_bfloat16_is_not_chosen_for_depthwise_convolutions_which_are_slower_in_it(name: str) -> None:
    found = any(isinstance(layer, tf_keras.layers.DepthwiseConv2D) for layer in built(name).layers)
    assert not (NETWORKS[name].bfloat16_faster and found)


def test_efficientnet_lite0() -> None:
    expected, channels = convolution(3, 3, 32), 32
    stages = (
        (1, 16, 1, 3),
        (6, 24, 2, 3),
        (6, 40, 2, 5),
        (6, 80, 3, 3),
        (6, 112, 3, 5),
        (6, 192, 4, 5),
        (6, 320, 1, 3),
    )
    for expansion, filters, repeats, kernel in stages:
        for _ in range(repeats):
            inner = channels * expansion
            expected += convolution(1, channels, inner) if expansion > 1 else 0
            expected += kernel * kernel * inner + NORMALIZATION * inner + convolution(1, inner, filters)
            channels = filters
    expected += convolution(1, 320, 1280) + (1280 + 1) * 1000
    network = build_network("efficientnet-lite0", NetworkSettings(image_size=224, classes=1000))
    assert network.count_params() == expected == 4_694_024


def test_a_misspelt_network_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'resnet8'"):
        build_network("resnet-8", NetworkSettings(image_size=32, classes=10))


def test_a_width_for_a_network_without_one_is_refused() -> None:
    with pytest.raises(InputError, match="resnet8 has no width multiplier"):
        build_network("resnet8", NetworkSettings(image_size=32, classes=10, width=0.5))
    with pytest.raises(InputError, match=r"resnet8-swish takes a width of at least 0\.5, got --width 0\.25"):
        build_network("resnet8-swish", NetworkSettings(image_size=32, classes=10, width=0.25))


def test_an_image_size_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="multiple of 32, got 40"):
        build_network("mobilenet-v1", NetworkSettings(image_size=40, classes=10))


def test_an_image_that_is_too_small_is_refused() -> None:
    with pytest.raises(InputError, match="image_size of inception-v3 must be at least 75, got 64"):
        build_network("inception-v3", NetworkSettings(image_size=64, classes=10))


def test_penalties_reach_networks_of_keras_applications() -> None:
    network = build_network("resnet50v2", NetworkSettings(image_size=32, classes=2, l2=0.1))
    squares = sum(
        float((layer.kernel.numpy() ** 2).sum())
        for layer in network.layers
        if isinstance(layer, (tf_keras.layers.Conv2D, tf_keras.layers.Dense))
    )
    assert float(sum(network.losses)) == pytest.approx(0.1 * squares, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "width", "expected"),
    [
        ("cnn", None, 8864.6081),
        ("resnet8", None, 5747.6521),
        ("resnet20", None, 17143.0121),
        ("mobilenet-v1", 0.25, 25143.2303),
        ("mobilenet-v2", 0.35, 57547.0348),
    ],
)
def test_the_same_seed_gives_the_same_weights_as_ever(name: str, width: float | None, expected: float) -> None:
    tf_keras.utils.set_random_seed(7)
    network = build_network(name, NetworkSettings(image_size=32, classes=5, width=width))
    assert sum(float(np.abs(w).sum()) for w in network.get_weights()) == pytest.approx(expected, rel=1e-6)


def test_the_command_line_offers_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, "resnet-of-mine", NETWORKS["resnet8"])
    assert complete_from(_networks)("resnet") == [
        "resnet8",
        "resnet9",
        "resnet8-swish",
        "resnet10",
        "resnet20",
        "resnet32",
        "resnet50v2",
        "resnet-of-mine",
    ]


def test_the_registry_is_read_without_tensorflow() -> None:
    program = "import sys, edgeclf.training.choosing; print('tensorflow' in sys.modules, 'tf_keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def _tiny(x: object, width: float, blocks: object) -> object:
    layers = tf_keras.layers
    return layers.GlobalAveragePooling2D()(layers.Conv2D(int(4 * width), 3, activation="relu")(x))


@pytest.mark.slow
def test_a_network_is_added_from_outside_by_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = Network(_tiny, "a test", default_width=2.0, stem_filters=4, default_size=lambda side: 16)
    monkeypatch.setitem(NETWORKS, "tiny", tiny)
    report = edgeclf.train("digits", model="tiny", epochs=1, out=tmp_path / "run")
    assert (report.model, report.image_size) == ("tiny", 16)
    assert report.parameters == (3 * 3 * 3 + 1) * 8 + (8 + 1) * 10
    started = edgeclf.train(
        "digits", model="tiny", epochs=1, weights=str(tmp_path / "run" / "model.keras"), out=tmp_path / "again"
    )
    assert started.parameters == report.parameters
    with pytest.raises(InputError, match="width multiplier, got --width 0.5; those that have one: .*tiny"):
        edgeclf.train("digits", model="cnn", width=0.5, out=tmp_path / "other")
