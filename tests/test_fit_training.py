"""Rectangular inputs and fits in training and compression: what a device makes of a photo is what training saw."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from photo_folders import photo, write

pytest.importorskip("tensorflow")
import tf_keras

import edgeclf
from edgeclf.artifact.model_file import ModelFile
from edgeclf.dataset import load_dataset
from edgeclf.errors import InputError
from edgeclf.image.decoding import decode, fit_image, resize
from edgeclf.image.shape import InputShape
from edgeclf.training.augmentation import LEVELS
from edgeclf.training.config import TrainConfig
from edgeclf.training.networks import NETWORKS, NetworkSettings, check_network
from edgeclf.training.networks.building import build_network
from edgeclf.training.pipeline import TrainingBatches
from edgeclf.training.starting import StartingPoint
from edgeclf.training.transfer import Pretrained, transfer

SHAPE = InputShape(16, 24, "crop")
CONFIG = TrainConfig(model="resnet8", image_size=SHAPE.size, fit=SHAPE.fit, epochs=2, batch_size=16, augment="none")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wide and tall photos, light or dark in the middle."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(80):
        sides = (40, 100) if number % 3 else (90, 40)
        pixels = photo(number, *sides) // 2
        name = ("dark", "light")[number % 2]
        if name == "light":
            pixels[sides[0] // 4 : -sides[0] // 4, sides[1] // 4 : -sides[1] // 4] += 120
        write(folder / name / f"{number:03}.png", pixels)
    return folder


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    edgeclf.train(photos, CONFIG, out=folder)
    return folder


@pytest.mark.slow
def test_training_compression_bench_and_predict_see_the_same_pixels(run: Path, photos: Path, tmp_path: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    assert (record["config"]["image_size"], record["config"]["fit"]) == ([16, 24], "crop")
    network = tf_keras.models.load_model(run / "model.keras", compile=False)
    assert network.input_shape == (None, 16, 24, 3)
    split = load_dataset(photos, image_size=SHAPE.size, fit="crop").splits["test"]
    pixels = np.stack([fit_image(decode(path), SHAPE) for path in split.paths])
    np.testing.assert_array_equal(pixels, split.images[:])
    batches = TrainingBatches(split, 2, len(split), LEVELS["none"], "none", 0)
    (batch,) = [np.asarray(images) for images, _, _ in batches.epoch(0)]
    assert sorted(image.tobytes() for image in batch) == sorted(image.tobytes() for image in pixels)
    expected = network.predict(pixels.astype(np.float32), verbose=0)
    top1 = float((expected.argmax(1) == split.labels).mean())
    assert record["metrics"]["test"]["top1"] == pytest.approx(top1)

    report = edgeclf.compress(run, float32=True, int8=True, calibration=20, speed=False)
    assert {model.fit for model in report.models} == {"crop"}
    made = ModelFile.read(report.models[0].path).provenance
    assert made is not None
    assert made.preprocessing["fit"] == "crop"
    plain = next(model.path for model in report.models if model.recipe == "float32")
    predicted = edgeclf.predict(plain, split.paths)
    for found, probabilities in zip(predicted.predictions, expected, strict=True):
        assert {score.index: pytest.approx(score.probability, abs=1e-5) for score in found.labels} == dict(
            enumerate(map(float, probabilities))
        )
    measured = edgeclf.bench(plain, data=photos, baseline=run / "model.keras", runs=5)
    assert measured.baseline is not None
    assert measured.baseline.top1 == pytest.approx(top1)
    assert (measured.models[0].fit, measured.models[0].difference) == ("crop", 0)


@pytest.mark.slow
def test_a_finished_run_is_reported_again_and_keeps_its_fit(run: Path, photos: Path) -> None:
    report = edgeclf.train(photos, CONFIG, out=run, resume=True)
    assert (report.image_size, report.fit) == ((16, 24), "crop")
    assert edgeclf.train(photos, TrainConfig(), out=run, resume=True) == report
    with pytest.raises(InputError, match=r"trained with image_size \[16, 24\], not 96; --resume cannot change it"):
        edgeclf.train(photos, TrainConfig(image_size=96), out=run, resume=True)
    with pytest.raises(InputError, match="trained with fit crop, not pad; --resume cannot change it"):
        edgeclf.train(photos, TrainConfig(fit="pad"), out=run, resume=True)
    with pytest.raises(InputError, match="the run was trained with the fit crop, got pad; leave --fit out"):
        edgeclf.compress(run, int8=True, fit="pad")


@pytest.mark.slow
def test_a_network_from_elsewhere_is_compressed_with_the_fit_that_is_given(
    run: Path, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "net.keras").write_bytes((run / "model.keras").read_bytes())
    settings = {"float32": True, "speed": False, "input_range": (0, 255)}
    report = edgeclf.compress(tmp_path / "net.keras", fit="crop", data=photos, out=tmp_path / "crop", **settings)
    (model,) = report.models
    assert (model.fit, edgeclf.inspect(model.path).fit) == ("crop", "crop")
    of_the_run = json.loads((run / "run.json").read_text())["metrics"]["validation"]["top1"]
    assert model.float_top1 == pytest.approx(of_the_run)
    measured = edgeclf.bench(
        next((tmp_path / "crop").glob("*.tflite")), data=photos, baseline=tmp_path / "net.keras", runs=5
    )
    assert measured.models[0].difference == 0
    assert any("by the fit crop, as they enter net-float32.tflite: assumed" in note for note in measured.notes)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [n for n, one in NETWORKS.items() if not one.any_size or n in ("resnet8", "mobilenet-v1")]
)
def test_networks_are_built_for_rectangular_inputs(name: str) -> None:
    multiple = NETWORKS[name].multiple
    size = tuple(multiple * math.ceil(side / multiple) for side in (64, 96))
    network = build_network(name, NetworkSettings(size, classes=3))
    assert (network.input_shape, network.output_shape) == ((None, *size, 3), (None, 3))


@pytest.mark.parametrize("name", [name for name, network in NETWORKS.items() if network.multiple > 1])
def test_each_side_is_a_multiple_of_what_the_network_needs(name: str) -> None:
    multiple = NETWORKS[name].multiple
    check_network(name, None, (8 * multiple, 5 * multiple))
    tall, wide = 8 * multiple, 5 * multiple + 1
    words = rf"image_size of {name} must be a multiple of {multiple}, got {wide}×{tall} \(width × height\)"
    with pytest.raises(InputError, match=words):
        check_network(name, None, (tall, wide))


@pytest.mark.slow
def test_a_rectangular_network_is_a_start(run: Path) -> None:
    network = tf_keras.models.load_model(run / "model.keras", compile=False)
    start = StartingPoint(network, "run", "resnet8", (16, 24))
    assert start.adapt_config(TrainConfig()).image_size == (16, 24)
    assert start.adapt_config(TrainConfig(image_size=64)).image_size == 64
    made = transfer(
        Pretrained(network, "run"), NetworkSettings((32, 16), classes=5), np.zeros((4, 32, 16, 3), np.uint8)
    )
    assert made.network.input_shape == (None, 32, 16, 3)
    assert "run was trained at 24×16 pixels and is used at 16×32" in made.notes


def test_resize_alone_stretches() -> None:
    pixels = photo(1, 40, 100)
    assert not np.array_equal(resize(pixels, 16, 24), fit_image(pixels, SHAPE))
