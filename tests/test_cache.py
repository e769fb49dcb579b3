from __future__ import annotations

import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from photo_folders import make_folder, photo, write
from small_disk import small_file_system

from edgeclf.dataset import cache, load_dataset
from edgeclf.errors import OutputError, RunFailedError
from edgeclf.image.decoding import load_image

LOAD = (
    "import sys; from edgeclf.dataset import load_dataset; print(load_dataset(sys.argv[1], image_size=64).fingerprint)"
)


class Recorder:
    """Progress that remembers which bars were opened and what was said."""

    def __init__(self):
        self.bars, self.totals, self.lines = [], [], []

    def task(self, description, total):
        self.bars.append(description)
        self.totals.append(total)
        return self

    def info(self, line):
        self.lines.append(line)

    warn = info

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def advance(self, steps=1, note=""):
        pass


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    folder = tmp_path / "own cache"
    monkeypatch.setenv("EDGECLF_CACHE", str(folder))
    return folder


@pytest.fixture
def pets(tmp_path):
    """Twenty photos."""
    return make_folder(tmp_path / "pets", {"cat": 10, "dog": 10})


@pytest.fixture
def settled_pets(pets):
    """Twenty photos whose files were not written just now; their time of change cannot be set, so this waits."""
    age(pets)
    time.sleep(2.1)
    return pets


def age(folder, seconds=3600):
    for path in folder.rglob("*.png"):
        os.utime(path, (time.time() - seconds,) * 2)


def pixels(data):
    return {
        path: image for split in data.splits.values() for path, image in zip(split.paths, split.images, strict=True)
    }


def test_the_images_are_those_of_the_one_preprocessing(own_cache, pets):
    for path, image in pixels(load_dataset(pets, image_size=(20, 30))).items():
        np.testing.assert_array_equal(image, load_image(path, 20, 30))


def test_a_second_load_reads_and_decodes_nothing(own_cache, settled_pets):
    first, second = Recorder(), Recorder()
    before = load_dataset(settled_pets, image_size=16, progress=first)
    after = load_dataset(settled_pets, image_size=16, progress=second)
    assert first.bars == ["Reading files", "Decoding images"]
    assert second.bars == []
    assert after.fingerprint == before.fingerprint
    for name, split in before.splits.items():
        np.testing.assert_array_equal(split.images, after.splits[name].images)


def test_an_added_photo_alone_is_read(own_cache, settled_pets):
    load_dataset(settled_pets, image_size=16)
    write(settled_pets / "cat" / "new.png", photo(5000))
    again = Recorder()
    assert "new.png" in " ".join(pixels(load_dataset(settled_pets, image_size=16, progress=again)))
    assert again.bars == ["Reading files", "Decoding images"]
    assert again.totals == [1, 21]


def test_a_changed_photo_is_noticed_even_at_the_same_size(own_cache, settled_pets):
    before = load_dataset(settled_pets, image_size=16)
    path = settled_pets / "cat" / "003.png"
    content = bytearray(path.read_bytes())
    other = (settled_pets / "dog" / "003.png").read_bytes()
    path.write_bytes(other + b"\0" * max(0, len(content) - len(other)))
    os.utime(path, (time.time() - 3600,) * 2)
    after = load_dataset(settled_pets, image_size=16)
    assert after.fingerprint != before.fingerprint
    np.testing.assert_array_equal(pixels(after)[str(path)], load_image(path, 16, 16))


def test_a_photo_written_twice_at_once_is_noticed(own_cache, tmp_path):
    folder = make_folder(tmp_path / "fresh", {"cat": 4, "dog": 4}, suffix=".bmp")
    before = load_dataset(folder, image_size=16)
    path = folder / "cat" / "000.bmp"
    stamp = path.stat()
    write(path, photo(777))  # the same size, since BMP is not compressed
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert load_dataset(folder, image_size=16).fingerprint != before.fingerprint


def test_fingerprint_and_split_depend_on_neither_place_nor_size(own_cache, pets, tmp_path):
    moved = tmp_path / "elsewhere" / "animals"
    shutil.copytree(pets, moved)
    here, there = load_dataset(pets, image_size=16), load_dataset(moved, image_size=24)
    assert here.fingerprint == there.fingerprint
    for name, split in here.splits.items():
        assert split.hashes == there.splits[name].hashes
    again = Recorder()
    load_dataset(moved, image_size=16, progress=again)
    assert "Decoding images" not in again.bars, "the copies have the same contents"


def test_a_cut_array_is_made_again(own_cache, pets):
    before = pixels(load_dataset(pets, image_size=16))
    array = next(own_cache.glob("images/*.npy"))
    os.truncate(array, array.stat().st_size - 100)
    after = pixels(load_dataset(pets, image_size=16))
    for path, image in before.items():
        np.testing.assert_array_equal(image, after[path])


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff\xfe"])
def test_damaged_facts_are_made_again(own_cache, pets, damage):
    before = load_dataset(pets, image_size=16).fingerprint
    for facts in own_cache.rglob("*.json"):
        facts.write_bytes(damage)
    assert load_dataset(pets, image_size=16).fingerprint == before


def test_images_are_views_that_read_what_is_asked_for(own_cache, pets):
    images = load_dataset(pets, image_size=16).splits["train"].images
    whole = np.asarray(images)
    assert whole.dtype == np.uint8
    assert images.shape == whole.shape
    assert images.nbytes == whole.nbytes
    np.testing.assert_array_equal(images[3], whole[3])
    np.testing.assert_array_equal(images[-1], whole[-1])
    np.testing.assert_array_equal(images[2:9:2], whole[2:9:2])
    np.testing.assert_array_equal(images[np.array([4, 1, 1])], whole[[4, 1, 1]])
    np.testing.assert_array_equal(images[np.arange(len(images)) % 2 == 0], whole[::2])
    np.testing.assert_array_equal(np.stack(list(images)), whole)
    with pytest.raises(IndexError):
        images[len(images)]
    images[0][:] = 7  # a copy: nothing else changes
    np.testing.assert_array_equal(images[0], whole[0])


def test_images_travel_to_other_processes_by_name(own_cache, tmp_path):
    folder = make_folder(tmp_path / "pets", {"cat": 60, "dog": 60})
    images = load_dataset(folder, image_size=64).splits["train"].images
    message = pickle.dumps(images)
    assert len(message) < images.nbytes / 100
    np.testing.assert_array_equal(pickle.loads(message), images)


def test_a_folder_that_cannot_be_written_names_the_remedy(monkeypatch, pets, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("EDGECLF_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(OutputError, match=r"the cache cannot be written \(not a directory\); set EDGECLF_CACHE"):
        load_dataset(pets, image_size=16)


def test_a_full_disk_is_one_line_and_leaves_nothing(monkeypatch, pets, tmp_path):
    with small_file_system(tmp_path / "disk", "256k") as disk:
        monkeypatch.setenv("EDGECLF_CACHE", str(disk))
        with pytest.raises(RunFailedError, match=r"the disk is full \(the decoded images take 1 MB\)") as caught:
            load_dataset(pets, image_size=128)
        assert "\n" not in str(caught.value)
        assert "EDGECLF_CACHE" in str(caught.value)
        assert not list(disk.glob("images/*.npy"))
        assert not list(disk.glob("images/.*"))


def test_what_killed_processes_left_is_removed_and_what_living_ones_hold_is_not(own_cache):
    folder = own_cache / "images"
    folder.mkdir(parents=True)
    dead = folder / ".a.npy.123.partial"
    dead.write_bytes(b"x")
    os.utime(dead, (time.time() - 600,) * 2)
    with cache.array_writer(folder / "b.npy", (1, 2)) as writer:
        alive = next(folder.glob(".b.npy.*.partial"))
        os.utime(alive, (time.time() - 600,) * 2)
        cache.remove_leftovers(folder)
        assert alive.exists()
        writer.append(np.zeros((1, 2), np.uint8))
        writer.facts({"any": 1})
    assert not dead.exists()
    assert cache.open_array(folder / "b.npy", (1, 2)) is not None


def test_what_nobody_opened_for_a_month_is_removed(own_cache, pets):
    load_dataset(pets, image_size=16)
    old = next(own_cache.glob("images/*.json"))
    os.utime(old, (time.time() - (cache.KEPT_DAYS + 1) * 86400,) * 2)
    load_dataset(pets, image_size=17)
    assert len(list(own_cache.glob("images/*.npy"))) == 1
    assert not old.exists()


def test_the_platforms_cache_folder_is_the_default(monkeypatch):
    monkeypatch.delenv("EDGECLF_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    if sys.platform.startswith("linux"):
        assert cache.cache_folder() == Path("/somewhere/edgeclf")
    assert cache.cache_folder().name in ("edgeclf", "Cache")


@pytest.mark.slow
def test_processes_killed_while_building_leave_nothing_that_counts(own_cache, tmp_path):
    folder = make_folder(tmp_path / "many", {"cat": 400, "dog": 400})
    chance = random.Random(4)
    for _ in range(10):
        process = subprocess.Popen([sys.executable, "-c", LOAD, str(folder)], stdout=subprocess.DEVNULL)
        deadline = time.time() + 60
        while not list(own_cache.rglob(".*.partial")) and process.poll() is None and time.time() < deadline:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.wait()
        for array in own_cache.glob("images/*.npy"):
            array.unlink()  # so that the next one builds again
    data = load_dataset(folder, image_size=64)
    for path, image in list(pixels(data).items())[::40]:
        np.testing.assert_array_equal(image, load_image(path, 64, 64))


@pytest.mark.slow
def test_processes_that_build_the_same_cache_at_once_agree(own_cache, tmp_path):
    folder = make_folder(tmp_path / "many", {"cat": 150, "dog": 150})
    processes = [
        subprocess.Popen([sys.executable, "-c", LOAD, str(folder)], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    printed = {process.communicate(timeout=300)[0].strip() for process in processes}
    assert printed == {load_dataset(folder, image_size=64).fingerprint}
    assert not list(own_cache.rglob(".*.partial"))
