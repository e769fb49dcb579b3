"""Networks inside networks become one flat graph that computes the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

tf_keras = pytest.importorskip("tf_keras")
from edgeclf.errors import ModelError  # noqa: E402
from edgeclf.graph.flatten import flatten  # noqa: E402

layers = tf_keras.layers
IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 16, 16, 3)).astype(np.float32)


def base(name: str = "base") -> Any:
    x = inputs = tf_keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, padding="same", name="conv")(x)
    y = layers.BatchNormalization(name="norm")(x)
    outputs = layers.Add(name="add")([x, layers.ReLU(name="relu")(y)])
    network = tf_keras.Model(inputs, outputs, name=name)
    random = np.random.default_rng(1)
    network.set_weights([random.uniform(0.5, 1.5, w.shape) for w in network.get_weights()])
    return network


def transfer_layout(frozen: bool = False) -> Any:
    inner = base()
    inner.trainable = not frozen
    inputs = tf_keras.Input((16, 16, 3), name="pixels")
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.GlobalAveragePooling2D()(inner(x, training=False))
    return tf_keras.Model(inputs, layers.Dense(2, activation="softmax", name="conv")(x), name="whole")


def sequential_layout() -> Any:
    inner = tf_keras.Sequential([base(), layers.Conv2D(2, 1, name="conv")], name="inner")
    return tf_keras.Sequential([layers.InputLayer((16, 16, 3)), inner, layers.Flatten(), layers.Dense(2)])


def twice() -> Any:
    """One network on two tensors."""
    inner = base()
    inputs = tf_keras.Input((16, 16, 3))
    both = layers.Add()([inner(inputs), inner(layers.Rescaling(0.5)(inputs))])
    return tf_keras.Model(inputs, layers.Dense(2)(layers.Flatten()(both)))


@pytest.mark.parametrize("make", [transfer_layout, sequential_layout, twice])
def test_the_flat_network_computes_the_same(make: Any) -> None:
    nested = make()
    flat = flatten(nested)
    assert not any(isinstance(layer, tf_keras.Model) for layer in flat.layers)
    assert flat.count_params() == nested.count_params()
    np.testing.assert_allclose(flat(IMAGES), nested(IMAGES), rtol=1e-6, atol=1e-6)
    again = tf_keras.Model.from_config(flat.get_config())
    again.set_weights(flat.get_weights())
    np.testing.assert_allclose(again(IMAGES), nested(IMAGES), rtol=1e-6, atol=1e-6)


def test_loaded_files_are_flattened_too(tmp_path: Any) -> None:
    for suffix in (".h5", ".keras"):
        nested = transfer_layout(frozen=True)
        nested.save(tmp_path / f"net{suffix}")
        flat = flatten(tf_keras.models.load_model(tmp_path / f"net{suffix}", compile=False))
        np.testing.assert_allclose(flat(IMAGES), nested(IMAGES), rtol=1e-6, atol=1e-6)


def test_names_stay_and_only_doubles_change() -> None:
    names = [layer.name for layer in flatten(transfer_layout()).layers]
    assert names[0] == "pixels"
    assert len(set(names)) == len(names)
    assert {"conv", "norm", "add", "relu"} < set(names)


def test_batch_normalization_of_the_base_trains_again() -> None:
    flat = flatten(transfer_layout())
    before = flat.get_layer("norm").moving_mean.numpy()
    flat(IMAGES, training=True)
    assert np.any(flat.get_layer("norm").moving_mean.numpy() != before)


def test_a_flat_network_is_returned_as_it_is() -> None:
    network = base()
    assert flatten(network) is network


def test_what_has_no_graph_is_refused() -> None:
    class Own(tf_keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = base()

        def call(self, x: Any) -> Any:
            return self.inner(x)

    with pytest.raises(ModelError, match="functional or sequential network was expected, got Own"):
        flatten(Own())
