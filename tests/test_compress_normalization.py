"""Networks trained behind a preprocessing: every file that `compress` writes takes raw RGB."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import colored_squares
import numpy as np
import pytest
from colored_squares import NAMES, SIDE, compress
from listener import Listener

from edgeclf.artifact.metadata import read_metadata
from edgeclf.artifact.normalization import NORMALIZATIONS, RAW
from edgeclf.artifact.provenance import read_provenance
from edgeclf.dataset.types import Dataset
from edgeclf.errors import DataError, InputError
from edgeclf.inference.classifier import Classifier

tf_keras = pytest.importorskip("tf_keras")
keras = pytest.importorskip("keras", minversion="3")
pytest.importorskip("tensorflow_model_optimization")

pytestmark = pytest.mark.slow
FORMATS = ["float32", "float16", "dynamic", "int8", "int16x8"]
TORCH_MEAN, TORCH_STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def data() -> Dataset:
    splits = {name: colored_squares.split(n, seed) for seed, (name, n) in enumerate({"train": 60, "test": 40}.items())}
    return Dataset("colors", "colors", NAMES, splits, SIDE, SIDE, "f" * 32, 1)


def preprocess(name: str, pixels: Any) -> Any:
    """As `keras.applications.imagenet_utils.preprocess_input` does it."""
    values = np.asarray(pixels).astype(np.float32)
    if name == "caffe":
        return values[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)
    return ((values / 255 - TORCH_MEAN) / TORCH_STD).astype(np.float32)


def trained(framework: Any, name: str, data: Dataset) -> Any:
    """A network that begins with padding, as MobileNet and ResNet do, after a second of training behind `name`."""
    layers = framework.layers
    framework.utils.set_random_seed(3)
    x = inputs = layers.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(8, 3, strides=2)(layers.ZeroPadding2D(1)(x))
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.7)(x))
    x = layers.GlobalAveragePooling2D()(x)
    model = framework.Model(inputs, layers.Dense(3, activation="softmax")(x))
    model.compile(framework.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    train = data.splits["train"]
    model.fit(preprocess(name, train.images), train.labels, epochs=8, batch_size=16, verbose=0)
    return model


@pytest.fixture(scope="module")
def networks(data: Dataset) -> dict[tuple[str, str], Any]:
    return {("tf-keras", name): trained(tf_keras, name, data) for name in ("caffe", "torch")} | {
        ("Keras 3", "caffe"): trained(keras, "caffe", data)
    }


@pytest.mark.parametrize(
    ("kind", "name"), [("tf-keras", "caffe"), ("tf-keras", "torch"), ("Keras 3", "caffe"), ("SavedModel", "caffe")]
)
def test_every_format_takes_raw_rgb(
    kind: str, name: str, networks: dict[tuple[str, str], Any], data: Dataset, tmp_path: Path
) -> None:
    model = networks["Keras 3" if kind == "SavedModel" else kind, name]
    source = tmp_path / {"tf-keras": "net.h5", "Keras 3": "net.keras", "SavedModel": "net"}[kind]
    if kind == "SavedModel":
        model.export(source, verbose=False)
    else:
        model.save(source)
    images, labels = np.asarray(data.splits["test"].images), data.splits["test"].labels
    outputs = np.asarray(model(preprocess(name, images)))
    right = float((outputs.argmax(1) == labels).mean())
    assert right > 0.9
    formats = FORMATS if (kind, name) in (("tf-keras", "caffe"), ("SavedModel", "caffe")) else ["float32", "int8"]
    report = compress(source, formats, data=data, calibration=60, out=tmp_path / "out", normalize=name)
    for made in report.models:
        assert made.float_top1 == pytest.approx(right, abs=0.01), made.recipe
        assert made.top1 == pytest.approx(right, abs=0.03), made.recipe
        assert made.network_input is not None
        assert (made.network_input.pair, made.network_input.normalization) == (None, NORMALIZATIONS[name])
        content = Path(made.path).read_bytes()
        provenance = read_provenance(content)
        assert provenance is not None
        assert provenance.input_range is None, made.recipe
        assert read_metadata(content).normalization == RAW, made.recipe
        found = Classifier(made.path).probabilities(images)
        np.testing.assert_allclose(found, outputs, atol=0.02 if made.recipe in ("float32", "float16") else 0.15)
    record = json.loads((tmp_path / "out" / "net-int8.json").read_text(encoding="utf-8"))
    assert record["model"]["network_input"]["low"] is None
    assert record["model"]["network_input"]["normalization"]["channel_order"] == NORMALIZATIONS[name].channel_order


def test_it_is_measured_where_it_is_not_given(
    networks: dict[tuple[str, str], Any], data: Dataset, tmp_path: Path
) -> None:
    networks["tf-keras", "caffe"].save(tmp_path / "net.h5")
    (made,) = compress(tmp_path / "net.h5", "int8", data=data, calibration=30, out=tmp_path / "out").models
    assert made.network_input is not None
    assert made.network_input.normalization == NORMALIZATIONS["caffe"] or not made.network_input.decided
    assert made.top1 is not None
    assert made.top1 > 0.9


def test_integer_models_with_float_input_take_raw_pixels_behind_padding(
    networks: dict[tuple[str, str], Any], data: Dataset, tmp_path: Path
) -> None:
    networks["tf-keras", "torch"].save(tmp_path / "net.h5")
    given = {"data": data, "calibration": 30, "io": "float32", "out": tmp_path / "out"}
    for normalize in ("torch", "0..1"):
        (made,) = compress(tmp_path / "net.h5", "int8", normalize=normalize, overwrite=True, **given).models
        provenance = read_provenance(Path(made.path).read_bytes())
        assert provenance is not None
        assert provenance.input_range is None


def test_a_network_near_chance_is_an_error_that_names_both_remedies(
    networks: dict[tuple[str, str], Any], data: Dataset, tmp_path: Path
) -> None:
    networks["tf-keras", "torch"].save(tmp_path / "net.h5")
    with pytest.raises(DataError) as error:
        compress(tmp_path / "net.h5", "int8", data=data, out=tmp_path / "out", normalize="-9000..-8000")
    line = str(error.value)
    assert line.startswith("net.h5: 40 of 120 test labels are right (33.3%; chance: 33.3%): expected a network that is")
    assert "-9000..-8000 (given)" in line
    assert "--normalize" in line
    assert "--labels FILE" in line
    assert "\n" not in line
    assert not (tmp_path / "out").exists()  # nothing half-written
    few = {name: dataclasses.replace(data.splits[name], **_first(data, name, 6)) for name in data.splits}
    heard = Listener()
    (made,) = compress(
        tmp_path / "net.h5", "float32", data=dataclasses.replace(data, splits=few), normalize="-9000..-8000",
        out=tmp_path / "out", progress=heard,
    ).models  # fmt: skip
    assert any("too few images to see" in note for note in made.notes)
    assert any("too few images to see" in line for line in heard.warned)


def _first(data: Dataset, name: str, count: int) -> dict[str, Any]:
    from edgeclf.dataset.types import ImageView

    split = data.splits[name]
    rows = np.linspace(0, len(split) - 1, count).astype(int)
    view = ImageView(np.asarray(split.images[rows]), np.arange(count))
    paths = tuple(split.paths[row] for row in rows)
    return {"images": view, "labels": split.labels[rows], "paths": paths, "hashes": paths}


def test_the_network_of_a_run_refuses_another_normalization(data: Dataset, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    colored_squares.network(data).save(run / "model.keras")
    (run / "run.json").write_text(json.dumps({"data": {"class_names": list(NAMES)}}))
    with pytest.raises(InputError, match=r"run knows its input: expected raw pixels .*, got torch; leave --normalize"):
        compress(run, "float32", data=data, normalize="torch", out=tmp_path / "out")
