"""A network that sees objects goes the whole way, train, compress, bench, predict, and is judged by object."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from test_objects import ball, write_balls

import edgeclf
from edgeclf.artifact.model_file import ModelFile
from edgeclf.dataset import load_dataset
from edgeclf.errors import DataError, ImageError, InputError
from edgeclf.image.views import list_directions

pytest.importorskip("tensorflow_model_optimization")
VIEWS, SIDE = 3, 16


@pytest.mark.slow
def test_objects_are_trained_compressed_measured_and_labelled(tmp_path: Path) -> None:
    source, run = write_balls(tmp_path / "balls", 20), tmp_path / "run"
    trained = edgeclf.train(
        source, out=run, model="cnn", weights="none", image_size=SIDE, epochs=2, fit=f"views{VIEWS}", augment="none"
    )
    record = json.loads((run / "run.json").read_text())
    assert record["config"]["fit"] == "views3"
    assert record["data"]["views"]["directions"] == list_directions(VIEWS).tolist()
    data = load_dataset(source, image_size=SIDE, fit="views3")
    counts = {name: part["images"] for name, part in record["data"]["splits"].items()}
    assert counts == {name: len(split) for name, split in data.splits.items()}, "objects, not views"
    test = data.splits["test"]
    assert trained.metrics["test"] is not None
    assert trained.metrics["test"].images == len(test)

    (model,) = edgeclf.compress(run, int8=True).models
    file = ModelFile.read(Path(model.path))
    assert file.provenance is not None
    assert file.provenance.preprocessing["views"]["count"] == VIEWS
    classifier = edgeclf.Classifier(model.path)
    views = np.concatenate([image.reshape(VIEWS, SIDE, SIDE, 3) for image in test.images])
    mean = classifier.probabilities(views).reshape(len(test), VIEWS, 2).mean(axis=1)
    assert np.allclose(classifier.probabilities(test.images[:]), mean, atol=1e-6)
    report = edgeclf.bench(model.path, data=source, baseline=run / "model.keras", runs=5, threads=1)
    assert report.models[0].top1 == pytest.approx((mean.argmax(axis=1) == test.labels).mean())
    assert report.data is not None
    assert report.data.images == len(test)

    by_file = edgeclf.predict(model.path, [test.paths[0]]).predictions[0]
    by_points = classifier.predict(ball((1.0, 1.0, 0.2), int(Path(test.paths[0]).stem)))
    assert by_file.labels[0].probability == pytest.approx(mean[0].max(), abs=1e-6)
    if "flat" in test.paths[0]:
        assert by_points.labels == by_file.labels
    with pytest.raises(ImageError, match="depth frame"):
        classifier.predict(Path(__file__).parents[1] / "docs" / "report.png")
    with pytest.raises(InputError, match="gives photos; expected depth:FOLDER"):
        edgeclf.live(model.path, camera=str(Path(__file__).parents[1] / "docs" / "report.png"))
    with pytest.raises(DataError, match="holds point clouds or meshes, and the network takes photos"):
        edgeclf.bench("cifar10", data=source, runs=5)


def test_what_the_data_do_not_hold_is_refused(tmp_path: Path) -> None:
    source = write_balls(tmp_path / "balls", 4)
    with pytest.raises(InputError, match="have no aspect ratio; leave --fit crop out"):
        edgeclf.train(source, out=tmp_path / "run", fit="crop")
    with pytest.raises(InputError, match="digits: holds photos, and --views is for point clouds"):
        edgeclf.train("digits", out=tmp_path / "run", fit="views3")
    assert not (tmp_path / "run" / "run.json").exists()
