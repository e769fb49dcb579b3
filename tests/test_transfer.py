"""Starting from the person-detection network on the clothing photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tf_keras

from edgeclf.artifact.normalization import NORMALIZATIONS, RAW
from edgeclf.dataset import load_dataset
from edgeclf.errors import InputError
from edgeclf.graph.flatten import flatten
from edgeclf.image.decoding import resize
from edgeclf.training import input_range
from edgeclf.training.architecture import check_architecture
from edgeclf.training.input_range import estimate_input_range
from edgeclf.training.networks import NetworkSettings
from edgeclf.training.networks.building import build_network
from edgeclf.training.transfer import Pretrained, transfer


@pytest.fixture(scope="module")
def person_network(shared_data: Path) -> tf_keras.Model:
    return tf_keras.models.load_model(shared_data / "vww_96.h5", compile=False)


def test_head_and_scaling_are_replaced_and_features_kept(person_network: tf_keras.Model, clothing_folder: Path) -> None:
    images = load_dataset(clothing_folder, image_size=96).splits["train"].images[:32]
    made = transfer(Pretrained(person_network, "vww_96.h5"), NetworkSettings(96, classes=10, dropout=0.1), images)
    assert made.network.output_shape == (None, 10)
    assert "the statistics of its batch normalization fit an input of 0..1" in " ".join(made.notes)
    assert "head of vww_96.h5 dropped: it has 2 output classes" in " ".join(made.notes)
    old = tf_keras.Model(person_network.input, person_network.layers[-4].output)
    new = tf_keras.Model(made.network.input, made.network.layers[-4].output)
    batch = images[:4].astype(np.float32)
    np.testing.assert_allclose(new(batch), old(batch / 255), atol=1e-4)


@pytest.mark.parametrize(
    ("ends", "scaling"), [((0, 1), (1 / 255, 0.0)), ((-1, 1), (1 / 127.5, -1.0)), ((0, 255), (1.0, 0.0))]
)
def test_the_input_range_is_estimated(
    ends: tuple[float, float], scaling: tuple[float, float], clothing_folder: Path
) -> None:
    layers = tf_keras.layers
    inputs = tf_keras.Input((32, 32, 3))
    x = layers.Conv2D(8, 3, use_bias=False)(inputs)
    network = tf_keras.Model(inputs, layers.BatchNormalization(momentum=0.0)(x))
    images = load_dataset(clothing_folder, image_size=32).splits["train"].images[:32]
    network(images.astype(np.float32) * scaling[0] + scaling[1], training=True)
    found = estimate_input_range(network, images)
    assert (found.low, found.high, found.source) == (*ends, "batch normalization")


@pytest.mark.parametrize("name", ["caffe", "torch"])
def test_channel_order_mean_and_std_are_estimated_and_put_inside(name: str) -> None:
    layers = tf_keras.layers
    random = np.random.default_rng(0)
    light = random.integers(0, 256, (64, 1, 1, 1)) * np.array([1.0, 0.7, 0.4])
    images = np.clip(light + random.normal(0, 20, (64, 16, 16, 3)), 0, 255).astype(np.uint8)
    entering = images[..., ::-1] - np.array([103.939, 116.779, 123.68])
    if name == "torch":
        entering = (images / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    tf_keras.utils.set_random_seed(0)
    inputs = tf_keras.Input((16, 16, 3))
    x = layers.BatchNormalization(momentum=0.0)(layers.Conv2D(8, 3, use_bias=False)(inputs))
    features = tf_keras.Model(inputs, x)
    features(entering.astype(np.float32), training=True)
    found = estimate_input_range(features, images[:32])
    assert found.normalization == NORMALIZATIONS[name]
    assert found.decided
    assert found.pair is None
    network = tf_keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    made = transfer(Pretrained(network, "net.h5"), NetworkSettings(16, classes=3), images)
    assert f"fit an input of {name}, so one was put in front" in " ".join(made.notes)
    again = tf_keras.Model.from_config(made.network.get_config())
    again.set_weights(made.network.get_weights())
    for model in (made.network, again):
        inside = tf_keras.Model(model.input, next(one for one in model.layers if "batch_norm" in one.name).output)
        np.testing.assert_allclose(inside(images.astype(np.float32)), features(entering.astype(np.float32)), atol=1e-3)


def test_layers_that_change_images_in_training_are_left_out() -> None:
    layers = tf_keras.layers
    inputs = tf_keras.Input((16, 16, 3))
    x = layers.RandomRotation(0.1, name="turned")(layers.RandomFlip(name="flipped")(inputs))
    x = layers.GaussianNoise(0.5, name="noisy")(layers.Conv2D(4, 3, name="kept")(x))
    network = tf_keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    images = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    made = transfer(Pretrained(network, "net.h5", input_range=RAW), NetworkSettings(16, classes=2), images)
    names = {layer.name for layer in made.network.layers}
    assert "kept" in names
    assert names.isdisjoint({"turned", "flipped", "noisy"})
    assert "net.h5 changes its input in training (flipped, turned, noisy): left out, --augment does so" in made.notes
    kernel = [one.get_layer("kept").get_weights()[0] for one in (network, made.network)]
    np.testing.assert_array_equal(*kernel)
    floats = images.astype(np.float32)
    np.testing.assert_array_equal(made.network(floats, training=True), made.network(floats, training=False))


def test_the_images_of_the_estimate_are_resized_like_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = tf_keras.layers
    inputs = tf_keras.Input((16, 24, 3))
    network = tf_keras.Model(inputs, layers.BatchNormalization()(layers.Conv2D(4, 3)(inputs)))
    images = np.random.default_rng(0).integers(0, 256, (3, 40, 60, 3), dtype=np.uint8)
    asked = []
    monkeypatch.setattr(input_range, "resize", lambda *given: asked.append(given[1:]) or resize(*given))
    estimate_input_range(network, images)
    assert asked == [(16, 24)] * 3


def test_without_batch_normalization_the_range_is_assumed_and_reported() -> None:
    layers = tf_keras.layers
    inputs = tf_keras.Input((16, 16, 3))
    network = tf_keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(inputs))))
    made = transfer(Pretrained(network, "net.h5"), NetworkSettings(16, classes=2), np.zeros((2, 16, 16, 3), np.uint8))
    assert (
        "and no statistics of a batch normalization to estimate its input range by; assumed is 0..1" in made.notes[-1]
    )
    normalized = layers.BatchNormalization()(layers.Conv2D(4, 3)(inputs))
    network = tf_keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(normalized)))
    assert estimate_input_range(network, np.zeros((2, 16, 16, 3), np.uint8)).source == "assumed"  # never trained


def test_a_network_that_is_not_what_was_asked_for_is_refused(person_network: tf_keras.Model) -> None:
    check_architecture(person_network, "mobilenet-v1", None, "vww_96.h5")
    with pytest.raises(InputError, match="vww_96.h5 is not a mobilenet-v2"):
        check_architecture(person_network, "mobilenet-v2", None, "vww_96.h5")


def nested_file(path: Path) -> Path:
    """The usual way to fine-tune in Keras: a frozen base is one layer of the network."""
    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(0)
    base = build_network("resnet8", NetworkSettings(image_size=32, classes=7))
    base = tf_keras.Model(base.input, base.layers[-3].output, name="base")
    base.trainable = False
    inputs = tf_keras.Input((32, 32, 3))
    x = layers.GlobalAveragePooling2D()(base(inputs, training=False))
    tf_keras.Model(inputs, layers.Dense(5, activation="softmax")(layers.Dropout(0.2)(x))).save(path)
    return path


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_a_base_inside_a_network_is_taken_over_and_trained(tmp_path: Path, suffix: str) -> None:
    source = tf_keras.models.load_model(nested_file(tmp_path / f"net{suffix}"), compile=False)
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    made = transfer(Pretrained(source, "net"), NetworkSettings(32, classes=2), images)
    assert not any(isinstance(layer, tf_keras.Model) for layer in made.network.layers)
    kernels = [layer for layer in made.network.layers if isinstance(layer, tf_keras.layers.Conv2D)]
    assert len(kernels) == 1 + 3 * 2 + 2  # stem, two in each of three blocks, two shortcuts
    assert len(made.network.trainable_weights) == 9 + 7 * 2 + 2  # kernels, scale and offset of 7 normalizations, head
    assert any("16 layers that net keeps frozen: treated" in note for note in made.notes)
    assert not any("has no Rescaling" in note for note in made.notes)
    old = source.get_layer("base")(images)
    new = tf_keras.Model(made.network.input, made.network.layers[-3].output)(images)
    np.testing.assert_allclose(new, old, atol=1e-4)
    check_architecture(flatten(source), "resnet8", None, "net")


def test_mixed_precision_reaches_what_is_taken_over_but_not_the_probabilities(tmp_path: Path) -> None:
    source = tf_keras.models.load_model(nested_file(tmp_path / "net.h5"), compile=False)
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        images = np.zeros((4, 32, 32, 3), np.uint8)
        made = transfer(Pretrained(source, "net"), NetworkSettings(32, classes=2), images)
        ours = build_network("resnet8", NetworkSettings(image_size=32, classes=2))
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    for model in (made.network, ours):
        assert model.output.dtype == "float32"
        assert model.layers[-2].compute_dtype == "bfloat16"
