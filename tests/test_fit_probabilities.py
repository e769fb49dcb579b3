"""`compress` fits probabilities on the validation outputs of each model that it makes, unless it is asked not to."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")
import tf_keras
from colored_squares import SIDE, compress, dataset

import edgeclf
from edgeclf.artifact.fitted_probabilities import FittedProbabilities
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.provenance import Provenance
from edgeclf.compression.probabilities.refit import _doubts
from edgeclf.errors import DataError, InputError, OutputError
from edgeclf.inference.classifier import Classifier


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that needs no training: the mean of each color, compared."""
    layers = tf_keras.layers
    inputs = layers.Input((SIDE, SIDE, 3))
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 1, activation="relu")(layers.Rescaling(1 / 255)(inputs)))
    model = tf_keras.Model(inputs, layers.Dense(3, activation="softmax")(pooled))
    kernel = np.zeros((1, 1, 3, 8), np.float32)
    kernel[0, 0, :, :3] = np.eye(3)
    model.layers[2].set_weights([kernel, np.zeros(8, np.float32)])
    dense = np.zeros((8, 3), np.float32)
    dense[:3] = 8 * np.eye(3)
    model.layers[-1].set_weights([dense, np.zeros(3, np.float32)])
    path = tmp_path_factory.mktemp("network") / "net.keras"
    model.save(path)
    return path


def test_what_compress_fits_goes_into_the_file_and_can_be_left_out(network: Path, tmp_path: Path) -> None:
    data = dataset()
    (made,) = compress(network, ["int8"], data=data, out=tmp_path / "a").models
    fitted = made.probabilities
    assert fitted is not None
    stored = ModelFile.read(made.path).provenance
    assert stored is not None
    assert stored.probabilities == fitted
    # 30 images, all of which are right, prove little: what cannot be promised is said, and none is refused
    assert (fitted.images, fitted.shown) == (30, 30)
    assert any("30 validation images cannot show" in note for note in made.notes)
    classifier, images = Classifier(made.path), np.asarray(data.splits["validation"].images)
    assert classifier.rule.fitted
    assert all(prediction.label != "unknown" for prediction in classifier.predict(list(images)))
    (plain,) = compress(network, ["int8"], data=data, out=tmp_path / "b", fit_probabilities=False).models
    assert plain.probabilities is None
    assert plain.size_bytes < made.size_bytes < plain.size_bytes + 4000
    assert np.array_equal(Classifier(plain.path).top1(images), classifier.top1(images))
    with pytest.raises(InputError, match="--no-fit-probabilities"):
        compress(network, ["int8"], data=data, out=tmp_path / "c", fit_probabilities=False, precision=0.9)
    (alone,) = compress(network, ["float16"], out=tmp_path / "d", precision=0.9).models
    assert any("--precision has no effect: probabilities are fitted on labelled" in note for note in alone.notes)


def test_refit_says_what_speaks_against_its_promise_and_wants_all_classes(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = dataset()
    (made,) = compress(network, ["int8"], data=data, out=tmp_path / "a").models
    assert made.probabilities is not None
    same = edgeclf.refit(made.path, data, out=tmp_path / "same.tflite")
    assert same.probabilities.notes == made.probabilities.notes
    other = edgeclf.refit(
        made.path, dataclasses.replace(data, name="others", fingerprint="0" * 32), out=tmp_path / "other.tflite"
    )
    (note,) = set(other.probabilities.notes) - set(same.probabilities.notes)
    assert note.startswith("fitted on others, which the model was not made with: the promise holds where none of these")
    stored = ModelFile.read(other.path).provenance
    assert stored is not None
    assert stored.probabilities == other.probabilities
    names = data.class_names
    few = {name: split.subset(np.flatnonzero(np.asarray(split.labels) < 2)) for name, split in data.splits.items()}
    with pytest.raises(DataError, match=f"has no images of {names[2]}, which .* would call unknown"):
        edgeclf.refit(
            made.path, dataclasses.replace(data, class_names=names[:2], splits=few), out=tmp_path / "few.tflite"
        )
    assert not (tmp_path / "few.tflite").exists()
    # in place, the record beside the file is brought up to date
    again = edgeclf.refit(made.path, data, overwrite=True, precision=0.5)
    record = json.loads(Path(made.path).with_suffix(".json").read_text())
    assert record["sha256"] == hashlib.sha256(Path(made.path).read_bytes()).hexdigest()
    assert record["model"]["size_bytes"] == again.size_bytes
    assert FittedProbabilities.from_dict(record["model"]["probabilities"]) == again.probabilities
    with pytest.raises(OutputError, match="digits is a model of the zoo, which stays as it is"):
        edgeclf.refit("digits", data, overwrite=True)
    (tmp_path / "digits").mkdir()  # photos, beside which the name still means the model of the zoo
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="digits is a model of the zoo, which stays as it is"):
        edgeclf.refit("digits", data, overwrite=True)


def test_photos_that_are_easier_than_those_at_birth_may_have_trained_the_model() -> None:
    data = dataset()
    made = Provenance(recipe={}, data={"fingerprint": "1" * 32}, metrics={"validation": {"top1": 0.7}})
    assert _doubts(made, data, (100, 100))[0].endswith(
        "100.0 % of them are right, 70.0 % when it was made: they may have"
    )
    assert "they may have" not in _doubts(made, data, (70, 100))[0]
    assert not _doubts(dataclasses.replace(made, data={"fingerprint": data.fingerprint}), data, (100, 100))
