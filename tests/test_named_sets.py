from __future__ import annotations

import gzip
import sys
import urllib.request

import numpy as np
import pytest

from edgeclf.dataset import NAMED, list_source, load_dataset, probe
from edgeclf.errors import DataError, MissingExtraError
from edgeclf.training.run_record import locate


class Said:
    def __init__(self):
        self.lines = []

    def info(self, line):
        self.lines.append(line)

    def warn(self, line):
        self.lines.append(line)

    def task(self, description, total):
        from edgeclf.progress import SILENT

        return SILENT.task(description, total)


@pytest.fixture
def empty_home(tmp_path, monkeypatch):
    """No cache, nothing downloaded before, and no network."""
    home = tmp_path / "home"
    (home / ".keras").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("EDGECLF_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    # urllib reads these once a process, and would go on believing them in the tests that follow.
    monkeypatch.setattr(urllib.request, "_opener", None)
    return home


def test_the_known_names():
    assert sorted(NAMED) == ["cifar10", "cifar100", "digits", "fashion_mnist", "mnist"]
    for named in NAMED.values():
        assert len(set(named.class_names)) == len(named.class_names)
    assert [len(NAMED[name].class_names) for name in ("cifar10", "cifar100", "fashion_mnist")] == [10, 100, 10]


def test_digits():
    sklearn_sets = pytest.importorskip("sklearn.datasets")
    data = load_dataset("digits", image_size=8)
    assert data.class_names == tuple("0123456789")
    scans = sklearn_sets.load_digits()
    for split in data.splits.values():
        for path, label, image in list(zip(split.paths, split.labels, split.images, strict=True))[::50]:
            number = int(path.removeprefix("digits/"))
            assert label == scans.target[number]
            assert (image == image[..., :1]).all()
            np.testing.assert_allclose(image[..., 0], scans.images[number] * 255 / 16, atol=0.51)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 1264, "validation": 262, "test": 271}
    # the recorded fingerprint: other pixels or another split would make models incomparable with the published figures
    assert data.fingerprint == "4924bd7c1b5e6fe218c0edfd4d8c9a83"
    assert probe("digits").images == 1797


def test_without_scikit_learn_the_install_command_is_named(empty_home, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(
        MissingExtraError, match=r'scikit-learn, which is not installed; run: pip install "edgeclf\[train\]"'
    ):
        load_dataset("digits", image_size=8)


def test_a_folder_named_like_a_set_is_meant_when_it_is_a_path(tmp_path, monkeypatch):
    from photo_folders import make_folder

    pytest.importorskip("sklearn")
    make_folder(tmp_path / "digits", {"cat": 5, "dog": 5})
    monkeypatch.chdir(tmp_path)
    assert load_dataset("./digits", image_size=8).class_names == ("cat", "dog")
    assert len(load_dataset("digits", image_size=8).class_names) == 10
    assert any("not the folder beside it, which is ./digits" in note for note in list_source("digits").notes)
    # a run records which of the two it was
    for source, recorded in (("digits", "digits"), ("./digits", str(tmp_path / "digits"))):
        assert locate(load_dataset(source, image_size=8)) == recorded


@pytest.mark.slow
def test_a_download_is_announced_and_offline_the_place_of_the_file_is_named(empty_home):
    pytest.importorskip("tf_keras")
    said = Said()
    with pytest.raises(DataError) as caught:
        load_dataset("cifar10", image_size=32, progress=said)
    place = str(empty_home / ".keras" / "datasets" / "cifar-10-batches-py.tar.gz")
    assert said.lines == [
        "cifar10: downloading 171 MB once from https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz to "
        + str(empty_home / ".keras" / "datasets")
    ]
    assert "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz" in str(caught.value)
    assert place in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_files_put_there_by_hand_are_read_and_classes_sorted(empty_home, capsys):
    pytest.importorskip("tf_keras")
    folder = empty_home / ".keras" / "datasets" / "fashion-mnist"
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (300, 28, 28), dtype=np.uint8)
    labels = np.arange(300, dtype=np.uint8) % 10
    for part, some in (("train", slice(0, 250)), ("t10k", slice(250, 300))):
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(16) + pixels[some].tobytes()))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes(8) + labels[some].tobytes()))
    said = Said()
    data = load_dataset("fashion_mnist", image_size=28, progress=said)
    assert said.lines == []
    assert capsys.readouterr().out == ""
    assert data.class_names == tuple(sorted(NAMED["fashion_mnist"].class_names))
    test = data.splits["test"]
    assert [int(path.split("/")[1]) for path in test.paths] == list(range(250, 300))
    for label, own, image in zip(test.labels, labels[250:], test.images, strict=True):
        assert data.class_names[label] == NAMED["fashion_mnist"].class_names[own]
        assert image.shape == (28, 28, 3)
    np.testing.assert_array_equal(test.images[7][..., 2], pixels[257])
    assert len(data.splits["train"]) + len(data.splits["validation"]) == 250
