"""Networks from other hands, or at another size, as starts of the networks of the registry."""

from __future__ import annotations

import numpy as np
import pytest

tf_keras = pytest.importorskip("tf_keras")
from network_builds import images  # noqa: E402

from edgeclf.errors import InputError  # noqa: E402
from edgeclf.graph.standard_layers import standardize  # noqa: E402
from edgeclf.training.architecture import check_architecture  # noqa: E402
from edgeclf.training.networks import NetworkSettings  # noqa: E402
from edgeclf.training.networks.building import build_network  # noqa: E402
from edgeclf.training.transfer import Pretrained, transfer  # noqa: E402


def test_weights_of_keras_applications_are_those_of_a_mobilenet_v3() -> None:
    whole = tf_keras.applications.MobileNetV3Small(weights=None, input_shape=(64, 64, 3), alpha=0.75)
    features = tf_keras.applications.MobileNetV3Small(
        weights=None, input_shape=(64, 64, 3), alpha=0.75, include_top=False
    )
    for network in (whole, features):
        check_architecture(standardize(network), "mobilenet-v3-small", 0.75, "file.h5")
    with pytest.raises(InputError, match="file.h5 is not a mobilenet-v3-small of width 1"):
        check_architecture(standardize(features), "mobilenet-v3-small", 1.0, "file.h5")


def test_a_vision_transformer_starts_at_the_size_that_it_was_trained_at() -> None:
    network = build_network("vit", NetworkSettings(16, 3, 0.25))
    pretrained = Pretrained(network, "vit.keras")
    made = transfer(pretrained, NetworkSettings(16, 5), images(16)).network
    assert made(np.zeros((1, 16, 16, 3), np.float32)).shape == (1, 5)
    with pytest.raises(InputError, match="cannot be built for an input of 32×32 pixels.*use --image-size 16"):
        transfer(pretrained, NetworkSettings(32, 5), images(32))
