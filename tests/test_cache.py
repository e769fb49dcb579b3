from __future__ import annotations

import builtins
import contextlib
import io
import os
import pickle
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from photo_folders import make_folder, photo, write
from small_disk import small_file_system

from edgeclf.dataset import LoadReport, audit, cache, list_source, load_dataset, probe, reading
from edgeclf.dataset.near_duplicates import SIDE
from edgeclf.dataset.row_checksums import row_checksums
from edgeclf.dataset.row_files import lock_unused
from edgeclf.dataset.store_index import INDEX, StoreIndex
from edgeclf.errors import InputError, OutputError, RunFailedError
from edgeclf.image.decoding import load_image

LOAD = (
    "import sys; from edgeclf.dataset import load_dataset; print(load_dataset(sys.argv[1], image_size=64).fingerprint)"
)


@contextlib.contextmanager
def calls(module, name):
    """The arguments of each call of a function of a module, which is called all the same."""
    made = []
    with pytest.MonkeyPatch.context() as patch:
        real = getattr(module, name)
        patch.setattr(module, name, lambda *given: (made.append(given), real(*given))[1])
        yield made


def opened_paths(monkeypatch):
    """The paths of all files that are opened from now on."""
    opened = []
    for module, name in ((os, "open"), (io, "open"), (builtins, "open"), (cv2, "imread")):
        real = getattr(module, name)

        def spy(path, *given, real=real, **named):
            if not isinstance(path, int):
                opened.append(os.fspath(path))
            return real(path, *given, **named)

        monkeypatch.setattr(module, name, spy)
    return opened


class Recorder:
    """Progress that records its bars and lines."""

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
def settled(monkeypatch):
    """An hour passes between the last change of a file and its reading; a file's time of change cannot be set."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 3_600_000_000_000)


@pytest.fixture
def settled_pets(pets, settled):
    """Twenty photos whose files were not written just now."""
    return pets


def pixels(data):
    return {
        path: image for split in data.splits.values() for path, image in zip(split.paths, split.images, strict=True)
    }


def test_the_images_are_those_of_the_one_preprocessing(own_cache, pets):
    for path, image in pixels(load_dataset(pets, image_size=(20, 30))).items():
        np.testing.assert_array_equal(image, load_image(path, 20, 30))


def work_of(data):
    """(files read, images decoded) of a load."""
    return data.load.files_read, data.load.images_decoded


def test_a_second_load_reads_and_decodes_nothing(own_cache, settled_pets):
    first, second = Recorder(), Recorder()
    before = load_dataset(settled_pets, image_size=16, progress=first)
    after = load_dataset(settled_pets, image_size=16, progress=second)
    assert first.bars == ["Reading images"]
    assert second.bars == []
    assert before.load == LoadReport(20, 20, 20)
    assert after.load == LoadReport(20, 0, 0)
    assert after.fingerprint == before.fingerprint
    for name, split in before.splits.items():
        np.testing.assert_array_equal(split.images, after.splits[name].images)


def test_an_added_photo_alone_is_read_and_decoded(own_cache, settled_pets):
    load_dataset(settled_pets, image_size=16)
    new = write(settled_pets / "cat" / "new.png", photo(5000))
    again = Recorder()
    with calls(reading, "read_content") as read, calls(reading, "decode_bytes") as decoded:
        data = load_dataset(settled_pets, image_size=16, progress=again)
    assert [path for path, *_ in read] == [str(new)]
    assert len(decoded) == 1
    assert data.load == LoadReport(21, 1, 1)
    assert again.totals == [1]
    np.testing.assert_array_equal(pixels(data)[str(new)], load_image(new, 16, 16))


def test_a_renamed_class_is_neither_read_nor_decoded(own_cache, settled_pets):
    before = load_dataset(settled_pets, image_size=16)
    os.rename(settled_pets / "cat", settled_pets / "tiger")
    with calls(reading, "read_content") as read:
        after = load_dataset(settled_pets, image_size=16)
    assert not read
    assert work_of(after) == (0, 0)
    assert after.class_names == ("dog", "tiger")
    assert after.fingerprint != before.fingerprint
    for path, image in pixels(after).items():
        np.testing.assert_array_equal(image, load_image(path, 16, 16))
    assert work_of(load_dataset(settled_pets, image_size=16)) == (0, 0)


def test_a_moved_folder_is_neither_read_nor_decoded(own_cache, settled_pets, tmp_path):
    before = load_dataset(settled_pets, image_size=16)
    os.rename(settled_pets, tmp_path / "animals")
    after = load_dataset(tmp_path / "animals", image_size=16)
    assert work_of(after) == (0, 0)
    assert after.fingerprint == before.fingerprint


def test_a_photo_moved_to_another_class_is_read_and_not_decoded(own_cache, settled_pets):
    load_dataset(settled_pets, image_size=16)
    os.rename(settled_pets / "cat" / "000.png", settled_pets / "dog" / "moved.png")
    # its time of change is new, so only its content can show that it is the same
    assert work_of(load_dataset(settled_pets, image_size=16)) == (1, 0)


def test_another_size_decodes_again_and_another_set_shares_images(own_cache, settled_pets, tmp_path):
    load_dataset(settled_pets, image_size=16)
    assert work_of(load_dataset(settled_pets, image_size=(16, 17))) == (20, 20)
    part = tmp_path / "part"
    for name in ("cat", "dog"):
        (part / name).mkdir(parents=True)
        for number in range(5):
            shutil.copy(settled_pets / name / f"{number:03}.png", part / name / f"{number}.png")
    data = load_dataset(part, image_size=16)
    assert work_of(data) == (10, 0)
    for path, image in pixels(data).items():
        np.testing.assert_array_equal(image, load_image(path, 16, 16))


def test_equal_files_are_decoded_once(own_cache, tmp_path):
    folder = make_folder(tmp_path / "pets", {"cat": 4, "dog": 4})
    for number in range(30):
        shutil.copy(folder / "cat" / "000.png", folder / "cat" / f"copy{number}.png")
    assert work_of(load_dataset(folder, image_size=16)) == (38, 8)


def test_probing_loading_and_auditing_read_a_large_photo_once(own_cache, settled_pets, monkeypatch):
    large = cv2.resize(photo(1), (1600, 1200))
    path = write(settled_pets / "cat" / "large.jpg", large)
    opened = opened_paths(monkeypatch)
    listing = list_source(settled_pets)
    assert probe(listing).images == 21
    load_dataset(listing, image_size=SIDE)
    assert probe(listing).median_width == 64
    report = audit(listing)
    assert report.sizes.largest == (1200, 1600)
    assert opened.count(str(path)) == 1
    assert len([name for name in opened if name.endswith((".png", ".jpg"))]) == 21


def test_a_folder_is_walked_once(own_cache, settled_pets, monkeypatch):
    scanned = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (scanned.append(str(path)), real(path))[1])

    def of_the_source():
        return [path for path in scanned if path.startswith(str(settled_pets))]

    listing = list_source(settled_pets)
    walked = len(of_the_source())
    probe(listing)
    load_dataset(listing, image_size=16)
    audit(listing)
    assert walked == 3, "the folder and its two classes"
    assert len(of_the_source()) == walked


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
    assert work_of(load_dataset(moved, image_size=16)) == (20, 0), "the copies have the same contents"


def stored_bytes(cache_of):
    return sum(path.stat().st_size for path in cache_of.glob("images/*.rows"))


def assert_right(data, size):
    for path, image in pixels(data).items():
        np.testing.assert_array_equal(image, load_image(path, size, size))


def test_a_cut_row_file_is_noticed_and_its_lost_images_alone_are_decoded(own_cache, settled_pets):
    load_dataset(settled_pets, image_size=16)
    rows = next(own_cache.glob("images/*.rows"))
    os.truncate(rows, rows.stat().st_size - 100)
    data = load_dataset(settled_pets, image_size=16)
    assert work_of(data) == (1, 1)
    assert_right(data, 16)
    assert work_of(load_dataset(settled_pets, image_size=16)) == (0, 0)


def test_a_damaged_row_is_noticed_by_its_checksum(own_cache, settled_pets):
    load_dataset(settled_pets, image_size=16)
    rows = next(own_cache.glob("images/*.rows"))
    with open(rows, "r+b") as stream:
        for row in (3, 7):
            stream.seek(row * 16 * 16 * 3 + 5)
            stream.write(b"damage")
    os.utime(rows)
    data = load_dataset(settled_pets, image_size=16)
    assert work_of(data) == (2, 2)
    assert_right(data, 16)


@pytest.mark.parametrize("image_size", [16, (7, 9)])
def test_changed_pixels_are_noticed_though_size_and_time_of_the_file_are_the_same(own_cache, settled_pets, image_size):
    load_dataset(settled_pets, image_size=image_size)
    rows = next(own_cache.glob("images/*.rows"))
    before = rows.stat()
    size = before.st_size // 20
    with open(rows, "r+b") as stream:
        for place in (5, 3 * size, 20 * size - 1):  # in the first, the fourth and, as its last byte, the last image
            stream.seek(place)
            value = stream.read(1)[0]
            stream.seek(place)
            stream.write(bytes([value ^ 1]))
    os.utime(rows, ns=(before.st_atime_ns, before.st_mtime_ns))
    data = load_dataset(settled_pets, image_size=image_size)
    assert work_of(data) == (3, 3)
    for path, image in pixels(data).items():
        sides = (image_size, image_size) if isinstance(image_size, int) else image_size
        np.testing.assert_array_equal(image, load_image(path, *sides))
    assert work_of(load_dataset(settled_pets, image_size=image_size)) == (0, 0)


def test_exchanged_words_change_the_checksum_of_an_image():
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)
    sums = row_checksums(images)
    assert sums == [row_checksums(image[None])[0] for image in images]
    for changed in (images[:, ::-1], images[:, :, ::-1], 255 - images, np.roll(images, 3, axis=1)):
        assert not set(sums) & set(row_checksums(changed))


def test_an_empty_row_file_or_array_is_made_again(own_cache, settled_pets):
    load_dataset(settled_pets, image_size=16)
    os.truncate(next(own_cache.glob("images/*.rows")), 0)
    data = load_dataset(settled_pets, image_size=16)
    assert work_of(data) == (20, 20)
    assert_right(data, 16)
    right = load_dataset("digits", image_size=8).fingerprint
    shutil.rmtree(own_cache / "images")
    for suffix in ("npy", "json"):
        os.truncate(next(own_cache.glob(f"named/*.{suffix}")), 0)
        assert load_dataset("digits", image_size=8).fingerprint == right


def test_changed_pixels_of_a_named_set_are_noticed_and_it_is_made_again(own_cache):
    right = load_dataset("digits", image_size=8)
    shutil.rmtree(own_cache / "images")
    array = next(own_cache.glob("named/*.npy"))
    with open(array, "r+b") as stream:
        stream.seek(-100, os.SEEK_END)
        stream.write(b"\xaa")
    with pytest.raises(RunFailedError, match="digits: its pixels in the cache had changed; run the command again"):
        load_dataset("digits", image_size=8)
    again = load_dataset("digits", image_size=8)
    assert again.fingerprint == right.fingerprint
    np.testing.assert_array_equal(again.splits["test"].images[:], right.splits["test"].images[:])


def test_a_removed_row_file_is_made_again(own_cache, settled_pets):
    load_dataset(settled_pets, image_size=16)
    next(own_cache.glob("images/*.rows")).unlink()
    data = load_dataset(settled_pets, image_size=16)
    assert work_of(data) == (20, 20)
    assert_right(data, 16)


def test_damage_while_a_load_reads_photos_is_not_hidden_by_the_rows_it_adds(own_cache, settled_pets, monkeypatch):
    load_dataset(settled_pets, image_size=16)
    (rows,) = (own_cache / "images").glob("*.rows")
    write(settled_pets / "cat" / "new.png", photo(5000))
    real = reading.read_content

    def damage_then_read(path):
        if path.endswith("new.png"):
            os.truncate(rows, rows.stat().st_size - 2 * 16 * 16 * 3)
        return real(path)

    monkeypatch.setattr(reading, "read_content", damage_then_read)
    assert_right(load_dataset(settled_pets, image_size=16), 16)


def test_a_file_that_vanishes_after_listing_does_not_keep_its_double_from_being_read(own_cache, tmp_path, settled):
    folder = make_folder(tmp_path / "pets", {"cat": 20, "dog": 20})
    first, double = folder / "cat" / "a-first.png", folder / "cat" / "b-double.png"
    write(first, photo(5000))
    shutil.copy(first, double)
    load_dataset(folder, image_size=16)
    listing = list_source(folder)
    first.unlink()
    data = load_dataset(listing, image_size=17)
    assert [item.path for item in data.unreadable] == [str(first)]
    assert str(double) in [path for split in data.splits.values() for path in split.paths]
    assert_right(data, 17)


def test_a_photo_that_memory_did_not_suffice_for_is_decoded_next_time(own_cache, settled_pets, monkeypatch):
    real, failures = cv2.imdecode, []

    def run_out_of_memory(content, flags):
        if not failures:
            failures.append(cv2.error("Failed to allocate"))
            failures[0].code = cv2.Error.StsNoMem
            raise failures[0]
        return real(content, flags)

    monkeypatch.setattr(cv2, "imdecode", run_out_of_memory)
    (left_out,) = load_dataset(settled_pets, image_size=16).unreadable
    assert left_out.reason.startswith("not enough memory for ")
    again = load_dataset(settled_pets, image_size=16)
    assert (again.unreadable, work_of(again)) == ((), (1, 1))


def test_a_file_that_was_missing_when_listed_is_not_known_later(own_cache, tmp_path, settled):
    folder = make_folder(tmp_path / "pets", {"cat": 20, "dog": 20})
    listed = [(path.relative_to(folder), path.parent.name) for path in sorted(folder.rglob("*.png"))]
    late, never = folder / "cat" / "late.png", folder / "dog" / "never.png"
    lines = [f"{path},{label}" for path, label in listed] + ["cat/late.png,cat", "dog/never.png,dog"]
    (folder / "list.csv").write_text("\n".join(lines))
    listing = list_source(folder / "list.csv")
    write(late, photo(5000))
    assert [item.path for item in load_dataset(listing, image_size=16).unreadable] == [str(never)]
    late.unlink()
    missing = {item.path for item in load_dataset(folder / "list.csv", image_size=16).unreadable}
    assert missing == {str(late), str(never)}


def test_what_an_interrupted_writer_left_behind_does_not_count(own_cache, settled_pets):
    load_dataset(settled_pets, image_size=16)
    rows = next(own_cache.glob("images/*.rows"))
    with open(rows, "ab") as stream:
        stream.write(b"x" * 1000)
    write(settled_pets / "cat" / "new.png", photo(5000))
    data = load_dataset(settled_pets, image_size=16)
    assert work_of(data) == (1, 1)
    assert_right(data, 16)
    assert rows.stat().st_size == 21 * 16 * 16 * 3


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff" * 5000, "pages"])
def test_a_damaged_index_is_made_again(own_cache, settled_pets, damage):
    before = load_dataset(settled_pets, image_size=16)
    index = own_cache / "images" / INDEX
    if damage == "pages":  # its first page is that of an index, the others are not
        damage = index.read_bytes()[:4096] + b"\x55" * (index.stat().st_size - 4096)
    index.write_bytes(damage)
    after = load_dataset(settled_pets, image_size=16)
    assert after.fingerprint == before.fingerprint
    assert_right(after, 16)
    np.testing.assert_array_equal(
        pixels(before)[str(settled_pets / "cat" / "000.png")], load_image(settled_pets / "cat" / "000.png", 16, 16)
    )
    assert work_of(load_dataset(settled_pets, image_size=16)) == (0, 0)


def test_an_index_of_another_version_is_made_again(own_cache, settled_pets):
    load_dataset(settled_pets, image_size=16)
    with contextlib.closing(sqlite3.connect(own_cache / "images" / INDEX)) as index:
        index.execute("PRAGMA user_version = 99")
        index.execute("DROP TABLE rows")
        index.commit()
    assert_right(load_dataset(settled_pets, image_size=16), 16)


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


def test_a_copy_of_known_photos_is_loaded_from_a_cache_that_can_only_be_read(
    own_cache, settled_pets, tmp_path, monkeypatch
):
    load_dataset(settled_pets, image_size=16)
    copy = shutil.copytree(settled_pets, tmp_path / "copy")

    def refuse(self):
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(StoreIndex, "writing", refuse)
    data = load_dataset(copy, image_size=16)
    assert work_of(data) == (20, 0)
    assert_right(data, 16)
    with pytest.raises(OutputError, match="the cache cannot be written"):
        load_dataset(copy, image_size=17)


def test_a_full_disk_is_one_line_and_leaves_nothing(monkeypatch, pets, tmp_path):
    with small_file_system(tmp_path / "disk", "256k") as disk:
        monkeypatch.setenv("EDGECLF_CACHE", str(disk))
        with pytest.raises(RunFailedError, match=r"the disk is full \(the decoded images take 1 MB\)") as caught:
            load_dataset(pets, image_size=128)
        assert "\n" not in str(caught.value)
        assert "EDGECLF_CACHE" in str(caught.value)
        assert not stored_bytes(disk)
        assert not list(disk.glob("images/*-journal"))


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
        writer.write_facts({"any": 1})
    assert not dead.exists()
    assert cache.open_array(folder / "b.npy", (1, 2)) is not None


def days_pass(monkeypatch, days):
    now = time.time() + days * 86400
    monkeypatch.setattr(time, "time", lambda: now)


def test_images_that_were_not_used_for_a_month_leave(own_cache, settled_pets, tmp_path, monkeypatch):
    other = make_folder(tmp_path / "other", {"cat": 30, "dog": 30}, first_seed=100)
    load_dataset(settled_pets, image_size=16)
    load_dataset(other, image_size=16)
    days_pass(monkeypatch, cache.KEPT_DAYS - 1)
    assert work_of(load_dataset(settled_pets, image_size=16)) == (0, 0)
    assert stored_bytes(own_cache) == 80 * 16 * 16 * 3
    days_pass(monkeypatch, 2)
    write(settled_pets / "cat" / "new.png", photo(5000))
    data = load_dataset(settled_pets, image_size=16)
    assert work_of(data) == (1, 1)
    assert_right(data, 16)
    assert stored_bytes(own_cache) == 21 * 16 * 16 * 3
    assert work_of(load_dataset(other, image_size=16)) == (60, 60)


def test_files_that_the_index_does_not_name_leave(own_cache, settled_pets):
    load_dataset(settled_pets, image_size=16)
    killed, former = own_cache / "images" / "16x16-0123456789ab.rows", own_cache / "images" / "0123.npy"
    for path in (killed, former, former.with_suffix(".json")):
        path.write_bytes(b"x")
        os.utime(path, (time.time() - 40 * 86400,) * 2)
    write(settled_pets / "cat" / "new.png", photo(5000))
    load_dataset(settled_pets, image_size=16)
    assert sorted(path.suffix for path in (own_cache / "images").iterdir()) == [".rows", ".sqlite"]
    assert not killed.exists()


def test_images_in_use_do_not_leave(own_cache, settled_pets, tmp_path, monkeypatch):
    used = load_dataset(settled_pets, image_size=16)
    days_pass(monkeypatch, cache.KEPT_DAYS + 1)
    load_dataset(make_folder(tmp_path / "other", {"cat": 3, "dog": 3}, first_seed=100), image_size=16)
    assert stored_bytes(own_cache) == 26 * 16 * 16 * 3
    assert_right(used, 16)
    for view in [pickle.loads(pickle.dumps(split.images)) for split in used.splits.values()]:
        assert len(np.asarray(view)) == len(view)


def test_a_row_file_that_is_being_replaced_is_waited_for(own_cache, settled_pets):
    load_dataset(settled_pets, image_size=16)
    (rows,) = (own_cache / "images").glob("*.rows")
    loaded = []
    reader = threading.Thread(target=lambda: loaded.append(load_dataset(settled_pets, image_size=16)), daemon=True)
    with lock_unused(rows) as unused:
        assert unused
        reader.start()
        reader.join(0.5)
        assert not loaded
    reader.join(30)
    assert_right(loaded[0], 16)


def test_over_the_size_limit_the_least_recently_used_leave(own_cache, tmp_path, monkeypatch):
    sets = [make_folder(tmp_path / f"set{n}", {"cat": 50, "dog": 50}, first_seed=1000 * n) for n in range(3)]
    monkeypatch.setenv("EDGECLF_CACHE_GB", str(210 * 16 * 16 * 3 / 1e9))  # two sets and a little
    for number, folder in enumerate(sets[:2]):
        days_pass(monkeypatch, number)
        load_dataset(folder, image_size=16)
    days_pass(monkeypatch, 2)
    assert work_of(load_dataset(sets[0], image_size=16))[1] == 0
    days_pass(monkeypatch, 3)
    assert_right(load_dataset(sets[2], image_size=16), 16)
    assert stored_bytes(own_cache) <= 210 * 16 * 16 * 3
    assert work_of(load_dataset(sets[2], image_size=16))[1] == 0
    assert work_of(load_dataset(sets[0], image_size=16))[1] < 50, "used after the second set"


def test_other_sizes_of_the_same_photos_count_for_the_limit(own_cache, settled_pets, monkeypatch):
    row = 16 * 16 * 3
    monkeypatch.setenv("EDGECLF_CACHE_GB", str(50 * row / 1e9))
    for size in (16, 17, 18, 16):
        assert_right(load_dataset(settled_pets, image_size=size), size)
    assert stored_bytes(own_cache) <= 50 * row


def test_a_set_larger_than_the_limit_is_kept_whole(own_cache, settled_pets, monkeypatch):
    monkeypatch.setenv("EDGECLF_CACHE_GB", "0.000001")
    assert_right(load_dataset(settled_pets, image_size=16), 16)
    assert work_of(load_dataset(settled_pets, image_size=16)) == (0, 0)


@pytest.mark.parametrize("value", ["much", "0", "-1", "nan"])
def test_a_limit_that_is_no_number_is_named(own_cache, pets, monkeypatch, value):
    monkeypatch.setenv("EDGECLF_CACHE_GB", value)
    with pytest.raises(InputError, match=f"EDGECLF_CACHE_GB must be a number of gigabytes above 0, got '{value}'"):
        load_dataset(pets, image_size=16)


def test_the_platforms_cache_folder_is_the_default(monkeypatch):
    monkeypatch.delenv("EDGECLF_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    if sys.platform.startswith("linux"):
        assert cache.cache_folder() == Path("/somewhere/edgeclf")
    assert cache.cache_folder().name in ("edgeclf", "Cache")


def start_load(folder):
    return subprocess.Popen([sys.executable, "-c", LOAD, str(folder)], stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_processes_killed_while_filling_leave_nothing_that_counts(own_cache, tmp_path):
    folder = make_folder(tmp_path / "many", {"cat": 400, "dog": 400})
    chance = random.Random(4)
    for _ in range(10):
        shutil.rmtree(own_cache, ignore_errors=True)
        process = start_load(folder)
        deadline = time.time() + 60
        while not list(own_cache.rglob("*.rows")) and process.poll() is None and time.time() < deadline:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert_right(load_dataset(folder, image_size=64), 64)


@pytest.mark.slow
def test_a_killed_load_goes_on_where_it_was(own_cache, tmp_path):
    folder = make_folder(tmp_path / "many", {"cat": 60, "dog": 60})
    killed = (
        "import os, signal, sys; from edgeclf.dataset import image_store, load_dataset, reading\n"
        "reading._STORED_TOGETHER_BYTES = 20 * 64 * 64 * 3\n"
        "add, calls = image_store.ImageStore.add, []\n"
        "def counted(*given):\n"
        "    calls.append(add(*given))\n"
        "    if len(calls) == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "image_store.ImageStore.add = counted\n"
        "load_dataset(sys.argv[1], image_size=64)"
    )
    done = subprocess.run([sys.executable, "-c", killed, str(folder)], timeout=300)
    assert done.returncode == -signal.SIGKILL
    data = load_dataset(folder, image_size=64)
    assert data.load.images_decoded == 60, "three times twenty were stored"
    assert_right(data, 64)


@pytest.mark.slow
def test_processes_that_fill_the_store_at_once_agree(own_cache, tmp_path):
    folder = make_folder(tmp_path / "many", {"cat": 150, "dog": 150})
    processes = [start_load(folder) for _ in range(4)]
    printed = {process.communicate(timeout=300)[0].strip() for process in processes}
    data = load_dataset(folder, image_size=64)
    assert printed == {data.fingerprint}
    assert_right(data, 64)
    assert data.load.images_decoded == 0
    assert stored_bytes(own_cache) == 300 * 64 * 64 * 3, "each image once"
