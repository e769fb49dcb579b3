"""Callbacks of tf-keras in a training: each class, when it is called, and what it may decide."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photo_folders import make_splits

pytest.importorskip("tensorflow")
import tf_keras

from edgeclf import train
from edgeclf.errors import InputError
from edgeclf.progress import SILENT
from edgeclf.training.callbacks import check_callbacks
from edgeclf.training.checkpoint import read_state
from edgeclf.training.keras_callbacks import BACKUP_LEFT_OUT

pytestmark = pytest.mark.slow
callbacks = tf_keras.callbacks
EPOCHS, STEPS = 3, 2


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_splits(tmp_path_factory.mktemp("photos"), ["train", "validation"])


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A network of one convolution, which is compiled in a second."""
    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(0)
    network = tf_keras.Sequential(
        [
            layers.Rescaling(1 / 255, input_shape=(16, 16, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    path = tmp_path_factory.mktemp("network") / "tiny.keras"
    network.save(path)
    return {"weights": str(path), "epochs": EPOCHS, "batch_size": 4, "learning_rate": 0.08, "augment": "none"}


def weights_of(folder: Path) -> list[np.ndarray]:
    return list(tf_keras.models.load_model(folder / "model.keras", compile=False).get_weights())


def rates(folder: Path) -> list[float]:
    with (folder / "history.csv").open(encoding="utf-8") as stream:
        return [float(row["learning_rate"]) for row in csv.DictReader(stream)]


def counted(name: str) -> Any:
    def hook(self: Recorder, *_: Any, **__: Any) -> None:
        self.calls[name] += 1

    return hook


class Recorder(callbacks.Callback):  # type: ignore[misc]
    """Counts the hooks, and keeps what they were given."""

    on_train_begin, on_train_end = counted("train begin"), counted("train end")
    on_test_begin, on_test_end = counted("test begin"), counted("test end")
    on_epoch_begin, on_train_batch_begin = counted("epoch begin"), counted("batch begin")

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.epochs: list[int] = []
        self.logs: list[dict[str, float]] = []
        self.weights: list[list[np.ndarray]] = []

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        assert set(logs or {}) >= {"loss", "accuracy"}
        self.calls["batch end"] += 1

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.epochs.append(epoch)
        self.logs.append(dict(logs or {}))
        self.weights.append(self.model.get_weights())


class Remarks:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def task(self, description: str, total: int | None) -> Any:
        return SILENT.task(description, total)

    def info(self, line: str) -> None:
        self.lines.append(line)

    warn = info


def test_every_class_is_called_as_in_one_fit_and_watching_changes_nothing(
    photos: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, float]] = []
    monkeypatch.setattr(callbacks.RemoteMonitor, "on_epoch_end", lambda self, epoch, logs=None: sent.append(logs))
    lines: list[str] = []
    recorder, history = Recorder(), callbacks.History()
    remarks = Remarks()
    given = [
        recorder,
        history,
        callbacks.BaseLogger(),
        callbacks.ProgbarLogger(),
        callbacks.TerminateOnNaN(),
        callbacks.RemoteMonitor(),
        callbacks.EarlyStopping(patience=100),
        callbacks.CSVLogger(str(tmp_path / "log.csv")),
        callbacks.TensorBoard(str(tmp_path / "board"), update_freq=1, write_graph=False),
        callbacks.ModelCheckpoint(str(tmp_path / "epoch{epoch}.keras"), monitor="val_accuracy"),
        callbacks.BackupAndRestore(str(tmp_path / "backup")),
        callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: lines.append(f"{epoch}: {logs['val_loss']:.3f}")),
    ]
    tried = {type(one) for one in given} | {callbacks.LearningRateScheduler, callbacks.ReduceLROnPlateau}
    known = {one for one in vars(callbacks).values() if isinstance(one, type) and issubclass(one, callbacks.Callback)}
    # The last one works in the process that evaluates checkpoints of another one's training.
    assert known - tried == {callbacks.Callback, callbacks.SidecarEvaluatorModelExport}
    watched = train(photos, out=tmp_path / "watched", callbacks=given, progress=remarks, **settings)
    once, each, steps = ("train begin", "train end"), ("epoch begin", "test begin", "test end"), EPOCHS * STEPS
    assert recorder.calls == {
        **dict.fromkeys(once, 1),
        **dict.fromkeys(each, EPOCHS),
        **dict.fromkeys(("batch begin", "batch end"), steps),
    }
    assert recorder.epochs == [0, 1, 2]
    assert recorder.params["epochs"] == EPOCHS
    assert recorder.params["steps"] == STEPS
    with (tmp_path / "watched" / "history.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for logs, row in zip(recorder.logs, rows, strict=True):
        assert (logs["loss"], logs["accuracy"]) == (float(row["loss"]), float(row["top1"]))
        assert (logs["val_loss"], logs["val_accuracy"]) == (
            float(row["validation_loss"]),
            float(row["validation_top1"]),
        )
    assert len(history.history["val_loss"]) == len(sent) == len(lines) == EPOCHS
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 1 + EPOCHS
    assert list((tmp_path / "board" / "train").iterdir())
    assert list((tmp_path / "board" / "validation").iterdir())
    saved = tf_keras.models.load_model(tmp_path / "epoch2.keras")
    for one, other in zip(saved.get_weights(), recorder.weights[1], strict=True):
        np.testing.assert_array_equal(one, other)
    assert BACKUP_LEFT_OUT in remarks.lines
    assert not (tmp_path / "backup").exists()
    alone = train(photos, out=tmp_path / "alone", **settings)
    assert watched.metrics == alone.metrics
    for one, other in zip(weights_of(tmp_path / "watched"), weights_of(tmp_path / "alone"), strict=True):
        np.testing.assert_array_equal(one, other)


def test_early_stopping_ends_the_run_and_keeps_the_weights_that_it_restores(
    photos: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    recorder = Recorder()
    # The training loss falls from epoch to epoch, so that the highest is the first.
    stopping = callbacks.EarlyStopping("loss", mode="max", patience=1, restore_best_weights=True)
    report = train(photos, out=tmp_path / "run", callbacks=[recorder, stopping], **settings)
    assert recorder.logs[1]["loss"] < recorder.logs[0]["loss"]
    assert (report.epochs, report.kept_epoch) == (2, 1)
    for one, other in zip(weights_of(tmp_path / "run"), recorder.weights[0], strict=True):
        np.testing.assert_array_equal(one, other)
    assert read_state(tmp_path / "run" / "checkpoint" / "state.npz").stopped
    with pytest.raises(InputError, match="weight_average is judged and kept itself"):
        train(photos, out=tmp_path / "both", callbacks=[stopping], **settings | {"weight_average": 0.9})
    assert train(photos, out=tmp_path / "run", resume=True, **settings) == report


def test_callbacks_that_change_the_learning_rate_replace_the_schedule(
    photos: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    scheduler = callbacks.LearningRateScheduler(lambda epoch, rate: rate * (1.0 if epoch == 0 else 0.5))
    train(photos, out=tmp_path / "scheduler", callbacks=[scheduler], **settings)
    assert rates(tmp_path / "scheduler") == pytest.approx([0.08, 0.04, 0.02])
    plateau = callbacks.ReduceLROnPlateau("loss", mode="max", factor=0.1, patience=1, verbose=0)
    train(photos, out=tmp_path / "plateau", callbacks=[plateau], **settings)
    assert rates(tmp_path / "plateau") == pytest.approx([0.08, 0.08, 0.008])


class SetRate(callbacks.Callback):  # type: ignore[misc]
    """Sets the learning rate in the second epoch, and fails in the third."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1:
            self.model.optimizer.learning_rate = 0.005
        if epoch == 2:
            raise RuntimeError("interrupted")


@pytest.mark.parametrize("again", [(callbacks.History(),), ()])
def test_a_rate_that_a_callback_has_set_holds_and_survives_an_interruption(
    photos: Path, settings: dict[str, Any], tmp_path: Path, again: Sequence[Any]
) -> None:
    remarks = Remarks()
    with pytest.raises(RuntimeError, match="interrupted"):
        train(photos, out=tmp_path / "run", callbacks=[SetRate()], progress=remarks, **settings)
    assert "a callback sets the learning rate to 0.005: warm-up and cosine end here" in remarks.lines
    train(photos, out=tmp_path / "run", resume=True, callbacks=again, **settings)
    first, *others = rates(tmp_path / "run")
    assert first > 0.02
    assert others == pytest.approx([0.005, 0.005])


def test_a_training_ends_where_a_callback_stops_it(photos: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    class Stop(callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = True

    recorder = Recorder()
    report = train(photos, out=tmp_path / "run", callbacks=[Stop(), recorder], **settings)
    assert report.epochs == 1
    assert recorder.calls["batch end"] == 1
    assert recorder.calls["train end"] == 1


def test_what_is_no_callback_of_tf_keras_is_refused() -> None:
    keras = pytest.importorskip("keras")
    with pytest.raises(InputError, match=r"callbacks\[1\]: EarlyStopping is a callback of Keras 3; .* take tf_keras\."):
        check_callbacks([callbacks.EarlyStopping(), keras.callbacks.EarlyStopping()])
    with pytest.raises(InputError, match=r"callbacks\[0\]: expected a tf_keras callback or .* got function"):
        check_callbacks([lambda: None])
