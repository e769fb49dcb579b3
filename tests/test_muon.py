"""Steps of Muon: their singular values, what they keep, and which kernels take them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

tf_keras = pytest.importorskip("tf_keras")
import edgeclf  # noqa: E402
from edgeclf.errors import InputError  # noqa: E402
from edgeclf.training.config import TrainConfig  # noqa: E402
from edgeclf.training.muon import find_turned, orthogonalize, turn  # noqa: E402
from edgeclf.training.networks.building import build_network  # noqa: E402
from edgeclf.training.networks.network import NetworkSettings  # noqa: E402
from edgeclf.training.optimizers import OptimizerSettings, build_optimizer  # noqa: E402

layers = tf_keras.layers


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_the_steps_have_the_directions_of_the_gradient_and_singular_values_about_one(
    rows: int, columns: int, seed: int, scale: float
) -> None:
    random = np.random.default_rng(seed)
    size = min(rows, columns)
    left, right = (np.linalg.qr(random.standard_normal((side, size)))[0] for side in (rows, columns))
    values = scale * random.uniform(0.1, 1, size)
    found = np.asarray(orthogonalize(tf_keras.backend.constant((left * values) @ right.T)))
    assert found.shape == (rows, columns)
    inner = left.T @ found @ right
    # Five iterations bring what is above a fiftieth of the norm to 0.68 to 1.21.
    assert np.diag(inner).min() > 0.6
    assert np.diag(inner).max() < 1.3
    np.testing.assert_allclose(inner - np.diag(np.diag(inner)), 0, atol=1e-3)
    np.testing.assert_allclose(found, left @ inner @ right.T, atol=1e-3)


@pytest.mark.parametrize("norm", [0.02, 1.0, 30.0])
def test_a_step_turns_a_kernel_by_its_angle_and_keeps_its_norm(norm: float) -> None:
    kernel = np.zeros((1, 1, 4, 2), np.float32)
    kernel[0, 0, 0, 0] = kernel[0, 0, 1, 1] = norm / 2**0.5
    direction = np.zeros_like(kernel)
    direction[0, 0, 2, 0] = direction[0, 0, 3, 1] = 7.0  # at right angles to the kernel
    turned = np.asarray(turn(tf_keras.backend.constant(kernel), tf_keras.backend.constant(direction), 0.1))
    assert np.linalg.norm(turned) == pytest.approx(norm, rel=1e-5)
    assert (turned * kernel).sum() / norm**2 == pytest.approx(np.cos(np.arctan(0.1)), abs=1e-5)
    assert (turned * direction).sum() < 0


def test_kernels_without_a_gradient_stay() -> None:
    kernel = tf_keras.backend.constant(np.ones((3, 3, 2, 4)))
    np.testing.assert_allclose(turn(kernel, tf_keras.backend.zeros((3, 3, 2, 4)), 0.1), kernel, rtol=1e-6)


def test_convolutions_turn_that_batch_normalization_follows() -> None:
    x = inputs = layers.Input((8, 8, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, use_bias=False, name="normalized")(x))
    x = layers.BatchNormalization()(layers.DepthwiseConv2D(3, name="depthwise")(x))
    x = layers.BatchNormalization()(layers.Conv2D(4, 1, groups=2, name="grouped")(x))
    y = layers.Conv2D(4, 1, name="read_twice")(x)
    y = layers.Add()([y, layers.BatchNormalization()(y)])
    y = layers.ReLU()(layers.Conv2D(4, 1, name="plain")(y))
    y = layers.BatchNormalization()(layers.Conv2D(4, 1, name="biased")(y))
    frozen = layers.Conv2D(4, 1, name="frozen", trainable=False)
    y = layers.GlobalAveragePooling2D()(layers.BatchNormalization()(frozen(y)))
    model = tf_keras.Model(inputs, layers.Dense(2)(y))
    assert find_turned(model) == {"normalized/kernel:0", "biased/kernel:0"}
    # of ResNet-8, all but the two convolutions beside the blocks, which have no normalization: 7 of 9
    assert len(find_turned(build_network("resnet8", NetworkSettings(32, classes=10)))) == 7


def test_what_does_not_turn_takes_the_steps_of_sgd() -> None:
    def train(name: str, turned: frozenset[str]) -> dict[str, np.ndarray]:
        kernel = tf_keras.backend.variable(np.full((1, 1, 2, 2), 3.0), name="kernel")
        other = tf_keras.backend.variable(np.ones(2), name="kernel_of_others")
        optimizer = build_optimizer(0.1, OptimizerSettings(name, 0.9, weight_decay=0.1, turned=turned))
        optimizer.build([kernel, other])
        gradient = tf_keras.backend.constant(np.arange(4.0).reshape(1, 1, 2, 2))
        for _ in range(3):
            optimizer.apply_gradients([(gradient, kernel), (tf_keras.backend.ones(2), other)])
        return {"kernel": kernel.numpy(), "other": other.numpy()}

    sgd, muon = train("sgd", frozenset()), train("muon", frozenset({"kernel:0"}))
    np.testing.assert_array_equal(muon["other"], sgd["other"])
    np.testing.assert_array_equal(train("muon", frozenset())["kernel"], sgd["kernel"])
    # Decay would shrink it by 3 %.
    assert np.linalg.norm(muon["kernel"]) == pytest.approx(6, rel=1e-5)
    assert not np.allclose(muon["kernel"], 3)


def test_training_keeps_the_norms_of_what_it_turns(tmp_path: Path) -> None:
    config = TrainConfig(model="resnet8", epochs=2, optimizer="muon")
    report = edgeclf.train("digits", config, out=tmp_path / "run")
    assert report.metrics["validation"].top1 > 0.8
    trained = tf_keras.models.load_model(tmp_path / "run" / "model.keras", compile=False)
    turned = find_turned(trained)
    assert len(turned) == 7
    for layer in trained.layers:
        if isinstance(layer, layers.Conv2D) and layer.kernel.name in turned:
            # It begins with weights of the variance 2 / inputs (He et al., 2015), so that a filter has the squared norm
            # 2. The weights of a run are averages of the last steps, which are a little shorter.
            assert np.linalg.norm(layer.kernel.numpy()) == pytest.approx(np.sqrt(2 * layer.filters), rel=0.15)


def test_networks_and_settings_that_it_is_not_for_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="optimizer=muon is for convolutions that batch normalization follows"):
        find_turned(build_network("cnn", NetworkSettings(16, classes=10)))
    with pytest.raises(InputError, match="l2 0.001 has no effect on kernels whose norms the optimizer muon keeps"):
        edgeclf.train("digits", optimizer="muon", l2=1e-3, out=tmp_path / "run")
    with pytest.raises(InputError, match="norm_rates is for optimizer=sgd, got muon"):
        edgeclf.train("digits", optimizer="muon", norm_rates=True, out=tmp_path / "run")
    x = inputs = layers.Input((8, 8, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, activation="tanh")(x))
    model = tf_keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    with pytest.raises(InputError, match="has none to train"):  # the norm of its kernel counts
        find_turned(model)
