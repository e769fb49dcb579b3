"""What photos start from by default: ImageNet weights by an announced download, the backbone, or scratch."""

from __future__ import annotations

import dataclasses
import hashlib
import http.client
import http.server
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from listener import Listener
from photo_folders import photo, write

pytest.importorskip("tensorflow")
import tf_keras

from edgeclf import train
from edgeclf.dataset import load_dataset, probe
from edgeclf.dataset.cache import cache_folder
from edgeclf.errors import InputError
from edgeclf.progress import SILENT
from edgeclf.training import starting
from edgeclf.training.backbone import find_backbone, load_backbone, save_backbone
from edgeclf.training.choosing import starts_to_try
from edgeclf.training.config import TrainConfig
from edgeclf.training.networks import NETWORKS, NetworkSettings
from edgeclf.training.networks.building import build_network
from edgeclf.training.starts import KerasDownload, ShippedBackbone

pytestmark = pytest.mark.slow


IMAGENET = starts_to_try(NETWORKS["mobilenet-v1"], None, 64)[0]
assert isinstance(IMAGENET, KerasDownload)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top, seed = tmp_path_factory.mktemp("photos"), 0
    for split in ("train", "validation"):
        for name in ("cat", "dog"):
            for number in range(4):
                seed += 1
                write(top / split / name / f"{number}.png", photo(seed, 80, 90))
    return top


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is served on loopback as if it were tf-keras' own address."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object, **named: object) -> None:
            super().__init__(*arguments, directory=str(folder), **named)  # type: ignore[arg-type, misc]

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        monkeypatch.setattr(urllib.request, "_opener", None)
        publish(monkeypatch, url=f"http://127.0.0.1:{serving.server_port}/{IMAGENET.file}")
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield folder
        serving.shutdown()


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECLF_CACHE", str(tmp_path / "cache"))


def publish(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    """Change where the weights are published, or their checksum."""
    network = NETWORKS["mobilenet-v1"]
    starts = tuple(
        dataclasses.replace(start, **changes)
        if isinstance(start, KerasDownload) and start.file == IMAGENET.file
        else start
        for start in network.starts
    )
    monkeypatch.setitem(NETWORKS, "mobilenet-v1", dataclasses.replace(network, starts=starts))


def published_weights(path: Path, alpha: float = 0.25) -> tf_keras.Model:
    published = tf_keras.applications.MobileNet((64, 64, 3), alpha=alpha, include_top=False, weights=None)
    published.save_weights(path)
    return published


def cached_file() -> Path:
    return cache_folder() / "weights" / IMAGENET.file


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def start(photos: Path, remarks: Listener) -> starting.StartingPoint:
    return starting.find_start(TrainConfig(image_size=64), probe(photos), trust_model=False, progress=remarks)


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("known", ["sha256", "md5", ""])
def test_the_download_is_announced_verified_and_cached(
    server: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, known: str
) -> None:
    served = server / IMAGENET.file
    published = published_weights(served)
    if known:
        publish(monkeypatch, checksum=f"{known}:{hashlib.new(known, served.read_bytes()).hexdigest()}")
    remarks = Listener()
    found = start(photos, remarks)
    assert found.origin == "tf-keras' ImageNet weights"
    assert "--weights FILE.tflite" in remarks.lines[0]
    assert "downloading ImageNet weights" in remarks.lines[1]
    assert found.network is not None
    for ours, theirs in zip(found.network.get_weights(), published.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    checksum = cached_file().with_name(f"{IMAGENET.file}.sha256").read_text()
    assert checksum == f"{sha256(served)}  {IMAGENET.file}\n"
    served.unlink()
    remarks = Listener()
    assert start(photos, remarks).origin == "tf-keras' ImageNet weights"
    assert remarks.lines == []
    dataset = load_dataset(photos, image_size=64)
    made = found.transfer(NetworkSettings(64, classes=2), dataset)
    assert made.network.output_shape == (None, 2)
    assert any("it was trained with an input of -1..1" in note for note in made.notes)
    # these weights were trained at 128 pixels, and built for the longer side
    wide = found.transfer(NetworkSettings((64, 48), classes=2), load_dataset(photos, image_size=(64, 48)))
    assert not any("was trained at" in note for note in wide.notes)


@pytest.mark.usefixtures("own_cache")
def test_a_download_that_is_something_else_is_not_kept(server: Path, photos: Path) -> None:
    (server / IMAGENET.file).write_text("<html>please log in</html>")
    remarks = Listener()
    assert start(photos, remarks).origin != starting.IMAGENET
    assert "(expected an HDF5 file, got bytes that begin with b'<html>please lo')" in remarks.lines[2]
    assert not cached_file().exists()


@pytest.mark.usefixtures("own_cache")
def test_weights_with_another_checksum_are_not_used(
    server: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published_weights(server / IMAGENET.file)
    expected = "0" * 64
    publish(monkeypatch, checksum=f"sha256:{expected}")
    remarks = Listener()
    assert start(photos, remarks).origin != starting.IMAGENET
    assert f"(it has SHA-256 {sha256(server / IMAGENET.file)}, expected {expected})" in remarks.lines[2]
    assert not cached_file().exists()


@pytest.mark.usefixtures("own_cache")
def test_weights_that_were_damaged_in_the_cache_are_downloaded_again(server: Path, photos: Path) -> None:
    published_weights(server / IMAGENET.file)
    start(photos, Listener())
    content = bytearray(cached_file().read_bytes())
    content[len(content) // 2] ^= 1
    cached_file().write_bytes(content)
    remarks = Listener()
    assert start(photos, remarks).origin == starting.IMAGENET
    assert f"expected {sha256(server / IMAGENET.file)}; it is removed" in remarks.lines[0]
    assert "downloading ImageNet weights" in remarks.lines[1]
    assert cached_file().read_bytes() == (server / IMAGENET.file).read_bytes()


@pytest.mark.usefixtures("own_cache")
def test_a_download_that_breaks_off_is_not_kept(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> object:
        raise http.client.IncompleteRead(b"\x89HDF", 2_000_000)

    monkeypatch.setattr(urllib.request, "urlopen", broken)
    remarks = Listener()
    assert start(photos, remarks).origin != starting.IMAGENET
    assert "the download failed (IncompleteRead" in remarks.lines[2]


@pytest.mark.usefixtures("own_cache")
def test_other_weights_in_the_cache_are_removed(photos: Path) -> None:
    cached_file().parent.mkdir(parents=True)
    published_weights(cached_file(), alpha=0.5)
    remarks = Listener()
    assert start(photos, remarks).origin != starting.IMAGENET
    assert "holds other weights than expected" in remarks.lines[0]
    assert not cached_file().exists()


@pytest.mark.usefixtures("own_cache", "server")
def test_without_a_download_the_shipped_backbone_is_taken(photos: Path) -> None:
    remarks = Listener()
    found = start(photos, remarks)
    assert found.origin == "edgeclf's backbone"
    assert any("the download failed" in line for line in remarks.lines)
    assert any("backbone" in line for line in remarks.lines[1:])
    assert not list(cache_folder().rglob("*.partial"))
    dataset = load_dataset(photos, image_size=64)
    made = found.transfer(NetworkSettings(64, classes=2), dataset)
    assert made.network.input_shape == (None, 64, 64, 3)
    assert made.network.output_shape == (None, 2)
    assert not any("was trained at" in note for note in made.notes)
    wide = found.transfer(NetworkSettings((64, 96), classes=2), load_dataset(photos, image_size=(64, 96)))
    assert "edgeclf's backbone was trained at 64×64 pixels and is used at 96×64" in wide.notes


@pytest.mark.usefixtures("own_cache", "server")
def test_without_either_a_warning_names_the_cost(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ShippedBackbone, "find", lambda start: None)
    remarks = Listener()
    found = start(photos, remarks)
    assert found.network is None
    assert found.notes == (starting.SCRATCH_COST,)
    assert remarks.lines[-1] == starting.SCRATCH_COST


def test_the_backbone_survives_its_file(tmp_path: Path) -> None:
    trained = build_network("mobilenet-v1", NetworkSettings(image_size=64, classes=10, width=0.25))
    save_backbone(trained, tmp_path / "backbone.npz")
    loaded = load_backbone("mobilenet-v1", tmp_path / "backbone.npz")
    for before, after in zip(trained.get_weights()[:-2], loaded.get_weights()[:-2], strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-6)


def test_the_features_of_the_shipped_backbone_differ_between_images() -> None:
    shipped = find_backbone("mobilenet-v1").load("mobilenet-v1", 64, SILENT)
    images = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3)).astype(np.float32)
    features = tf_keras.Model(shipped.input, shipped.layers[-2].output)(images)
    assert np.isfinite(features).all()
    assert (np.asarray(features).std(0) > 0).mean() > 0.5


def pretrained_file(path: Path, seed: int = 0, size: int = 16) -> Path:
    tf_keras.utils.set_random_seed(seed)
    build_network("resnet8", NetworkSettings(image_size=size, classes=3)).save(path)
    return path


def test_a_run_is_resumed_from_what_it_began_with_or_not_at_all(photos: Path, tmp_path: Path) -> None:
    config = TrainConfig(weights=str(pretrained_file(tmp_path / "net.h5")), epochs=1, batch_size=4)
    report = train(photos, config, out=tmp_path / "run")
    (tmp_path / "net.h5").unlink()
    assert train(photos, config, out=tmp_path / "run", resume=True) == report, "a report needs no weights"
    record = tmp_path / "run" / "run.json"
    text = record.read_text()
    assert '"origin": "net.h5"' in text
    record.write_text(text.replace('"finished": true', '"finished": false'))
    pretrained_file(tmp_path / "net.h5", seed=1)
    with pytest.raises(
        InputError, match="the run began from net.h5, and these weights are missing now or have changed"
    ):
        train(photos, config, out=tmp_path / "run", resume=True)
    pretrained_file(tmp_path / "net.h5")
    assert train(photos, config, out=tmp_path / "run", resume=True).metrics == report.metrics


@pytest.mark.usefixtures("own_cache", "server")
def test_a_run_from_imagenet_is_not_resumed_from_elsewhere(photos: Path) -> None:
    earlier = {"origin": starting.IMAGENET, "sha256": "0" * 64}
    config = TrainConfig(image_size=64)
    with pytest.raises(InputError, match="the run began from tf-keras' ImageNet weights"):
        starting.find_start(config, probe(photos), trust_model=False, progress=Listener(), earlier=earlier)
    scratch = {"origin": None, "sha256": None}
    remarks = Listener()
    found = starting.find_start(config, probe(photos), trust_model=False, progress=remarks, earlier=scratch)
    assert found.network is None
    assert remarks.lines == [], "what began from scratch asks for no download"


@pytest.mark.parametrize("setting", ["l1", "l2", "progressive"])
def test_settings_for_scratch_are_refused_before_anything_is_read(photos: Path, tmp_path: Path, setting: str) -> None:
    file = str(pretrained_file(tmp_path / "net.h5"))
    value = True if setting == "progressive" else 1e-4
    for weight in (file, "auto"):
        config = TrainConfig(weights=weight, image_size=64, **{setting: value})
        with pytest.raises(InputError, match=f"{setting} can be set for training from scratch only"):
            train(photos, config, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_progressive_needs_a_network_for_any_size(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="progressive needs a network for images of any size; cnn is built for one size"
    ):
        train(photos, TrainConfig(model="cnn", weights="none", progressive=True), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("known", "used"), [(30, 32), (100, 96), (64, 64), (5, 8)])
def test_a_size_that_is_no_multiple_of_8_becomes_the_nearest(known: int, used: int) -> None:
    source = tf_keras.Sequential([tf_keras.layers.InputLayer((8, 8, 3))])
    found = starting.StartingPoint(source, "net.h5", "net", known)
    assert found.adapt_config(TrainConfig()).image_size == used
    assert found.adapt_config(TrainConfig(image_size=48)).image_size == 48
