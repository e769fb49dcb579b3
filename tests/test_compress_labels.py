"""Class names of networks from elsewhere: given, beside the file, or assumed and said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from color_photos import hues, write_folders

import edgeclf
from edgeclf.artifact.model_file import ModelFile
from edgeclf.errors import DataError, InputError
from edgeclf.measure.compare_sides import find_sides

pytestmark = pytest.mark.slow

COLORS = hues(12)
SORTED = tuple(sorted(map(str, range(12))))
REVERSED = SORTED[::-1]


def write_network(path: Path, colors: np.ndarray) -> Path:
    """A Keras network that wants 0..1; its classes are the nearest of `colors`."""
    tf_keras = pytest.importorskip("tf_keras")
    pytest.importorskip("tensorflow_model_optimization")
    layers = tf_keras.layers
    model = tf_keras.Sequential(
        [layers.Input((8, 8, 3)), layers.GlobalAveragePooling2D(), layers.Dense(len(colors), activation="softmax")]
    )
    model.layers[-1].set_weights([20 * colors.T, -10 * (colors**2).sum(axis=1)])
    model.save(path)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders 0 to 11, whose colours follow the order of their sorted names; 48 photos in each split."""
    return write_folders(tmp_path_factory.mktemp("data"), SORTED, COLORS)


def compress(network: Path, **settings: Any) -> tuple[Any, ModelFile]:
    report = edgeclf.compress(network, float32=True, input_range=(0, 1), overwrite=True, **settings)
    (made,) = report.models
    return report, ModelFile.read(made.path)


def source_of(file: ModelFile) -> object:
    assert file.provenance is not None
    return file.provenance.data["class_source"]


def test_the_order_of_the_data_is_assumed_and_said(data: Path, tmp_path: Path) -> None:
    report, file = compress(write_network(tmp_path / "net.h5", COLORS), data=data)
    assert (report.models[0].float_top1, report.models[0].top1) == (1.0, 1.0)
    assert "net.h5: it names no classes, so its outputs were taken for the classes of the data" in report.notes[0]
    assert json.loads(report.to_json())["notes"] == list(report.notes)
    assert (file.metadata.labels, source_of(file)) == (SORTED, "data")


def test_names_given_number_the_data_as_the_network_does(data: Path, tmp_path: Path) -> None:
    network = write_network(tmp_path / "net.h5", COLORS[::-1])
    (tmp_path / "names.txt").write_text("\n".join(REVERSED), encoding="utf-8")
    report, file = compress(network, data=data, labels=tmp_path / "names.txt")
    # by hand: each photo is nearest to its own colour, so all of them are right; in the assumed order none is
    assert (report.models[0].float_top1, report.models[0].top1) == (1.0, 1.0)
    assert all(note.startswith("it is not known which images trained the network") for note in report.notes)
    assert (file.metadata.labels, source_of(file)) == (REVERSED, "given")
    # nobody knows what trained it: the photos in its record chose no more than its ranges
    assert [side.known_by for side in find_sides(str(file.path), "digits")] == ["assumed", "split rule"]
    (tmp_path / "names.txt").rename(tmp_path / "labels.txt")
    report, file = compress(network, data=data)
    assert (report.models[0].top1, source_of(file)) == (1.0, "beside")
    assert "class names are those of" in report.notes[0]
    bench = edgeclf.bench(file.path, data=data, baseline=network, runs=3)
    assert bench.baseline is not None
    assert (bench.models[0].top1, bench.baseline.top1) == (1.0, 1.0)
    assert any("labels.txt beside the model" in note for note in bench.notes)


def test_names_that_do_not_fit_are_refused_or_left_out(data: Path, tmp_path: Path) -> None:
    network = write_network(tmp_path / "net.h5", COLORS)
    with pytest.raises(InputError, match="--labels: expected 12 class names, one a line, got 2 \\(cat, dog\\)"):
        compress(network, data=data, labels=["cat", "dog"])
    letters = tuple("abcdefghijkl")
    with pytest.raises(DataError, match="does not know the class '0' of the data"):
        compress(network, data=data, labels=letters)
    (tmp_path / "labels.txt").write_text("\n".join(letters), encoding="utf-8")
    report, file = compress(network, data=data)
    assert "the class names beside net.h5 are left out" in report.notes[0]
    assert (file.metadata.labels, source_of(file)) == (SORTED, "data")


def test_numbers_in_a_file_made_without_names_are_not_matched_by_name(data: Path, tmp_path: Path) -> None:
    network = write_network(tmp_path / "net.h5", COLORS)
    report, file = compress(network)
    assert (source_of(file), edgeclf.inspect(file.path).labels) == ("numbers", None)
    assert "--labels FILE names them" in report.notes[0]
    bench = edgeclf.bench(file.path, data=data, baseline=network, runs=3)
    assert bench.baseline is not None
    assert (bench.models[0].top1, bench.models[0].label_source, bench.baseline.top1) == (1.0, "numbers", 1.0)
    assert "in the order of their sorted names (0, 1, 10, 11, ...)" in bench.models[0].notes[0]
    assert any(note.startswith("float baseline: it names no classes") for note in bench.notes)


def test_a_run_names_its_classes_itself(tmp_path: Path) -> None:
    write_network(tmp_path / "model.keras", COLORS)
    (tmp_path / "run.json").write_text(json.dumps({"data": {"class_names": list(SORTED)}}), encoding="utf-8")
    with pytest.raises(InputError, match="the run names its classes itself; leave --labels out"):
        edgeclf.compress(tmp_path, int8=True, labels=list(SORTED))
