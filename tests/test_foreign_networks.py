"""Networks that edgeclf did not train: other frameworks, shapes and heads than its own."""

from __future__ import annotations

import dataclasses
import os
import resource
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colored_squares import compress

from edgeclf.artifact.classifier_shape import classifier_shape
from edgeclf.artifact.tflite import parse
from edgeclf.dataset.types import Dataset, ImageView, Split
from edgeclf.errors import ModelError, RunFailedError, UntrustedModelError
from edgeclf.inference.classifier import Classifier

tf = pytest.importorskip("tensorflow")
tf_keras = pytest.importorskip("tf_keras")
keras = pytest.importorskip("keras", minversion="3")
pytest.importorskip("tensorflow_model_optimization")
from edgeclf.compression.export.graph_queries import float_operators  # noqa: E402
from edgeclf.graph.conversion import make_converter  # noqa: E402
from edgeclf.keras_files.loading import check_network_file, load_float_model, load_network  # noqa: E402
from edgeclf.keras_files.predictor import KerasPredictor  # noqa: E402

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


def test_a_format_that_the_runtime_cannot_compute_is_named(data: Dataset, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    x = inputs = keras.layers.Input((HEIGHT, WIDTH, 3))
    x = keras.layers.Conv2D(8, 3, strides=3)(keras.layers.Rescaling(1 / 255)(x))
    x = keras.layers.Flatten()(keras.layers.ReLU()(keras.layers.LayerNormalization()(x)))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    train = data.splits["train"]
    model.fit(np.asarray(train.images, np.float32), train.labels, epochs=12, batch_size=16, verbose=0)
    model.save(tmp_path / "norm.keras")
    out = tmp_path / "out"
    with pytest.raises(RunFailedError, match=r"^int16x8\.tflite: litert failed .*; take another format for .*$"):
        compress(tmp_path / "norm.keras", ["int8", "int16x8"], data=data, calibration=60, out=out)
    assert [path.name for path in out.glob("*.tflite")] == ["norm-int8.tflite"]


@pytest.mark.parametrize(("dtype", "policy"), [("float32", "float32"), ("uint8", "float32"), (None, "mixed_float16")])
def test_what_a_normalization_of_keras_3_has_adapted_to_is_kept(
    dtype: str | None, policy: str, data: Dataset, tmp_path: Path
) -> None:
    images = np.asarray(data.splits["validation"].images)
    keras.mixed_precision.set_global_policy(policy)
    try:
        norm = keras.layers.Normalization()
        norm.adapt(images.astype(np.float32))
        inputs = keras.Input(images.shape[1:], dtype=dtype)
        x = keras.layers.Conv2D(4, 3)(norm(inputs))
        x = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x))
        model = keras.Model(inputs, keras.layers.Activation("softmax", dtype="float32")(x))
        model.save(tmp_path / "net.keras")
        expected = np.asarray(model(images.astype(dtype or "float32"), training=False))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    found = KerasPredictor(load_network(tmp_path / "net.keras").network).probabilities(images)
    np.testing.assert_allclose(found, expected, atol=1e-6 if policy == "float32" else 0.01)


@pytest.mark.parametrize("framework", [tf_keras, keras])
def test_weights_that_a_file_only_claims_take_no_memory(framework: Any, tmp_path: Path) -> None:
    model = framework.Sequential([framework.layers.Input((4, 4, 3)), framework.layers.Flatten()])
    model.add(framework.layers.Dense(3, name="scores"))
    model.save(tmp_path / "net.keras")
    with zipfile.ZipFile(tmp_path / "net.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["config.json"] = members["config.json"].replace(b'"units": 3', b'"units": 30000000')
    with zipfile.ZipFile(tmp_path / "claims.keras", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError, match="its layers take more weights than the 147 that it holds"):
        load_network(tmp_path / "claims.keras")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000, "kB: 5.8 GB are claimed"


def test_a_network_that_was_saved_before_it_was_built_is_refused(tmp_path: Path) -> None:
    model = tf_keras.Sequential([tf_keras.layers.Conv2D(3, 3), tf_keras.layers.GlobalAveragePooling2D()])
    model.save(tmp_path / "net.keras")
    for load in (load_network, load_float_model):
        with pytest.raises(ModelError, match="saved before it was built"):
            load(tmp_path / "net.keras")


def test_a_saved_model_for_several_images_at_once_is_refused(tmp_path: Path) -> None:
    model = tf_keras.Sequential([tf_keras.layers.Flatten(), tf_keras.layers.Dense(3)])
    signature = tf.function(model, input_signature=[tf.TensorSpec((8, 4, 4, 3))])
    model(np.zeros((8, 4, 4, 3), np.float32))
    tf.saved_model.save(model, str(tmp_path / "eight"), signatures=signature)
    with pytest.raises(ModelError, match="takes 8 images at once; export it for any number, or for one"):
        load_network(tmp_path / "eight")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "net.keras")
    with pytest.raises(ModelError, match="is no file"):
        check_network_file(tmp_path / "net.keras")


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


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.25, 0.5, 0.25), (1.0, 1.0), (2.0, -1.0)])
def test_a_file_that_ends_in_a_weighted_average_of_softmaxes_holds_probabilities(weights: tuple[float, ...]) -> None:
    layers = tf_keras.layers
    inputs = layers.Input((8, 8, 3))
    features = layers.GlobalAveragePooling2D()(inputs)
    parts = [layers.Dense(4, activation="softmax")(features) for _ in weights]
    if len(set(weights)) == 1 and sum(weights) == 1:
        scores = layers.Average()(parts)
    else:
        scores = layers.Add()([part * weight for part, weight in zip(parts, weights, strict=True)])
    model = tf_keras.Model(inputs, scores)
    expected = "probabilities" if sum(weights) == 1 and min(weights) > 0 else "logits"
    for types in ([], [tf.float16]):
        converter = make_converter(lambda image: model(image, training=False), 8, 8)
        if types:
            converter.optimizations, converter.target_spec.supported_types = [tf.lite.Optimize.DEFAULT], types
        assert classifier_shape(parse(bytes(converter.convert()))).scores == expected, types


def test_a_file_that_ends_in_an_average_of_probabilities_holds_probabilities(data: Dataset, tmp_path: Path) -> None:
    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(0)
    inputs = layers.Input((HEIGHT, WIDTH, 3))
    maps = layers.Conv2D(3, 3, activation="softmax", kernel_initializer="glorot_normal")(
        layers.Rescaling(1 / 25)(inputs)
    )
    model = tf_keras.Model(inputs, layers.GlobalAveragePooling2D()(maps))
    model.save(tmp_path / "pooled.h5")
    (made,) = compress(tmp_path / "pooled.h5", "float32", out=tmp_path / "out").models
    image = np.asarray(data.splits["validation"].images)[0]
    found = {score.index: score.probability for score in Classifier(made.path).predict(image).labels}
    expected = np.asarray(model(image[None].astype(np.float32)))[0]
    np.testing.assert_allclose([found[i] for i in range(3)], expected, atol=1e-3)


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

    # scores that are all near 1, of which the largest one is right: training lowers the others, and no softmax does
    weights = model.layers[-1].get_weights()
    model.layers[-1].set_weights([weights[0] / 5, weights[1] / 5 + 3])
    model.save(tmp_path / "high.h5")
    unjudged = dataclasses.replace(data, splits={"train": data.splits["train"]})  # so that the last epoch is kept
    settings: dict[str, Any] = {"qat_distill": 0.0, "qat_learning_rate": 0.02, "qat_epochs": 20, "batch_size": 16}
    (low,) = compress(
        tmp_path / "high.h5", "qat-int8", data=unjudged, calibration=60, out=tmp_path / "low", **settings
    ).models
    scores = Classifier(low.path).predict(image).labels
    others = [score.probability for score in scores if score.index != 0]
    assert np.mean(np.asarray(model(image[None].astype(np.float32)))[0, 1:]) > 0.5
    assert np.mean(others) < 0.3
