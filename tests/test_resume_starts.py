"""An interrupted run is resumed, whatever it began from, and ends like an undisturbed one."""

from __future__ import annotations

import hashlib
import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photo_folders import photo, write

pytest.importorskip("tensorflow")
import tf_keras

from edgeclf import train
from edgeclf.dataset import probe
from edgeclf.errors import InputError
from edgeclf.progress import SILENT
from edgeclf.training.backbone import find_backbone
from edgeclf.training.choosing import starts_to_try
from edgeclf.training.config import TrainConfig
from edgeclf.training.networks import NETWORKS, NetworkSettings
from edgeclf.training.networks.building import build_network
from edgeclf.training.starting import BACKBONE, IMAGENET, StartingPoint, find_start
from edgeclf.training.starts import KerasDownload

pytestmark = pytest.mark.slow

ZOO = Path(__file__).resolve().parents[1] / "models"


class Interrupted(Exception):
    pass


class InterruptSecondEpoch:
    def on_epoch_end(self, epoch: int, metrics: Mapping[str, float]) -> bool | None:
        if epoch == 2:
            raise Interrupted
        return None


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("photos")
    for place, split in enumerate(("train", "validation")):
        for kind, name in enumerate(("cat", "dog")):
            for number in range(4):
                write(top / split / name / f"{number}.png", photo(100 * place + 10 * kind + number, 64, 64))
    return top


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> object:
        raise OSError("offline")

    monkeypatch.setenv("EDGECLF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(urllib.request, "urlopen", fails)


def weights_of(folder: Path) -> list[np.ndarray]:
    return list(tf_keras.models.load_model(folder / "model.keras", compile=False).get_weights())


def interrupt_and_resume(photos: Path, folder: Path, **settings: Any) -> Any:
    settings = {"epochs": 2, "batch_size": 4, "image_size": 32, "mixed_precision": False, **settings}
    with pytest.raises(Interrupted):
        train(photos, out=folder, callbacks=[InterruptSecondEpoch()], **settings)
    report = train(photos, out=folder, resume=True, **settings)
    assert report.epochs == 2
    return report


def test_from_the_shipped_backbone(photos: Path, tmp_path: Path) -> None:
    interrupt_and_resume(photos, tmp_path / "run", model="mobilenet-v1")
    start = json.loads((tmp_path / "run" / "run.json").read_text())["start"]
    assert (start["origin"], start["covers"]) == (BACKBONE, "features")


def test_from_a_file_and_from_a_run_folder(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_network("resnet8", NetworkSettings(image_size=16, classes=3)).save(tmp_path / "net.h5")
    interrupt_and_resume(photos, tmp_path / "first", weights=str(tmp_path / "net.h5"), image_size=16)
    monkeypatch.chdir(tmp_path / "first")
    interrupt_and_resume(photos, tmp_path / "second", weights=".", image_size=16)
    assert json.loads((tmp_path / "second" / "run.json").read_text())["start"]["origin"] == "first"


def test_from_a_tflite_file(photos: Path, tmp_path: Path) -> None:
    report = interrupt_and_resume(photos, tmp_path / "run", weights=str(ZOO / "cifar10" / "cifar10-int8.tflite"))
    assert report.image_size == 32
    assert json.loads((tmp_path / "run" / "run.json").read_text())["start"]["origin"] == "cifar10-int8.tflite"
    assert any("9 batch normalizations put back" in note for note in report.notes)
    assert any(" dropped: it has " in note for note in report.notes)


def test_with_the_first_layers_frozen(photos: Path, tmp_path: Path) -> None:
    tf_keras.utils.set_random_seed(3)
    begun = build_network("resnet8", NetworkSettings(image_size=16, classes=3))
    begun.save(tmp_path / "net.h5")
    settings = {"weights": str(tmp_path / "net.h5"), "image_size": 16, "frozen_fraction": 0.5}
    interrupt_and_resume(photos, tmp_path / "run", **settings)
    train(photos, out=tmp_path / "whole", epochs=2, batch_size=4, mixed_precision=False, **settings)
    resumed, whole = weights_of(tmp_path / "run"), weights_of(tmp_path / "whole")
    for one, other in zip(resumed, whole, strict=True):
        np.testing.assert_array_equal(one, other)
    same = [np.array_equal(one, other) for one, other in zip(begun.get_weights()[:-2], whole[:-2], strict=True)]
    # ResNet-8 has nine convolutions, each with the four vectors of its batch normalization: four of them are frozen.
    assert same[: same.index(False)] == [True] * (4 * 5), same
    assert not any(same[same.index(False) :])
    with pytest.raises(InputError, match="frozen_fraction 0.5 has no effect from scratch"):
        train(photos, out=tmp_path / "scratch", weights="none", frozen_fraction=0.5)
    assert not (tmp_path / "scratch").exists()


def test_a_run_of_an_earlier_version_goes_on_as_it_began(photos: Path, tmp_path: Path) -> None:
    build_network("resnet8", NetworkSettings(image_size=16, classes=3)).save(tmp_path / "net.h5")
    settings = {"weights": str(tmp_path / "net.h5"), "epochs": 2, "batch_size": 4, "image_size": 16}
    with pytest.raises(Interrupted):
        train(photos, out=tmp_path / "run", callbacks=[InterruptSecondEpoch()], **settings)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["config"]["norm_rates"] is True
    unknown = ("head_first", "first_layer_rate", "norm_rates", "batch_norm_momentum", "weight_average", "quick")
    for name in unknown:
        del record["config"][name]
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    train(photos, out=tmp_path / "run", resume=True, **settings)
    config = json.loads((tmp_path / "run" / "run.json").read_text())["config"]
    assert not any(config[name] for name in unknown)


def test_from_imagenet_weights_in_the_cache(photos: Path) -> None:
    imagenet = starts_to_try(NETWORKS["mobilenet-v1"], None, 32)[0]
    assert isinstance(imagenet, KerasDownload)
    cached = imagenet.path
    cached.parent.mkdir(parents=True)
    tf_keras.applications.MobileNet((32, 32, 3), alpha=0.25, include_top=False, weights=None).save_weights(cached)
    config, seen = TrainConfig(model="mobilenet-v1", image_size=32), probe(photos)
    began = find_start(config, seen, trust_model=False, progress=SILENT)
    assert began.origin == IMAGENET
    again = find_start(config, seen, trust_model=False, progress=SILENT, earlier=began.identity())
    assert again.identity() == began.identity()
    cached.unlink()
    with pytest.raises(InputError, match="the run began from tf-keras' ImageNet weights"):
        find_start(config, seen, trust_model=False, progress=SILENT, earlier=began.identity())


def test_what_is_not_taken_over_does_not_belong_to_the_start() -> None:
    shipped = find_backbone("mobilenet-v1")
    first, second = (shipped.load("mobilenet-v1", 64, SILENT) for _ in range(2))
    assert not np.array_equal(first.get_weights()[-2], second.get_weights()[-2]), "two heads are drawn"
    one, other = StartingPoint(first, BACKBONE), StartingPoint(second, BACKBONE)
    assert one.identity() == other.identity()
    assert one.is_start_of(other.identity())
    # As earlier versions recorded it: over all weights, so that only the name can be compared.
    assert one.is_start_of({"origin": BACKBONE, "sha256": "0" * 64})
    assert not one.is_start_of({"origin": IMAGENET, "sha256": "0" * 64})
    assert not one.is_start_of({"origin": None, "sha256": None})
    changed = first.get_weights()
    changed[0] = changed[0] + 1
    first.set_weights(changed)
    assert not one.is_start_of(other.identity())


def test_the_record_of_an_earlier_version_is_compared_as_it_was_made() -> None:
    network = build_network("resnet8", NetworkSettings(image_size=16, classes=3))
    start = StartingPoint(network, "net.h5")
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(w).tobytes() for w in network.get_weights())).hexdigest()
    assert start.is_start_of({"origin": "net.h5", "sha256": digest})
    assert not start.is_start_of({"origin": "net.h5", "sha256": "0" * 64})


def test_a_start_that_is_gone_is_named_and_may_have_been_moved(photos: Path, tmp_path: Path) -> None:
    build_network("resnet8", NetworkSettings(image_size=16, classes=3)).save(tmp_path / "net.h5")
    settings = {"epochs": 2, "batch_size": 4, "weights": str(tmp_path / "net.h5")}
    with pytest.raises(Interrupted):
        train(photos, out=tmp_path / "run", callbacks=[InterruptSecondEpoch()], **settings)
    (tmp_path / "moved").mkdir()
    (tmp_path / "net.h5").rename(tmp_path / "moved" / "net.keras.h5")
    with pytest.raises(InputError, match=r"net\.h5: cannot be read \(no such file or folder\)"):
        train(photos, out=tmp_path / "run", resume=True, **settings)
    settings["weights"] = str(tmp_path / "moved" / "net.keras.h5")
    assert train(photos, out=tmp_path / "run", resume=True, **settings).epochs == 2


def test_from_a_file_that_is_named_like_a_network_and_has_dropout_inside(photos: Path, tmp_path: Path) -> None:
    tf_keras.utils.set_random_seed(0)
    layers = tf_keras.layers
    network = tf_keras.Sequential(
        [
            layers.Input((32, 32, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, activation="relu"),
            layers.Dropout(0.3),
            layers.Conv2D(8, 3, activation="relu"),
            layers.SpatialDropout2D(0.2),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5, activation="softmax"),
        ]
    )
    network.save(tmp_path / "cnn.h5")
    settings: dict[str, Any] = {"weights": str(tmp_path / "cnn.h5"), "head_first": False}
    interrupt_and_resume(photos, tmp_path / "interrupted", **settings)
    settings |= {"epochs": 2, "batch_size": 4, "image_size": 32, "mixed_precision": False, "quick": False}
    train(photos, out=tmp_path / "undisturbed", **settings)
    for found, expected in zip(weights_of(tmp_path / "interrupted"), weights_of(tmp_path / "undisturbed"), strict=True):
        np.testing.assert_array_equal(found, expected)
