"""`compress` fits probabilities on the validation outputs of each model that it makes, unless it is asked not to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")
import tf_keras
from colored_squares import SIDE, compress, dataset

from edgeclf.artifact.model_file import ModelFile
from edgeclf.errors import InputError
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
