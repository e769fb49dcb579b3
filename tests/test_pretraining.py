"""`pretrain`: the loss, the run folder, resuming, and training from what was learned."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
tf_keras = pytest.importorskip("tf_keras")

from photo_folders import make_folder  # noqa: E402
from test_objects import write_balls  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

import edgeclf  # noqa: E402
from edgeclf.artifact.run_folder import RunFolder  # noqa: E402
from edgeclf.cli.main import app  # noqa: E402
from edgeclf.dataset import load_dataset, probe  # noqa: E402
from edgeclf.errors import InputError, ModelError  # noqa: E402
from edgeclf.progress import SILENT  # noqa: E402
from edgeclf.training.augmentation import LEVELS  # noqa: E402
from edgeclf.training.config import TrainConfig  # noqa: E402
from edgeclf.training.pretraining.barlow_twins import REDUNDANCY, BarlowTwins  # noqa: E402
from edgeclf.training.pretraining.heads import choose_judged  # noqa: E402
from edgeclf.training.pretraining.rotation import Rotation  # noqa: E402
from edgeclf.training.starting import find_start  # noqa: E402

SETTINGS = ["--method", "barlow-twins", "--model", "cnn", "--image-size", "16", "--epochs", "2", "--batch-size", "8"]


class Stop:
    """Ends the process' work in the middle of a run, as Ctrl-C does."""

    def on_epoch_end(self, epoch: int, metrics: Mapping[str, float]) -> None:
        if epoch == 2:
            raise KeyboardInterrupt


def kept(folder: Path) -> list[np.ndarray]:
    return list(tf_keras.models.load_model(folder / "model.keras", compile=False).get_weights())


def test_the_loss_is_that_of_the_paper() -> None:
    random = np.random.default_rng(0)
    loss = BarlowTwins(LEVELS["views"]).make_loss()
    images, numbers = 4096, 8
    first = random.normal(size=(images, numbers))
    cases = {
        "equal views, independent numbers": (first, 3 * first + 1, 0.0),
        # each diagonal correlation is 0 instead of 1
        "views that have nothing in common": (first, random.normal(size=first.shape), 1.0),
        # all 8 * 7 correlations off the diagonal are 1: REDUNDANCY * 56 / 8
        "equal views, one number eight times": (first[:, :1].repeat(8, 1), first[:, :1].repeat(8, 1), REDUNDANCY * 7),
    }
    for name, (one, other, expected) in cases.items():
        rows = np.stack([one, other], axis=1).reshape(-1, numbers).astype(np.float32)
        found = loss(tf.zeros((len(rows), 1)), tf.constant(rows)).numpy()
        assert found.shape == (2 * images,)
        assert found[0] == pytest.approx(expected, abs=0.03 if expected == 1 else 2e-3), name


def test_objects_are_judged_view_by_view(tmp_path: Path) -> None:
    data = load_dataset(write_balls(tmp_path / "balls"), image_size=16, fit="views3").train_on_views()
    entry = tf_keras.Input((16, 16, 3))
    x = tf_keras.layers.GlobalAveragePooling2D()(tf_keras.layers.Conv2D(4, 3)(entry))
    classifier = tf_keras.Model(entry, tf_keras.layers.Dense(2, activation="softmax")(x))
    validation = data.splits["validation"]
    for objective in (Rotation(), BarlowTwins(LEVELS["views"])):
        network = objective.complete(classifier)
        assert choose_judged(network, validation).shape == (3 * len(validation), 16, 16, 3)
        judged = objective.judge(network, validation)
        assert np.isfinite(judged.loss)
        assert 0 <= judged.top1 <= 1


@pytest.mark.slow
def test_pretrain_then_train(tmp_path: Path) -> None:
    photos = make_folder(tmp_path / "photos", {"cat": 20, "dog": 20})
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    shown = CliRunner().invoke(app, ["pretrain", str(photos), *SETTINGS, "--out", str(whole), "--json"])
    assert shown.exit_code == 0, shown.output
    report = json.loads(shown.stdout)
    assert (report["method"], report["epochs"], report["kept_epoch"]) == ("barlow-twins", 2, 2)
    assert 0 <= report["pretext_top1"] <= 1
    record = RunFolder(whole)
    assert record.is_pretraining
    assert record.labels == ()
    # 3 x 3 x 3 x 32 + 32 and 3 x 3 x 32 x 64 + 64: two convolutions, and nothing of the projection
    assert report["parameters"] == sum(weights.size for weights in kept(whole)) == 896 + 18_496

    settings = {"method": "barlow-twins", "model": "cnn", "image_size": 16, "epochs": 2, "batch_size": 8}
    with pytest.raises(InputError, match="expected a batch size of at least 8, got 1"):
        edgeclf.pretrain(photos, out=tmp_path / "alone", **{**settings, "batch_size": 1})
    with pytest.raises(KeyboardInterrupt):
        edgeclf.pretrain(photos, out=resumed, callbacks=[Stop()], **settings)
    again = edgeclf.pretrain(photos, out=resumed, resume=True, **settings)
    assert again.loss == report["loss"]
    for one, other in zip(kept(whole), kept(resumed), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ModelError, match="has no classes, because it learned without labels; train from it: "):
        edgeclf.compress(whole)

    start = find_start(TrainConfig(weights=str(whole)), probe(photos), trust_model=False, progress=SILENT)
    assert (start.model, start.self_supervised) == ("cnn", True)
    assert start.network is not None
    for one, other in zip(kept(whole), start.network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    trained = edgeclf.train(photos, weights=str(whole), epochs=1, batch_size=8, out=tmp_path / "run")
    assert trained.model == "cnn"
    assert trained.image_size == 16
    assert any(note.startswith("start from whole: ") for note in trained.notes)
    models = edgeclf.compress(trained.run, int8=True, speed=False).models
    assert Path(models[0].path).is_file()


@pytest.mark.slow
def test_rotations_are_learned(tmp_path: Path) -> None:
    """Digits stand upright: after an epoch more of their rotations are recognized than one in four."""
    report = edgeclf.pretrain("digits", model="cnn", epochs=1, out=tmp_path / "run")
    assert report.method == "rotation"
    assert report.images["train"] + report.images["validation"] < 1797
    assert report.pretext_top1 > 0.4
    assert not (tmp_path / "run" / "labels.txt").read_text()
