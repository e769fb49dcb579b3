"""Networks that edgeclf did not train: other frameworks, shapes and heads than its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colored_squares import compress

from edgeclf.artifact.tflite import parse
from edgeclf.dataset.types import Dataset, ImageView, Split
from edgeclf.errors import ModelError, UntrustedModelError
from edgeclf.inference.classifier import Classifier

tf_keras = pytest.importorskip("tf_keras")
keras = pytest.importorskip("keras", minversion="3")
pytest.importorskip("tensorflow_model_optimization")
from edgeclf.compression.export.graph_queries import float_operators  # noqa: E402

pytestmark = pytest.mark.slow
HEIGHT, WIDTH = 12, 20


def split(per_class: int, seed: int) -> Split:
    """Landscape pictures that are light on one half: left, right, or lower."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), per_class)
    images = random.integers(0, 100, (len(labels), HEIGHT, WIDTH, 3)).astype(np.uint8)
    halves = [np.s_[:, : WIDTH // 2], np.s_[:, WIDTH // 2 :], np.s_[HEIGHT // 2 :, :]]
    for image, label in zip(images, labels, strict=True):
        image[halves[label]] += 120
    rows = np.arange(len(labels))
    names = tuple(f"{seed}/{row}" for row in rows)
    return Split(ImageView(images, rows), labels, names, names)


@pytest.fixture(scope="module")
def data() -> Dataset:
    splits = {"train": split(40, 0), "validation": split(20, 1)}
    return Dataset("halves", "halves", ("left", "lower", "right"), splits, HEIGHT, WIDTH, "a" * 32, 1)


def network(framework: Any, data: Dataset, activation: str = "softmax") -> Any:
    layers = framework.layers
    framework.utils.set_random_seed(0)
    x = inputs = layers.Input((HEIGHT, WIDTH, 3))
    x = layers.Rescaling(1 / 255)(x)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.7)(x))
    x = layers.DepthwiseConv2D(3, strides=2, padding="same")(x)
    x = layers.Flatten()(x)
    model = framework.Model(inputs, layers.Dense(3, activation=activation)(x))
    loss = "binary_crossentropy" if activation == "sigmoid" else "categorical_crossentropy"
    model.compile(framework.optimizers.Adam(0.01), loss)
    train = data.splits["train"]
    model.fit(np.asarray(train.images, np.float32), np.eye(3)[train.labels], epochs=12, batch_size=16, verbose=0)
    return model


def test_a_keras_3_network_converts_after_training_alone(data: Dataset, tmp_path: Path) -> None:
    model = network(keras, data)
    model.save(tmp_path / "three.keras")
    recipes = ["float32", "float16", "dynamic", "int8", "int16x8"]
    report = compress(tmp_path / "three.keras", recipes, data=data, calibration=60, out=tmp_path / "out", speed=True)
    assert all(model.speed is not None for model in report.models)
    images = np.asarray(data.splits["validation"].images)
    answers = np.asarray(model(images.astype(np.float32))).argmax(1)
    top1 = (answers == data.splits["validation"].labels).mean()
    assert top1 > 0.9
    for made in report.models:
        assert made.top1 == pytest.approx(top1, abs=0.05), made.recipe
        assert (Classifier(made.path).top1(images) == answers).mean() > 0.95, made.recipe
    int8 = parse(Path(report.models[3].path).read_bytes())
    assert float_operators(int8) == ()
    assert int8.inputs[0].shape == (1, HEIGHT, WIDTH, 3)
    with pytest.raises(ModelError, match="three.keras is a Keras 3 network; qat-int8 needs a tf-keras"):
        compress(tmp_path / "three.keras", "qat-int8", data=data, out=tmp_path / "out")


def test_a_keras_3_network_with_code_of_its_own_is_refused(tmp_path: Path) -> None:
    inputs = keras.Input((HEIGHT, WIDTH, 3))
    x = keras.layers.Lambda(lambda t: t / 2)(inputs)
    keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x))).save(tmp_path / "code.keras")
    with pytest.raises(UntrustedModelError, match="Lambda"):
        compress(tmp_path / "code.keras", "float32", out=tmp_path)


def test_a_keras_3_saved_model(data: Dataset, tmp_path: Path) -> None:
    network(keras, data).export(tmp_path / "exported", verbose=False)
    (made,) = compress(tmp_path / "exported", "int8", data=data, calibration=60, out=tmp_path / "out").models
    assert made.top1 is not None
    assert made.top1 > 0.9
    assert float_operators(parse(Path(made.path).read_bytes())) == ()


def test_independent_scores_a_class_are_no_probabilities_of_one_choice(data: Dataset, tmp_path: Path) -> None:
    model = network(tf_keras, data, "sigmoid")
    model.save(tmp_path / "several.h5")
    image = np.asarray(data.splits["validation"].images)[0]
    expected = np.asarray(model(image[None].astype(np.float32)))[0]
    recipes = ["int8", "qat-int8"]
    models = compress(tmp_path / "several.h5", recipes, data=data, calibration=60, out=tmp_path / "out").models
    assert [made.recipe for made in models] == recipes
    for made in models:
        assert made.top1 is not None
        assert made.top1 > 0.9, made.recipe
        found = {score.index: score.probability for score in Classifier(made.path).predict(image).labels}
        if made.recipe == "int8":  # training changes the scores themselves
            np.testing.assert_allclose([found[i] for i in range(3)], expected, atol=0.1)
