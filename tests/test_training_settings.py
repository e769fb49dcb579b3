"""Settings away from the default train to the end, and have the effect that they are documented with."""

from __future__ import annotations

import contextlib
import csv
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photo_folders import make_folder, photo, write

pytest.importorskip("tensorflow")
import tf_keras

import edgeclf
from edgeclf import train
from edgeclf.dataset import load_dataset
from edgeclf.errors import InputError
from edgeclf.graph.private_apis import random_generator
from edgeclf.progress import SILENT, Task
from edgeclf.training.augmentation import LEVELS
from edgeclf.training.config import TrainConfig
from edgeclf.training.epoch_choice import within_chance
from edgeclf.training.idle_settings import check_idle
from edgeclf.training.networks import NETWORKS, Network, NetworkSettings
from edgeclf.training.networks.building import build_network
from edgeclf.training.optimizers import OptimizerSettings, average_weights, build_optimizer
from edgeclf.training.pipeline import TrainingBatches
from edgeclf.training.schedule import WarmupCosine

QUICK = TrainConfig(model="tiny", image_size=8, epochs=2, batch_size=128, augment="light")


def tiny(x: Any, width: float, blocks: Any) -> Any:
    """Two convolutions, each with a batch normalization: TensorFlow compiles them in a second."""
    x = blocks.convolution(blocks.convolution(x, 16), 32, stride=2)
    return blocks.layers.GlobalAveragePooling2D()(x)


@pytest.fixture(autouse=True)
def _tiny_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, "tiny", Network(tiny, "a test"))


class InterruptedIn:
    """A progress in which the user presses Ctrl-C in a step of the training."""

    def __init__(self, step: int) -> None:
        self.left = step

    @contextlib.contextmanager
    def task(self, description: str, total: int | None) -> Iterator[Task]:
        with SILENT.task(description, total) as task:
            yield self if description.startswith("training") else task  # type: ignore[misc]

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.left -= bool(steps)
        if self.left <= 0:
            raise KeyboardInterrupt

    def info(self, line: str) -> None:
        pass

    warn = info


def weights_of(folder: Path) -> list[np.ndarray]:
    values: list[np.ndarray] = tf_keras.models.load_model(folder / "model.keras", compile=False).get_weights()
    return values


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open() as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def uneven(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "photos", {"cat": 60, "dog": 12, "eel": 6})


@pytest.mark.slow
@pytest.mark.parametrize("balance", ["none", "weights", "over", "under"])
def test_every_balance_trains_to_the_end(uneven: Path, tmp_path: Path, balance: str) -> None:
    # An undersampled epoch has fewer images than the batch.
    report = train(uneven, QUICK.replace(balance=balance, batch_size=32), out=tmp_path / "run")
    assert report.epochs == 2
    assert len(history(tmp_path / "run")) == 2


def test_what_an_epoch_draws_is_counted_right(uneven: Path) -> None:
    split = load_dataset(uneven, image_size=8).splits["train"]
    sizes = np.bincount(split.labels)
    seen = {}
    for balance in ("none", "over", "under"):
        batches = TrainingBatches(split, 3, 8, LEVELS["none"], balance, 0)
        labels = np.concatenate([np.asarray(targets).argmax(1) for _, targets, _ in batches.epoch(0)])
        seen[balance] = np.bincount(labels, minlength=3)
        whole = {"none": sizes.sum(), "over": 3 * sizes.max(), "under": 3 * sizes.min()}[balance]
        assert len(labels) == batches.steps * batches.effective_batch_size
        assert whole - 8 < len(labels) <= whole
    assert seen["over"].min() > sizes.max() - 8
    assert seen["under"].max() <= sizes.min()


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_an_interrupted_run_ends_like_an_undisturbed_one(tmp_path: Path, optimizer: str) -> None:
    config = QUICK.replace(
        optimizer=optimizer, dropout=0.2, augment="strongest", weight_average=0.9, first_layer_rate=0.1
    )
    train("digits", config, out=tmp_path / "calm")
    steps = 1797 * 7 // 10 // 128
    with pytest.raises(KeyboardInterrupt):
        train("digits", config, out=tmp_path / "run", progress=InterruptedIn(steps + 3))
    assert len(history(tmp_path / "run")) == 1
    train("digits", config, out=tmp_path / "run", resume=True)
    for undisturbed, resumed in zip(weights_of(tmp_path / "calm"), weights_of(tmp_path / "run"), strict=True):
        np.testing.assert_array_equal(undisturbed, resumed)


def drop_inside(x: Any, width: float, blocks: Any) -> Any:
    """A network that leaves out parts of its features, such as a plugin's."""
    return blocks.layers.Dropout(0.5)(tiny(blocks.layers.SpatialDropout2D(0.3)(x), width, blocks))


@pytest.mark.slow
def test_a_network_with_dropout_inside_draws_the_same_masks_after_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NETWORKS, "tiny", Network(drop_inside, "a test"))
    train("digits", QUICK, out=tmp_path / "calm")
    with pytest.raises(KeyboardInterrupt):
        train("digits", QUICK, out=tmp_path / "run", progress=InterruptedIn(1797 * 7 // 10 // 128 + 3))
    train("digits", QUICK, out=tmp_path / "run", resume=True)
    for undisturbed, resumed in zip(weights_of(tmp_path / "calm"), weights_of(tmp_path / "run"), strict=True):
        np.testing.assert_array_equal(undisturbed, resumed)


def test_every_dropout_of_a_network_from_scratch_can_be_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, "tiny", Network(drop_inside, "a test"))
    for name, side in (("tiny", 8), ("efficientnet-v2-b0", 32)):
        network = build_network(name, NetworkSettings(image_size=side, classes=2, dropout=0.2))
        layers = [one for one in network.layers if isinstance(one, tf_keras.layers.Dropout)]
        assert len(layers) > 2
        assert all(random_generator(one) is not None for one in layers)
    assert not tf_keras.backend.experimental.is_tf_random_generator_enabled(), "of others, nothing changes"


@pytest.mark.parametrize("name", ["sgd", "muon", "adam", "adamw"])
def test_weight_decay_shrinks_kernels_alone(name: str) -> None:
    kernel, bias = (
        tf_keras.backend.variable(np.ones(2), name="kernel"),
        tf_keras.backend.variable(np.ones(2), name="bias"),
    )
    optimizer = build_optimizer(WarmupCosine(0.5, 10), OptimizerSettings(name, 0.9, weight_decay=0.1))
    optimizer.build([kernel, bias])
    zero = tf_keras.backend.zeros(2)
    optimizer.apply_gradients([(zero, kernel), (zero, bias)])
    # The first step is at the peak of the cosine: 1 - 0.5 * 0.1.
    np.testing.assert_allclose(np.asarray(kernel), 0.95, rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(bias), 1)


@pytest.mark.parametrize("name", ["sgd", "muon", "adam", "adamw"])
def test_an_average_holds_the_weights_of_the_steps_that_there_were(name: str) -> None:
    inputs = tf_keras.layers.Input((1,))
    network = tf_keras.Model(inputs, tf_keras.layers.Dense(1, use_bias=False)(inputs))
    (weight,) = network.trainable_variables
    weight.assign([[5.0]])
    decay = 0.4
    network.compile(build_optimizer(WarmupCosine(0.1, 100), OptimizerSettings(name, 0.9, average=decay)))
    network.optimizer.build([weight])
    expected = 5.0
    for step in range(12):
        network.optimizer.apply_gradients([(tf_keras.backend.ones((1, 1)), weight)])
        # after one step a tenth is the average's, and never more than the decay
        share = min(decay, (1 + step) / (10 + step))
        expected = share * expected + (1 - share) * float(weight.numpy()[0, 0])
    np.testing.assert_allclose(average_weights(network)[0], expected, rtol=1e-5)
    assert float(weight.numpy()[0, 0]) < expected < 5
    assert network.optimizer.get_config()["ema_momentum"] == decay


@pytest.mark.slow
def test_training_stops_early_where_nothing_gets_better(tmp_path: Path) -> None:
    # A learning rate of nearly nothing: once the statistics of batch normalization are there, no epoch is better.
    config = QUICK.replace(epochs=40, early_stopping=2, learning_rate=1e-8, weight_decay=0.0)
    report = train("digits", config, out=tmp_path / "run")
    rows = history(tmp_path / "run")
    best = max(rows, key=lambda row: (float(row["validation_top1"]), -float(row["validation_loss"])))
    assert report.epochs == len(rows) == int(best["epoch"]) + 2 < 40


class StopAfter:
    """A callback such as a search uses to stop a hopeless trial."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.seen: list[tuple[int, float]] = []

    def on_epoch_end(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        self.seen.append((epoch, metrics["validation_top1"]))
        return epoch == self.epochs


@pytest.mark.slow
def test_a_callback_sees_each_epoch_and_ends_the_training(tmp_path: Path) -> None:
    callback = StopAfter(2)
    report = edgeclf.train("digits", QUICK.replace(epochs=4), out=tmp_path / "run", callbacks=[callback])
    assert report.epochs == 2
    assert callback.seen == [(int(row["epoch"]), float(row["validation_top1"])) for row in history(tmp_path / "run")]
    assert report.metrics["test"] is not None, "what was trained so far is evaluated"
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["finished"]
    # Killed between the last epoch and the report: it stays stopped, also without the callback.
    (tmp_path / "run" / "run.json").write_text(json.dumps(record | {"finished": False}))
    assert train("digits", QUICK.replace(epochs=4), out=tmp_path / "run", resume=True).epochs == 2


@pytest.mark.slow
def test_the_latest_epoch_is_kept_that_validation_cannot_distinguish_from_the_best(tmp_path: Path) -> None:
    report = train("digits", QUICK.replace(epochs=6), out=tmp_path / "run")
    scores = [float(row["validation_top1"]) for row in history(tmp_path / "run")]
    images = load_dataset("digits", image_size=8).splits["validation"]
    lowest = max(scores) - math.sqrt(max(scores) * (1 - max(scores)) / len(images))
    assert report.kept_epoch == max(epoch for epoch, score in enumerate(scores, 1) if score >= lowest)
    assert report.metrics["validation"] is not None
    assert report.metrics["validation"].top1 == pytest.approx(scores[report.kept_epoch - 1])


def test_chance_is_one_standard_error_of_the_best() -> None:
    assert within_chance(0.8, 400) == pytest.approx(0.8 - 0.02)  # sqrt(0.8 * 0.2 / 400) = 0.4 / 20
    # 402 of 404: sqrt(402/404 * 2/404 / 404) = 0.0035; of nine, 11 of 13: sqrt(11/13 * 2/13 / 13) = 0.1001
    assert within_chance(1.0, 400) == pytest.approx(1 - 0.003492, abs=1e-6)
    assert within_chance(1.0, 9) == pytest.approx(1 - 0.100068, abs=1e-6)
    assert within_chance(-1.0, 400) == -1.0  # before the first epoch: whatever comes is kept


@pytest.mark.slow
def test_what_is_validated_is_the_network_that_is_kept(tmp_path: Path) -> None:
    # Trained in bfloat16, kept in float32: the figure of the epoch is that of the file, to the last digit.
    report = train("digits", QUICK.replace(mixed_precision=True, epochs=3), out=tmp_path / "run")
    validation, row = report.metrics["validation"], history(tmp_path / "run")[report.kept_epoch - 1]
    assert validation is not None
    assert validation.top1 == float(row["validation_top1"])
    assert validation.loss == pytest.approx(float(row["validation_loss"]), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["mixed_precision", "xla", "progressive"])
def test_faster_ways_to_train_give_an_ordinary_network(tmp_path: Path, setting: str) -> None:
    config = QUICK.replace(**{setting: True}, image_size=16, epochs=8)
    report = train("digits", config, out=tmp_path / "run")
    assert report.metrics["test"] is not None
    assert report.metrics["test"].top1 > 0.3  # a tenth by chance
    model = tf_keras.models.load_model(tmp_path / "run" / "model.keras", compile=False)
    assert model.input_shape == (None, 16, 16, 3)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}


@pytest.mark.slow
def test_what_a_resumed_run_leaves_open_is_kept_and_changed_photos_are_named(tmp_path: Path) -> None:
    photos = make_folder(tmp_path / "photos", {"cat": 20, "dog": 20})
    report = train(photos, QUICK.replace(label_smoothing=0.1), out=tmp_path / "run")
    assert train(photos, TrainConfig(), out=tmp_path / "run", resume=True) == report
    with pytest.raises(InputError, match=r"label_smoothing 0\.1, not 0\.05; --resume cannot change it"):
        train(photos, out=tmp_path / "run", resume=True, label_smoothing=0.05)
    with pytest.raises(InputError, match="epochs 2, not 3; --resume cannot change it"):
        train(photos, TrainConfig(epochs=3), out=tmp_path / "run", resume=True)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps(record | {"finished": False}))
    for number in range(60):  # so many that other settings would be chosen for them
        write(photos / "cat" / f"new{number}.png", photo(900 + number, 90, 90))
    with pytest.raises(InputError, match="the photos have changed since the run began"):
        train(photos, TrainConfig(), out=tmp_path / "run", resume=True)


@pytest.mark.slow
def test_a_folder_with_logs_of_the_users_is_trained_into(tmp_path: Path) -> None:
    (tmp_path / "run" / "logs").mkdir(parents=True)
    (tmp_path / "run" / "logs" / "mine.txt").write_text("keep me")
    train("digits", QUICK.replace(epochs=1), out=tmp_path / "run")
    assert (tmp_path / "run" / "logs" / "mine.txt").read_text() == "keep me"


def test_a_subset_of_a_view_reads_nothing_until_asked() -> None:
    images = load_dataset("digits", image_size=8).splits["train"].images
    rows = np.array([5, 0, 7])
    subset = images.subset(rows)
    assert type(subset) is type(images)
    assert subset.shape == (3, 8, 8, 3)
    np.testing.assert_array_equal(np.asarray(subset), images[rows])
    np.testing.assert_array_equal(subset[1:], images[rows[1:]])


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"warmup_epochs": 200}, r"^warmup_epochs must be fewer than epochs, got 200 of \d+: the learning rate would"),
        ({"head_first": True}, "^head_first fits the classifier on the features of a pretrained network, and there is"),
        ({"frozen_fraction": 0.5}, "^frozen_fraction keeps the first layers of a pretrained network as they are, and"),
        (
            {"augment": "none", "flip": True},
            "^flip True has no effect with --augment none, which changes no image; lea",
        ),
    ],
)
def test_settings_without_effect_beside_those_that_are_chosen_are_refused(
    tmp_path: Path, settings: dict[str, Any], line: str
) -> None:
    with pytest.raises(InputError, match=line):
        train("digits", model="tiny", out=tmp_path / "run", **settings)
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"momentum": 0.8}, "^momentum 0.8 has no effect with the optimizer adam; leave it out"),
        ({"norm_rates": True}, "^norm_rates is for optimizer=sgd, got adam; leave one of the two out"),
    ],
)
def test_pretraining_refuses_settings_without_effect_beside_its_optimizer(
    tmp_path: Path, settings: dict[str, Any], line: str
) -> None:
    with pytest.raises(InputError, match=line):
        edgeclf.pretrain("digits", method="barlow-twins", model="tiny", out=tmp_path / "run", **settings)


def test_a_recorded_configuration_whose_flips_have_no_effect_may_be_repeated() -> None:
    recorded = QUICK.replace(augment="none", flip=True)
    check_idle(recorded, recorded.list_given(), named=())
    with pytest.raises(InputError, match="^flip True has no effect"):
        check_idle(recorded, recorded.list_given(), named=("flip",))
