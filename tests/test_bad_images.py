"""Files that are no good photos, as users have them: each is read rightly or named with a reason, none is dropped."""

from __future__ import annotations

import os
import shutil

import cv2
import numpy as np
import pytest
from photo_folders import make_folder, make_splits, photo, write

from edgeclf.dataset import audit, load_dataset
from edgeclf.errors import DataError

PillowImage = pytest.importorskip("PIL.Image")


def cut(path, fraction=0.6):
    os.truncate(path, int(path.stat().st_size * fraction))


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "photos", {"cat": 8, "dog": 8}, suffix=".jpg")


def image_of(data, name):
    for split in data.splits.values():
        for path, image in zip(split.paths, split.images, strict=True):
            if os.path.basename(path) == name:
                return image
    raise AssertionError(f"{name} is in no split")


def damage(folder):
    """Five files that cannot be read."""
    cat = folder / "cat"
    cut(cat / "000.jpg")
    (cat / "001.jpg").write_bytes(b"")
    (cat / "002.jpg").write_text("this is no photo")
    cut(write(cat / "cut.png", photo(71)))
    (cat / "broken.webp").write_bytes(b"RIFF\x00\x00\x00\x00WEBPVP8 ")
    return {"000.jpg", "001.jpg", "002.jpg", "cut.png", "broken.webp"}


def test_each_unreadable_file_is_named_with_its_reason(folder):
    bad = damage(folder)
    said = []

    class Warned:
        def warn(self, line):
            said.append(line)

        def info(self, line):
            said.append(line)

        def task(self, description, total):
            from edgeclf.progress import SILENT

            return SILENT.task(description, total)

    data = load_dataset(folder, image_size=16, progress=Warned())
    assert {os.path.basename(u.path) for u in data.unreadable} == bad
    assert all(u.reason and "\n" not in u.reason for u in data.unreadable)
    assert sum(map(len, data.splits.values())) == 13
    assert len(said) == 1
    assert "5 of 18 images cannot be read and are left out" in said[0]
    again = load_dataset(folder, image_size=16)
    assert again.unreadable == data.unreadable, "the cache remembers them"
    report = audit(folder)
    assert set(report.unreadable) == set(data.unreadable)


def test_the_same_bad_content_twice_is_counted_twice(folder):
    for name in ("a.jpg", "b.jpg"):
        (folder / "dog" / name).write_bytes(b"bad")
    assert len(load_dataset(folder, image_size=16).unreadable) == 2


def test_unusual_but_readable_files_become_rgb_and_are_listed(folder):
    cat = folder / "cat"
    red = np.zeros((40, 60, 3), np.uint8)
    red[...] = (200, 30, 40)
    red[:20, :30] = (30, 200, 40)  # top left
    pil = PillowImage.fromarray(red)
    pil.convert("CMYK").save(cat / "cmyk.jpg", quality=95)
    pil.convert("RGBA").save(cat / "alpha.png")
    pil.convert("P").save(cat / "palette.png")
    pil.convert("L").save(cat / "gray.png")
    pil.save(cat / "animated.gif", save_all=True, append_images=[PillowImage.fromarray(255 - red)])
    exif = PillowImage.Exif()
    exif[0x0112] = 6  # the camera was turned: show it turned by 90 degrees
    pil.save(cat / "turned.jpg", exif=exif, quality=95)
    cv2.imwrite(str(cat / "deep.png"), red[..., ::-1].astype(np.uint16) * 257)
    pil.save(cat / "png-inside.jpg", format="PNG")
    data = load_dataset(folder, image_size=(40, 60))
    assert not data.unreadable
    for name in ("cmyk.jpg", "alpha.png", "palette.png", "animated.gif", "deep.png", "png-inside.jpg"):
        difference = np.abs(image_of(data, name).astype(int) - red)
        assert np.median(difference) <= 12, name
    turned = image_of(data, "turned.jpg")
    assert turned[5, 50, 1] > 150, "green is top right now"
    assert turned[5, 5, 0] > 150
    gray = image_of(data, "gray.png")
    assert (gray == gray[..., :1]).all()
    odd = {os.path.basename(entry.path) for entry in audit(folder).odd}
    assert odd >= {"cmyk.jpg", "alpha.png", "animated.gif", "turned.jpg", "deep.png", "png-inside.jpg"}


def test_an_empty_folder_and_a_folder_without_images(tmp_path):
    with pytest.raises(DataError, match="no images found; expected a folder for each class"):
        load_dataset(tmp_path, image_size=16)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "list.txt").write_text("x")
    with pytest.raises(DataError, match="no images found"):
        load_dataset(tmp_path, image_size=16)


def test_one_class(tmp_path):
    with pytest.raises(DataError, match=r"only one class \('cat'\); expected .* at least two classes"):
        load_dataset(make_folder(tmp_path, {"cat": 5}), image_size=16)


def test_nothing_readable(tmp_path):
    folder = make_folder(tmp_path, {"cat": 3, "dog": 3}, suffix=".jpg")
    for path in folder.rglob("*.jpg"):
        path.write_bytes(b"no photo")
    with pytest.raises(DataError, match=r"not one of its 6 images can be read, e\.g\. .*cat/000\.jpg: "):
        load_dataset(folder, image_size=16)


def test_a_class_without_usable_image_in_a_split_is_named(tmp_path):
    folder = make_splits(tmp_path, ["train", "val", "test"], classes=("cat", "dog", "eel"))
    for path in (folder / "test" / "dog").iterdir():
        cut(path)
    shutil.rmtree(folder / "val" / "eel")
    with pytest.raises(DataError, match=r"class 'dog' has no usable image in test \(and 1 more like it\)"):
        load_dataset(folder, image_size=16)


def test_a_split_without_images_is_named_once(tmp_path):
    folder = make_splits(tmp_path, ["train", "test"], classes=("cat", "dog", "eel"))
    shutil.rmtree(folder / "test")
    (folder / "test").mkdir()
    with pytest.raises(DataError, match="its split test has no usable image; add some, or remove the split$"):
        load_dataset(folder, image_size=16)


def test_a_class_folder_without_images_is_named(tmp_path):
    folder = make_folder(tmp_path, {"cat": 5, "dog": 5, "eel": 0})
    with pytest.raises(DataError, match="class 'eel' has no usable image"):
        load_dataset(folder, image_size=16)


@pytest.mark.parametrize(("count", "fails"), [(1, True), (2, True), (3, False)])
def test_three_images_of_a_class_are_enough(tmp_path, count, fails):
    folder = make_folder(tmp_path, {"cat": count, "dog": 9})
    if fails:
        with pytest.raises(DataError, match=f"class 'cat' .* it has {count} different images?, at least 3 are needed"):
            load_dataset(folder, image_size=16)
    else:
        sizes = load_dataset(folder, image_size=16).split_sizes()
        assert [split["per_class"]["cat"] for split in sizes.values()] == [1, 1, 1]


def test_copies_of_one_photo_are_not_several(tmp_path):
    folder = make_folder(tmp_path, {"cat": 1, "dog": 9})
    for number in range(5):
        shutil.copy(folder / "cat" / "000.png", folder / "cat" / f"copy{number}.png")
    with pytest.raises(DataError, match="it has 1 different image, at least 3 are needed"):
        load_dataset(folder, image_size=16)
