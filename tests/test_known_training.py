"""Compression says which of its images trained the network, and where nobody knows."""

from __future__ import annotations

import shutil
from pathlib import Path

import colored_squares
import pytest
from color_photos import hues, write_folders

import edgeclf
from edgeclf.artifact.model_file import ModelFile
from edgeclf.errors import ModelError

pytest.importorskip("tensorflow_model_optimization")
import tf_keras

from edgeclf.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from edgeclf.training.config import TrainConfig
from edgeclf.training.divergence import DivergedError, check_loss

DOUBT = "it is not known which images trained the network: its figures on validation, and what is fitted there, hold"


@pytest.mark.slow
def test_what_is_fitted_for_a_network_from_elsewhere_carries_the_doubt(tmp_path: Path) -> None:
    data = colored_squares.dataset()
    colored_squares.network(data).save(tmp_path / "net.keras")
    report = colored_squares.compress(tmp_path / "net.keras", "int8", data=data, out=tmp_path / "made", calibration=30)
    assert any(note.startswith(DOUBT) for note in report.models[0].notes)
    provenance = ModelFile.read(Path(report.models[0].path)).provenance
    assert provenance is not None
    assert provenance.probabilities is not None
    assert any(note.startswith(DOUBT) for note in provenance.probabilities.notes)


@pytest.mark.slow
def test_photos_that_trained_a_run_are_counted_where_they_were_sorted_anew(tmp_path: Path) -> None:
    photos = write_folders(tmp_path / "photos", ("a", "b", "c"), hues(3), count=30) / "train"
    edgeclf.train(photos, model="cnn", image_size=16, epochs=1, out=tmp_path / "run")
    own = colored_squares.compress(tmp_path / "run", "int8", out=tmp_path / "own")
    assert own.models[0].selected_on, "its own validation images chose the epoch"
    assert not any("seen in training" in note or note.startswith(DOUBT) for note in own.notes)
    anew = tmp_path / "anew"
    for place in sorted(photos.iterdir()):
        for number, file in enumerate(sorted(place.iterdir())):
            target = anew / ("train", "validation")[number % 2] / place.name
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    report = colored_squares.compress(tmp_path / "run", "int8", data=anew, out=tmp_path / "made")
    images = sum(1 for file in (anew / "validation").rglob("*") if file.is_file())
    assert 0.5 * images < report.in_training["validation"] < images, "some were test images of the run"
    assert report.models[0].selected_on
    assert any(f"of {images} validation images were seen in training, too" in note for note in report.notes)
    # a training that starts from the run sees them through its weights
    (anew / "validation").rename(anew / "test")
    start = str(tmp_path / "run")
    begun = edgeclf.train(anew, weights=start, model="cnn", image_size=16, epochs=1, out=tmp_path / "begun")
    assert 0.5 * images < begun.in_training["test"] < images
    assert not any("the test split is not" in note for note in begun.notes)


def test_a_checkpoint_of_another_network_is_not_called_damaged(tmp_path: Path) -> None:
    def build(units: int) -> tf_keras.Model:
        model = tf_keras.Sequential([tf_keras.layers.Dense(units, input_shape=(3,)), tf_keras.layers.Dense(2)])
        model.compile(tf_keras.optimizers.SGD(0.1, momentum=0.9), "mse")
        model.optimizer.build(model.trainable_variables)
        return model

    wide, path = build(4), tmp_path / "state.npz"
    save_checkpoint(path, wide.get_weights(), [one.numpy() for one in wide.optimizer.variables], TrainingState(epoch=3))
    assert load_checkpoint(path, build(4)).epoch == 3
    with pytest.raises(ModelError, match=r"^\S+state\.npz: the run cannot be resumed: its network has other weights"):
        load_checkpoint(path, build(5))


def test_a_loss_that_is_no_number_ends_a_training_with_advice() -> None:
    config = TrainConfig(learning_rate=0.5)
    check_loss(1e9, 0, config)
    with pytest.raises(
        DivergedError, match=r"^the loss on validation is nan in epoch 3; lower --learning-rate, now 0.5"
    ):
        check_loss(float("nan"), 2, config, " on validation")
    with pytest.raises(DivergedError, match="^the loss is inf in epoch 1"):
        check_loss(float("inf"), 0, config)
