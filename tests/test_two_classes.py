"""A network with one sigmoid output is a two-class network with the probabilities (1 - p, p)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import colored_squares
import numpy as np
import pytest
from colored_squares import compress

from edgeclf.dataset.types import Dataset, ImageView, Split
from edgeclf.errors import ModelError
from edgeclf.measure.plan import BenchPlan

tf_keras = pytest.importorskip("tf_keras")
keras = pytest.importorskip("keras", minversion="3")
pytest.importorskip("tensorflow_model_optimization")
from edgeclf.keras_files.baseline import open_baseline  # noqa: E402
from edgeclf.keras_files.loading import load_float_model, load_network  # noqa: E402
from edgeclf.keras_files.predictor import KerasPredictor  # noqa: E402
from edgeclf.training.networks import NetworkSettings  # noqa: E402
from edgeclf.training.transfer import Pretrained, transfer  # noqa: E402

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
SIDE = colored_squares.SIDE


def network(framework: Any, *head: Any) -> Any:
    framework.utils.set_random_seed(0)
    layers = framework.layers
    parts = [layers.Rescaling(1 / 255), layers.Conv2D(8, 3, strides=2, activation="relu"), *head]
    return framework.Sequential([layers.Input((SIDE, SIDE, 3)), *parts])


def heads(framework: Any) -> dict[str, list[Any]]:
    layers = framework.layers
    pooled = layers.GlobalAveragePooling2D()
    return {
        "dense": [pooled, layers.Dense(1, activation="sigmoid")],
        "dense without bias": [layers.Flatten(), layers.Dense(1, activation="sigmoid", use_bias=False)],
        "activation": [layers.GlobalMaxPooling2D(), layers.Dense(1), layers.Activation("sigmoid")],
        "map": [layers.Conv2D(1, 7, activation="sigmoid"), layers.Flatten()],
        "mean": [layers.Conv2D(1, 1), layers.GlobalAveragePooling2D(), layers.Activation("sigmoid")],
        "log-odds": [layers.GlobalAveragePooling2D(), layers.Dense(1)],
        "cast behind it": [
            layers.GlobalAveragePooling2D(),
            layers.Dense(1, activation="sigmoid"),
            layers.Activation("linear", dtype="float32"),
        ],
    }


@pytest.mark.parametrize("which", heads(tf_keras))
def test_both_probabilities_are_those_of_keras(which: str, tmp_path: Path) -> None:
    model = network(tf_keras, *heads(tf_keras)[which])
    model.save(tmp_path / "net.h5")
    found = np.asarray(model(PIXELS.astype(np.float32)))
    p = 1 / (1 + np.exp(-found)) if which == "log-odds" else found
    loaded = load_network(tmp_path / "net.h5").network
    assert loaded.classes == ("0", "1")
    np.testing.assert_allclose(KerasPredictor(loaded).probabilities(PIXELS), np.hstack([1 - p, p]), atol=1e-6)
    words = "taken as the log-odds" if which == "log-odds" else "probability of the second of two classes"
    assert words in loaded.notes[0]


@pytest.mark.parametrize("activation", ["tanh", "relu", "softmax"])
def test_one_output_that_is_no_probability_is_refused(activation: str, tmp_path: Path) -> None:
    for framework, name in ((tf_keras, "net.h5"), (keras, "net.keras")):
        layers = framework.layers
        model = network(framework, layers.GlobalAveragePooling2D(), layers.Dense(1, activation=activation))
        model.save(tmp_path / name)
        with pytest.raises(ModelError, match=f"one output that ends in {activation}; expected a sigmoid"):
            load_network(tmp_path / name)


@pytest.mark.parametrize("how", ["operation", "cast", "pooled", "map"])
def test_operations_of_keras_3_at_the_end(how: str, tmp_path: Path) -> None:
    layers = keras.layers
    keras.utils.set_random_seed(0)
    inputs = layers.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(1 if how == "pooled" else 8, 3, strides=2)(layers.Rescaling(1 / 255)(inputs))
    if how == "map":
        x = layers.Flatten()(keras.ops.sigmoid(layers.Conv2D(1, x.shape[1])(x)))
    else:
        x = layers.GlobalAveragePooling2D()(x)
    if how in ("operation", "cast"):
        x = keras.ops.sigmoid(layers.Dense(1)(x))
    model = keras.Model(inputs, keras.ops.cast(x, "float32") if how == "cast" else x)
    model.save(tmp_path / "net.keras")
    found = np.asarray(model(PIXELS.astype(np.float32)))
    p = 1 / (1 + np.exp(-found)) if how == "pooled" else found
    loaded = load_network(tmp_path / "net.keras").network
    np.testing.assert_allclose(KerasPredictor(loaded).probabilities(PIXELS), np.hstack([1 - p, p]), atol=1e-6)
    assert ("log-odds" in loaded.notes[0]) is (how == "pooled")


def test_an_average_of_probabilities_is_no_log_odds(tmp_path: Path) -> None:
    layers = tf_keras.layers
    model = network(tf_keras, layers.Conv2D(1, 1, activation="sigmoid"), layers.GlobalAveragePooling2D())
    model.save(tmp_path / "net.h5")
    model.export(tmp_path / "net")
    layers = keras.layers
    network(keras, layers.Conv2D(1, 1, activation="sigmoid"), layers.GlobalAveragePooling2D()).save(
        tmp_path / "net.keras"
    )
    inputs = layers.Input((SIDE, SIDE, 3))
    maps = keras.ops.sigmoid(layers.Conv2D(1, 3)(inputs))
    keras.Model(inputs, layers.GlobalAveragePooling2D()(maps)).save(tmp_path / "operation.keras")
    for name in ("net.h5", "net", "net.keras", "operation.keras"):
        with pytest.raises(ModelError, match="one output that ends in an average of probabilities; expected a sigmoid"):
            load_network(tmp_path / name)


def test_a_sigmoid_that_is_called_elsewhere_too_stays_there(tmp_path: Path) -> None:
    """One activation object for gates and for the output, as helper functions share it."""
    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(0)
    inputs, gate = layers.Input((SIDE, SIDE, 3)), layers.Activation("sigmoid")
    x = layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 255)(inputs))
    x = layers.Multiply()([x, gate(layers.Dense(8)(layers.GlobalAveragePooling2D(keepdims=True)(x)))])
    model = tf_keras.Model(inputs, gate(layers.Dense(1)(layers.GlobalAveragePooling2D()(x))))
    model.save(tmp_path / "net.h5")
    p = np.asarray(model(PIXELS.astype(np.float32)))
    loaded = load_network(tmp_path / "net.h5").network
    np.testing.assert_allclose(KerasPredictor(loaded).probabilities(PIXELS), np.hstack([1 - p, p]), atol=1e-6)


@pytest.mark.parametrize("activation", ["sigmoid", "linear"])
@pytest.mark.parametrize("kind", ["dense", "map"])
def test_a_last_layer_that_is_called_elsewhere_too_stays_there(kind: str, activation: str, tmp_path: Path) -> None:
    """A layer that scores a picture, and its own places for the attention in front of that."""
    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(0)
    inputs = layers.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 255)(inputs))
    shared = layers.Dense(1, activation=activation) if kind == "dense" else layers.Conv2D(1, 1, activation=activation)
    pooled = layers.GlobalAveragePooling2D(keepdims=kind == "map")(layers.Multiply()([x, shared(x)]))
    outputs = shared(pooled) if kind == "dense" else layers.Flatten()(shared(pooled))
    model = tf_keras.Model(inputs, outputs)
    model.save(tmp_path / "net.h5")
    found = np.asarray(model(PIXELS.astype(np.float32)))
    p = found if activation == "sigmoid" else 1 / (1 + np.exp(-found))
    loaded = load_network(tmp_path / "net.h5").network
    np.testing.assert_allclose(KerasPredictor(loaded).probabilities(PIXELS), np.hstack([1 - p, p]), atol=1e-6)


@pytest.mark.parametrize("which", ["dense", "activation", "log-odds", "cast behind it"])
def test_files_of_keras_3_and_saved_models(which: str, tmp_path: Path) -> None:
    for framework, name in ((keras, "three.keras"), (keras, "three"), (tf_keras, "two")):
        model = network(framework, *heads(framework)[which])
        if name.endswith(".keras"):
            model.save(tmp_path / name)
        else:
            model.export(tmp_path / name, **({"verbose": False} if framework is keras else {}))
        found = np.asarray(model(PIXELS.astype(np.float32)))
        p = 1 / (1 + np.exp(-found)) if which == "log-odds" else found
        loaded = load_network(tmp_path / name).network
        predictor = KerasPredictor(loaded, batch_size=1)
        np.testing.assert_allclose(predictor.probabilities(PIXELS), np.hstack([1 - p, p]), atol=1e-6)
        words = "taken as the log-odds" if which == "log-odds" else "probability of the second of two classes"
        assert words in loaded.notes[0]


def two_colors() -> Dataset:
    """The first two classes of the colored squares."""
    data = colored_squares.dataset()

    def part(split: Split) -> Split:
        rows = np.flatnonzero(split.labels < 2)
        images = np.asarray(split.images)[rows]
        paths = tuple(split.paths[row] for row in rows)
        return Split(ImageView(images, np.arange(len(rows))), split.labels[rows], paths, paths)

    splits = {name: part(split) for name, split in data.splits.items()}
    return dataclasses.replace(data, class_names=data.class_names[:2], splits=splits)


@pytest.mark.slow
def test_compress_bench_and_train_take_it(tmp_path: Path) -> None:
    data, train = two_colors(), two_colors().splits["train"]
    model = network(tf_keras, *heads(tf_keras)["dense"])
    model.compile(tf_keras.optimizers.Adam(0.02), "binary_crossentropy")
    images = np.asarray(train.images).astype(np.float32)
    model.fit(images, train.labels, epochs=12, batch_size=16, verbose=0)
    model.save(tmp_path / "net.keras")
    test = data.splits["validation"]
    p = np.asarray(model(np.asarray(test.images).astype(np.float32)))[:, 0]
    right = float(((p > 0.5) == test.labels).mean())
    assert right > 0.9
    recipes = ["float32", "int8", colored_squares.short_recipe("qat-int8")]
    settings = {"calibration": 60, "out": tmp_path / "out", "fit_probabilities": False}
    made = compress(tmp_path / "net.keras", recipes, data=data, **settings).models
    from edgeclf.inference.classifier import Classifier

    for one in made:
        assert one.float_top1 == right
        assert any("one output is taken as" in note for note in one.notes)
        classifier = Classifier(one.path)
        assert classifier.labels == data.class_names
        found = classifier.probabilities(np.asarray(test.images))
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=0.01)
        if one.recipe != "qat-int8":  # training changes the probabilities
            np.testing.assert_allclose(found[:, 1], p, atol=1e-5 if one.recipe == "float32" else 0.05)
        assert one.top1 == pytest.approx(right, abs=0.1)
    plan = BenchPlan((made[1].path,), split="validation")
    baseline = open_baseline(tmp_path / "net.keras", plan, data)
    assert float((baseline.predictor.top1(np.asarray(test.images)) == test.labels).mean()) == right
    source = load_float_model(tmp_path / "net.keras")
    started = transfer(Pretrained(source, "net"), NetworkSettings(SIDE, classes=3), np.asarray(train.images)[:4])
    assert started.network.output_shape == (None, 3)
    assert started.network.get_layer("edgeclf_head").input_shape == (None, 8)
