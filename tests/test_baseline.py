"""The float baseline: the same predictions as Keras' own `predict`, on a device that is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeclf.artifact.normalization import RAW, resolve_normalization
from edgeclf.dataset import Dataset, ImageView, Split
from edgeclf.errors import DataError, ModelError
from edgeclf.measure.baseline import Baseline, measure_baseline
from edgeclf.measure.plan import BenchPlan
from edgeclf.measure.subjects import at_size

pytestmark = pytest.mark.slow
NAMES = ("ant", "bee", "cow")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tf_keras = pytest.importorskip("tf_keras")
    tf_keras.utils.set_random_seed(1)
    layers = tf_keras.layers
    image = layers.Input((8, 8, 3))
    # Without biases the predictions would not depend on the scale of the input.
    biases = tf_keras.initializers.RandomNormal(stddev=0.7)
    hidden = layers.Conv2D(4, 3, activation="relu", bias_initializer=biases)(layers.Rescaling(1 / 255)(image))
    output = layers.Dense(3, activation="softmax", bias_initializer=biases)(layers.Flatten()(hidden))
    path = tmp_path_factory.mktemp("run") / "model.keras"
    tf_keras.Model(image, output).save(path)
    return path


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    count = 300
    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    labels = np.arange(count, dtype=np.int64) % 3
    paths = tuple(f"{index}.png" for index in range(count))
    split = Split(ImageView(pixels, np.arange(count)), labels, paths, paths)
    return Dataset("noise", "noise", NAMES, {"test": split}, 8, 8, "f00d", 1)


def float_baseline(path: Path, dataset: Any = None, input_range: tuple[float, float] | None = None) -> Baseline:
    """As `bench` does it."""
    from edgeclf.keras_files.baseline import open_baseline

    load = at_size(dataset)
    normalization = resolve_normalization(None, input_range)
    network = open_baseline(path, BenchPlan(("model.tflite",), normalization=normalization), load)
    return measure_baseline(network, dataset=load)


def test_predictions_are_those_of_keras(network: Path, dataset: Dataset) -> None:
    import tensorflow as tf
    import tf_keras

    found = float_baseline(network, dataset=lambda shape: dataset)
    images = dataset.splits["test"].images
    expected = tf_keras.models.load_model(network).predict(images[:].astype(np.float32), verbose=0).argmax(1)
    np.testing.assert_array_equal(found.predictions, expected)
    assert found.paths == dataset.splits["test"].paths
    assert found.top1(dataset.splits["test"].labels) == np.mean(expected == dataset.splits["test"].labels)
    # 3 x 3 x 3 x 4 + 4 in the convolution, 6 x 6 x 4 x 3 + 3 in the dense layer.
    assert found.parameters == 112 + 435
    assert found.latency_ms is not None
    assert 0 < found.latency_ms.median <= found.latency_ms.p99
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    assert found.device.startswith("GPU" if on_gpu else "CPU")
    assert (found.threads is None) == on_gpu
    assert found.normalization is None


@pytest.mark.parametrize("span", [(0.0, 1.0), (-1.0, 1.0)])
def test_a_network_without_a_scaling_inside_gets_what_it_wants(
    network: Path, dataset: Dataset, tmp_path: Path, span: tuple[float, float]
) -> None:
    import tf_keras

    whole = tf_keras.models.load_model(network)
    image = tf_keras.layers.Input((8, 8, 3))
    low, high = span
    convolution = tf_keras.layers.Conv2D(4, 3, activation="relu")
    hidden = tf_keras.layers.Flatten()(convolution(image))
    bare = tf_keras.Model(image, tf_keras.layers.Dense(3, activation="softmax")(hidden))
    kernel, bias, *rest = whole.get_weights()
    # The whole network sees x = (y - low) / (high - low) where this one sees y.
    bare.set_weights([kernel / (high - low), bias - low * kernel.sum((0, 1, 2)) / (high - low), *rest])
    bare.save(tmp_path / "bare.h5")
    expected = float_baseline(network, dataset=dataset)
    found = float_baseline(tmp_path / "bare.h5", dataset=dataset, input_range=span)
    assert (found.normalization or RAW).pair == span
    assert np.mean(found.predictions == expected.predictions) > 0.99  # the sums are rounded in another order
    assert (
        np.mean(
            float_baseline(tmp_path / "bare.h5", dataset=dataset, input_range=(0.0, 255.0)).predictions
            == expected.predictions
        )
        < 0.9
    )


def test_a_keras_3_network_and_a_saved_model_are_baselines_too(network: Path, dataset: Dataset, tmp_path: Path) -> None:
    import tensorflow as tf
    import tf_keras

    whole = tf_keras.models.load_model(network)
    expected = float_baseline(network, dataset=dataset)
    tf.saved_model.save(whole, str(tmp_path / "saved"))
    found = float_baseline(tmp_path / "saved", dataset=dataset, input_range=(0.0, 255.0))
    np.testing.assert_array_equal(found.predictions, expected.predictions)
    keras = pytest.importorskip("keras")
    entry = keras.Input((8, 8, 3))
    hidden = keras.layers.Conv2D(4, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(entry))
    output = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(hidden))
    other = keras.Model(entry, output)
    other.set_weights(whole.get_weights())
    other.save(tmp_path / "other.keras")
    found = float_baseline(tmp_path / "other.keras", dataset=dataset, input_range=(0.0, 255.0))
    np.testing.assert_array_equal(found.predictions, expected.predictions)


def test_outputs_in_another_order_are_matched_by_name(network: Path, dataset: Dataset, tmp_path: Path) -> None:
    plain = float_baseline(network, dataset=dataset)
    run = tmp_path / "run"
    run.mkdir()
    shutil.copyfile(network, run / "model.keras")
    (run / "run.json").write_text(json.dumps({"data": {"class_names": ["cow", "bee", "ant"]}}))
    turned = float_baseline(run, dataset=dataset)
    np.testing.assert_array_equal(turned.predictions, 2 - plain.predictions)
    # the command hands over the file inside the run folder
    from edgeclf.keras_files.baseline import open_baseline

    plan = BenchPlan(("other.tflite",))
    assert open_baseline(run / "model.keras", plan, dataset).of_a_run
    assert not open_baseline(network, plan, dataset).of_a_run


def test_a_keras_predictor_gives_the_networks_own_outputs(network: Path, dataset: Dataset) -> None:
    import tf_keras

    from edgeclf.artifact.normalization import Normalization
    from edgeclf.graph.float_network import FloatNetwork, InputSpec
    from edgeclf.keras_files.predictor import KerasPredictor

    whole = tf_keras.models.load_model(network)
    spec = InputSpec(8, 8, Normalization((250.0, 200.0, 100.0), (0.5, 1.0, 2.0), "BGR"))
    found = KerasPredictor(FloatNetwork(whole, whole, whole, spec, NAMES), batch_size=7)
    images = dataset.splits["test"].images
    # A strange scaling in another channel order, to see that it is applied.
    entering = (images[:][..., ::-1].astype(np.float32) - [250, 200, 100]) / [0.5, 1, 2]
    expected = whole.predict(entering.astype(np.float32), verbose=0)
    np.testing.assert_allclose(found.probabilities(images), expected, atol=1e-6)
    assert found.probabilities(images).dtype == np.float32
    np.testing.assert_array_equal(found.top1(images), expected.argmax(1))
    assert found.probabilities(images[:0]).shape == (0, 3)
    assert (found.labels, found.size, found.parameters) == (NAMES, (8, 8), whole.count_params())


def test_without_data_only_latency(network: Path) -> None:
    found = float_baseline(network)
    assert found.predictions is None
    assert found.latency_ms is not None


def test_a_network_that_does_not_fit_is_refused(network: Path, dataset: Dataset, tmp_path: Path) -> None:
    import dataclasses

    import tf_keras

    with pytest.raises(DataError, match="loaded at 9x9"):
        float_baseline(network, dataset=dataclasses.replace(dataset, height=9, width=9))
    flat = tmp_path / "flat.keras"
    tf_keras.Sequential([tf_keras.layers.Input((5,)), tf_keras.layers.Dense(3)]).save(flat)
    with pytest.raises(ModelError, match="expected \\[N, height, width, 3\\] in"):
        float_baseline(flat)
