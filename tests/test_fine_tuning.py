"""Fine-tuning a pretrained network: its classifier on frozen features, rates by layer, averaged weights."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from color_photos import hues, photo, write_photo

pytest.importorskip("tensorflow")
import tf_keras
from sklearn.linear_model import LogisticRegression
from typer.testing import CliRunner

import edgeclf
from edgeclf.cli.main import app
from edgeclf.dataset import load_dataset
from edgeclf.dataset.probing import DataProbe
from edgeclf.errors import InputError
from edgeclf.training.config import TrainConfig
from edgeclf.training.fine_tuning import complete_fine_tuning, count_features
from edgeclf.training.freezing import freeze_first
from edgeclf.training.head import STRENGTHS, fit_head
from edgeclf.training.inference import predict_probabilities
from edgeclf.training.networks import NetworkSettings
from edgeclf.training.optimizers import HEAD_FACTOR, OptimizerSettings, average_weights, build_optimizer, layer_factors
from edgeclf.training.transfer import Pretrained, transfer

layers = tf_keras.layers
SIDE = 16


def network(classes: int) -> tf_keras.Model:
    """A network with a batch normalization as keras.applications leaves them."""
    tf_keras.utils.set_random_seed(1)
    inputs = tf_keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(6, 3, 2, "same", use_bias=False)(layers.Rescaling(1 / 255)(inputs))
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.999)(x))
    x = layers.GlobalAveragePooling2D()(x)
    return tf_keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))


@pytest.fixture(scope="module", params=[2, 5])
def photos(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("photos")
    for index, color in enumerate(hues(request.param)):
        for split, count in (("train", 8), ("validation", 4)):
            for number in range(count):
                seed = 1000 * index + 10 * number + (split == "train")
                write_photo(top / split / f"class{index}" / f"{number}.png", photo(color, seed, SIDE))
    return top


def test_the_classifier_is_the_regression_on_the_features(photos: Path) -> None:
    dataset = load_dataset(photos, image_size=SIDE)
    train, validation = dataset.splits["train"], dataset.splits["validation"]
    model = network(len(dataset.class_names))
    body = [values.copy() for values in model.get_weights()[:-2]]
    found = fit_head(model, train, validation)
    for before, after in zip(body, model.get_weights(), strict=False):
        np.testing.assert_array_equal(before, after)

    pixels = np.asarray(train.images)
    features = tf_keras.Model(model.inputs, model.layers[-1].input)(pixels.astype(np.float32)).numpy().astype(float)
    mean, scale = features.mean(0), features.std(0)
    scale[scale < 1e-6] = 1
    by_hand = LogisticRegression(C=found.strength, max_iter=500).fit((features - mean) / scale, train.labels)
    np.testing.assert_allclose(
        predict_probabilities(model, train.images), by_hand.predict_proba((features - mean) / scale), atol=1e-3
    )
    assert found.strength in STRENGTHS
    assert found.images == len(train)
    probabilities = predict_probabilities(model, validation.images)
    assert found.validation_top1 == (probabilities.argmax(1) == validation.labels).mean() == 1


def test_of_many_images_each_class_is_among_the_sample(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeclf.training.head.MOST_IMAGES", 1)
    dataset = load_dataset(photos, image_size=SIDE)
    classes = len(dataset.class_names)
    found = fit_head(network(classes), dataset.splits["train"], dataset.splits["validation"])
    assert classes <= found.images <= classes + 1


def test_features_are_counted_at_an_input_that_the_pooling_of_the_file_does_not_fit() -> None:
    entry = tf_keras.Input((64, 64, 3))
    features = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False)(entry)
    x = layers.AveragePooling2D(32)(features)
    x = layers.Reshape((10,))(layers.Conv2D(10, 1)(x))
    pretrained = tf_keras.Model(entry, layers.Softmax()(x))
    assert count_features(pretrained, 32) == (3 * 3 * 3 * 4, 16 * 16 * 3 * 3 * 3 * 4)


def test_rates_rise_geometrically_with_the_depth() -> None:
    model = tf_keras.Sequential(
        [
            layers.Conv2D(2, 3, input_shape=(8, 8, 3)),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(3),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    first, normalization, depthwise, _, head = model.layers
    factors = layer_factors(model, 0.01)
    assert set(factors) == {variable.name for variable in model.trainable_variables}
    for layer, expected in ((first, 0.01), (normalization, 0.01), (depthwise, 0.1), (head, 1)):
        assert [factors[v.name] for v in layer.trainable_variables] == pytest.approx([expected] * 2)
    assert layer_factors(model, 1.0) == {}


def test_the_first_convolutions_and_what_follows_them_are_left_as_they_are() -> None:
    model = tf_keras.Sequential(
        [
            layers.Conv2D(4, 3, use_bias=False, input_shape=(8, 8, 3)),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(3, use_bias=False),
            layers.BatchNormalization(),
            layers.Conv2D(4, 1),
            layers.Conv2D(4, 1),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    trained = [layer.trainable for layer in model.layers]
    assert (freeze_first(model, 0.0), [layer.trainable for layer in model.layers]) == (0, trained)
    assert freeze_first(model, 0.6) == 2  # of four
    assert [layer.trainable for layer in model.layers] == [False] * 4 + [True] * 4
    before = [layer.get_weights() for layer in model.layers]
    model.compile("sgd", "mse")
    model.fit(np.random.default_rng(0).normal(size=(16, 8, 8, 3)), np.ones((16, 2)), verbose=0)
    changed = [
        any((a != b).any() for a, b in zip(layer.get_weights(), old, strict=True))
        for layer, old in zip(model.layers, before, strict=True)
    ]
    assert changed == [False] * 4 + [True, True, False, True]  # nothing changes in Flatten


def test_without_a_fraction_nothing_is_frozen() -> None:
    first = tf_keras.Sequential([layers.BatchNormalization(input_shape=(8, 8, 3)), layers.Conv2D(2, 3)])
    dense = tf_keras.Sequential([layers.Flatten(input_shape=(8, 8, 3)), layers.Dense(2)])
    for model, fraction in ((first, 0.0), (first, 0.5), (dense, 0.0), (dense, 0.9)):
        assert freeze_first(model, fraction) == 0
        assert all(layer.trainable for layer in model.layers)


def test_filters_change_in_proportion_to_themselves() -> None:
    model = tf_keras.Sequential(
        [
            layers.Conv2D(2, 1, use_bias=False, input_shape=(8, 8, 3)),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(3, use_bias=False),
            layers.Conv2D(2, 1),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    large, normalization, small, biased, _, head = model.layers
    large.set_weights([np.full((1, 1, 3, 2), 2.0)])  # a squared norm of 12
    small.set_weights([np.full((3, 3, 2, 1), 0.1)])  # 9 * 0.01
    biased.set_weights([np.full((1, 1, 2, 2), 0.1), np.zeros(2)])  # no normalization follows
    factors = layer_factors(model, 1.0, by_norm=True)
    for layer, expected in ((large, 12), (normalization, 1), (small, 0.09), (biased, 1), (head, HEAD_FACTOR)):
        assert [factors[v.name] for v in layer.trainable_variables] == pytest.approx(
            [expected] * len(layer.trainable_variables), rel=1e-5
        )


def probe_of(images: int, classes: int) -> DataProbe:
    names = tuple(str(number) for number in range(classes))
    return DataProbe("photos", names, images, dict.fromkeys(names, images // classes), 300, 300)


def test_settings_follow_the_size_of_the_network_and_the_number_of_photos() -> None:
    many, few = probe_of(4_000, 10), probe_of(70, 5)
    narrow = complete_fine_tuning(TrainConfig(), many, parameters=200_000, macs=13e6, folded=True)
    wide = complete_fine_tuning(TrainConfig(), many, parameters=2_300_000, macs=150e6, folded=True)
    assert complete_fine_tuning(TrainConfig(), many, parameters=9, macs=None, folded=False).norm_rates is True
    adam = TrainConfig(optimizer="adam")
    assert complete_fine_tuning(adam, many, parameters=9, macs=None, folded=False).norm_rates is False
    with pytest.raises(InputError, match="norm_rates is for optimizer=sgd, got adam"):
        complete_fine_tuning(adam.replace(norm_rates=True), many, parameters=9, macs=None, folded=False)
    assert wide.learning_rate == pytest.approx(0.003)
    assert (narrow.learning_rate or 0) > 0.01
    assert (narrow.epochs or 0) > (wide.epochs or 0) >= 6
    costly = complete_fine_tuning(TrainConfig(), many, parameters=4_000_000, macs=250e6, folded=True)
    assert (narrow.augment, wide.augment, costly.augment) == ("strong", "strong", "standard")
    assert (wide.epochs, costly.epochs) == (11, 7)
    assert (wide.head_first, wide.norm_rates, wide.batch_norm_momentum) == (False, False, 0.9)
    assert (narrow.frozen_fraction, wide.frozen_fraction, costly.frozen_fraction) == (0.0, 0.25, 0.25)
    # 49 photos to train on are one batch and 17 more: as many epochs as are allowed.
    little = complete_fine_tuning(TrainConfig(quick=False), few, parameters=2_300_000, macs=150e6, folded=True)
    assert (little.head_first, little.epochs, little.quick) == (True, 40, False)
    grown = complete_fine_tuning(TrainConfig(from_run="runs/1"), few, parameters=9, macs=None, folded=False)
    assert grown.head_first is False
    given = TrainConfig(
        epochs=3, batch_size=64, learning_rate=0.5, augment="none", head_first=True, norm_rates=False,
        batch_norm_momentum=0.5, frozen_fraction=0.1,
    )  # fmt: skip
    assert complete_fine_tuning(given, many, parameters=9, macs=9, folded=False) == given.replace(quick=False)


def test_of_very_few_photos_the_classifier_alone_is_trained_unless_a_setting_is_for_all_layers() -> None:
    def chosen(probe: DataProbe, **given: object) -> TrainConfig:
        config = TrainConfig(**given)  # type: ignore[arg-type]
        return complete_fine_tuning(config, probe, parameters=2_300_000, macs=150e6, folded=True)

    few = probe_of(70, 5)
    assert (chosen(few).quick, chosen(few).epochs) == (True, 1)
    assert chosen(few, seed=3, image_size=96, balance="weights").quick
    for name, value in (("epochs", 5), ("augment", "light"), ("learning_rate", 0.1), ("from_run", "runs/1")):
        assert chosen(few, **{name: value}).quick is False
    named = frozenset({"label_smoothing", "seed"})
    assert complete_fine_tuning(TrainConfig(), few, parameters=9, macs=9, folded=True, named=named).quick is False
    # of 10,300 images 300 are trained on, which have 7 batches an epoch and not 225
    own = dataclasses.replace(probe_of(10_300, 2), in_train=300)
    assert (chosen(own, quick=False).epochs or 0) > 3 * (chosen(probe_of(10_300, 2), quick=False).epochs or 0)
    # of 400 images, 20 are trained on: the others are for judging
    assert chosen(dataclasses.replace(probe_of(400, 2), in_train=20)).quick
    assert not chosen(probe_of(400, 2)).quick


@pytest.mark.parametrize("name", ["sgd", "muon", "adam", "adamw"])
def test_the_steps_of_a_layer_are_multiplied(name: str) -> None:
    def train(factors: dict[str, float]) -> np.ndarray:
        variables = [tf_keras.backend.variable(np.zeros(3), name=one) for one in ("early", "late")]
        optimizer = build_optimizer(0.1, OptimizerSettings(name, 0.9, factors=factors))
        optimizer.build(variables)
        for gradient in ([1.0, -2.0, 3.0], [0.5, 1.0, 1.0]):
            optimizer.apply_gradients([(tf_keras.backend.constant(gradient), one) for one in variables])
        return np.stack([one.numpy() for one in variables])

    name_of_early = tf_keras.backend.variable(0.0, name="early").name
    plain, slowed = train({}), train({name_of_early: 0.25})
    np.testing.assert_allclose(slowed[0], plain[0] / 4, rtol=1e-5)
    np.testing.assert_array_equal(slowed[1], plain[1])


def test_copies_on_further_devices_take_the_same_steps() -> None:
    """TensorFlow names the copy of a variable on the second GPU `early/replica_1:0`."""
    first, copy, other = (
        tf_keras.backend.variable(np.zeros(3), name=name) for name in ("early", "early/replica_1", "replica_1/late")
    )
    optimizer = build_optimizer(0.1, OptimizerSettings("sgd", 0.0, factors={first.name: 0.25}))
    optimizer.build([first, copy, other])
    optimizer.apply_gradients([(tf_keras.backend.constant([1.0, -2.0, 3.0]), one) for one in (first, copy, other)])
    assert "/replica_1:" in copy.name
    np.testing.assert_array_equal(first.numpy(), copy.numpy())
    np.testing.assert_allclose(4 * first.numpy(), other.numpy(), rtol=1e-6)


def test_averages_of_weights_follow_their_definition_and_leave_the_weights_alone() -> None:
    model = tf_keras.Sequential([layers.Dense(1, use_bias=False, input_shape=(1,)), layers.BatchNormalization()])
    model.layers[0].set_weights([np.ones((1, 1))])
    model.compile(build_optimizer(0.1, OptimizerSettings("sgd", 0.0, average=0.5)), "mse")
    seen, average = [], 1.0
    for _ in range(3):
        model.fit(np.ones((4, 1)), np.arange(4.0)[:, None], batch_size=4, verbose=0)
        seen.append(float(model.layers[0].get_weights()[0][0, 0]))
        average = 0.5 * average + 0.5 * seen[-1]
        values = average_weights(model)
        assert float(values[0][0, 0]) == pytest.approx(average, rel=1e-5)
    # Statistics of batch normalization are those of the network.
    for kept, own in zip(values[-2:], model.get_weights()[-2:], strict=True):
        np.testing.assert_array_equal(kept, own)
    assert np.asarray(model.trainable_variables[1]).shape == values[1].shape


def test_statistics_of_batch_normalization_follow_the_setting() -> None:
    images = np.zeros((2, SIDE, SIDE, 3), np.uint8)
    settings = NetworkSettings(SIDE, classes=2, batch_norm_momentum=0.8)
    made = transfer(Pretrained(network(3), "net"), settings, images).network
    found = [layer.momentum for layer in made.layers if isinstance(layer, layers.BatchNormalization)]
    assert found == [0.8]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("start") / "net.h5"
    network(7).save(path)
    return path


@pytest.mark.parametrize("photos", [5], indirect=True)
def test_training_that_destroys_the_features_leaves_the_classifier_on_frozen_ones(
    photos: Path, start: Path, tmp_path: Path
) -> None:
    command = ["train", str(photos), "--weights", str(start), "--out", str(tmp_path / "run"), "--epochs", "2"]
    destroying = [f"--set={pair}" for pair in ("head_first=true", "learning_rate=1", "weight_decay=1")]
    done = CliRunner().invoke(app, [*command, *destroying])
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.split())
    assert "no epoch of training all layers came near the classifier on frozen features, which is kept" in text
    assert "with the classifier on frozen features in" in text
    record = json.loads((tmp_path / "run" / "run.json").read_text())["report"]
    assert (record["epochs"], record["kept_epoch"], record["metrics"]["validation"]["top1"]) == (2, 0, 1.0)
    kept = tf_keras.models.load_model(tmp_path / "run" / "model.keras", compile=False)
    for before, after in zip(tf_keras.models.load_model(start).get_weights()[:-2], kept.get_weights(), strict=False):
        np.testing.assert_array_equal(before, after)


def test_quick_fits_the_classifier_alone(photos: Path, start: Path, tmp_path: Path) -> None:
    command = ["train", str(photos), "--quick", "--weights", str(start), "--out", str(tmp_path / "run"), "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["epochs"] == report["kept_epoch"] == 1
    assert report["metrics"]["validation"]["top1"] == 1
    kept = tf_keras.models.load_model(tmp_path / "run" / "model.keras", compile=False)
    for before, after in zip(tf_keras.models.load_model(start).get_weights()[:-2], kept.get_weights(), strict=False):
        np.testing.assert_array_equal(before, after)
    assert (tmp_path / "run" / "history.csv").read_text().count("\n") == 2


def test_averages_of_weights_begin_at_the_fitted_classifier(photos: Path, start: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"weights": str(start), "epochs": 1, "head_first": True, "weight_average": 0.99999}
    report = edgeclf.train(photos, out=tmp_path / "run", learning_rate=1e-6, quick=False, **settings)
    # of one epoch with a rate of nearly nothing, the average is what it began with
    history = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert report.metrics["validation"].top1 == 1
    row = dict(zip(history[0].split(","), history[1].split(","), strict=True))
    assert float(row["validation_top1"]) == 1


@pytest.mark.parametrize("settings", [{"learning_rate": 0.1}, {"augment": "strongest", "optimizer": "adamw"}])
def test_quick_refuses_settings_without_effect(photos: Path, start: Path, tmp_path: Path, settings: Any) -> None:
    names = ", ".join(sorted(settings))
    with pytest.raises(InputError, match=f"quick fits the classifier alone, where {names} would have no effect"):
        edgeclf.train(photos, quick=True, weights=str(start), out=tmp_path / "run", **settings)


def test_quick_refuses_callbacks(photos: Path, start: Path, tmp_path: Path) -> None:
    class Watcher:
        def on_epoch_end(self, epoch: int, metrics: Any) -> bool | None:
            raise AssertionError

    with pytest.raises(InputError, match="quick trains no epochs, and callbacks see the end of each"):
        edgeclf.train(photos, quick=True, weights=str(start), out=tmp_path / "run", callbacks=[Watcher()])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"weights": "none"}, "name one with --weights"), ({"epochs": 3}, "leave --epochs or --quick out")],
)
def test_quick_refuses_what_it_cannot_do(
    photos: Path, tmp_path: Path, settings: dict[str, object], expected: str
) -> None:
    with pytest.raises(InputError, match=expected):
        edgeclf.train(photos, TrainConfig(quick=True, **settings), out=tmp_path / "run")  # type: ignore[arg-type]
    assert not (tmp_path / "run" / "model.keras").exists()
