from __future__ import annotations

import os
import shutil
import unicodedata

import numpy as np
import pytest
from photo_folders import make_folder, make_splits, photo, write

from edgeclf.dataset import load_dataset
from edgeclf.dataset.loading import list_source
from edgeclf.errors import DataError, InputError, UnknownNameError
from edgeclf.progress import SILENT


def names(listing):
    return sorted((item.label, item.split, os.path.basename(item.path)) for item in listing.items)


def test_class_folders_are_split_by_content_with_sorted_classes(tmp_path):
    folder = make_folder(tmp_path / "pets", {"dog": 30, "Cat": 20, "ant": 10})
    data = load_dataset(folder, image_size=(16, 24))
    assert data.name == "pets"
    assert data.class_names == ("Cat", "ant", "dog")
    assert list(data.splits) == ["train", "validation", "test"]
    assert sum(map(len, data.splits.values())) == 60
    train = data.splits["train"]
    assert train.images.shape == (len(train), 16, 24, 3)
    assert train.labels.dtype == np.int64
    assert len(train.paths) == len(train.hashes) == len(train)
    for path, label in zip(train.paths, train.labels, strict=True):
        assert os.path.basename(os.path.dirname(path)) == data.class_names[label]
    assert sum(sum(counts["per_class"].values()) for counts in data.split_sizes().values()) == 60


@pytest.mark.parametrize("validation", ["validation", "val", "valid", "VAL"])
def test_split_folders_are_used_as_they_are(tmp_path, validation):
    folder = make_splits(tmp_path, ["train", validation, "test"], per_class=3)
    data = load_dataset(folder, image_size=8)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 6, "validation": 6, "test": 6}
    for name, split in data.splits.items():
        own = validation if name == "validation" else name
        assert all(f"{os.sep}{own}{os.sep}" in path for path in split.paths)


def test_a_missing_validation_is_split_off_train_and_a_missing_test_stays_missing(tmp_path):
    folder = make_splits(tmp_path, ["train"], per_class=40)
    data = load_dataset(folder, image_size=8)
    assert set(data.splits) == {"train", "validation"}
    assert 2 <= len(data.splits["validation"]) <= 20
    assert not set(data.splits["train"].hashes) & set(data.splits["validation"].hashes)


def test_a_class_may_be_called_train(tmp_path):
    folder = make_folder(tmp_path, {"train": 8, "plane": 8, "test": 8})
    assert load_dataset(folder, image_size=8).class_names == ("plane", "test", "train")


def test_a_folder_among_the_classes_that_is_named_otherwise_is_noted(tmp_path):
    make_folder(tmp_path, {"cat": 12, "dog": 12, "test": 12, "unlabeled": 12})
    data = load_dataset(tmp_path, image_size=8)
    assert data.class_names == ("cat", "dog", "test", "unlabeled")
    for name in ("test", "unlabeled"):
        assert f"{tmp_path}/{name}: is taken for a class; move it elsewhere if it is none" in data.notes
    assert len(data.notes) == 2


def test_two_folders_for_one_split_are_refused(tmp_path):
    folder = make_splits(tmp_path, ["train", "val", "valid"])
    with pytest.raises(DataError, match="val/ and valid/ both stand for validation; keep one"):
        list_source(folder)


def test_a_test_folder_without_train_is_refused(tmp_path):
    with pytest.raises(DataError, match="has test and val, but no train folder"):
        list_source(make_splits(tmp_path, ["test", "val"]))


def test_what_is_no_photo_is_passed_over_and_named(tmp_path):
    folder = make_folder(tmp_path, {"cat": 4, "dog": 4})
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "cat" / ".DS_Store").write_bytes(b"x")
    (folder / "cat" / "._000.png").write_bytes(b"x")
    (folder / "dog" / "notes.txt").write_text("x")
    (folder / "dog" / "Thumbs.db").write_bytes(b"x")
    make_folder(folder / ".git", {"objects": 1})
    write(folder / "stray.png", photo(99))
    listing = list_source(folder)
    assert len(listing.items) == 8
    assert listing.class_names == ("cat", "dog")
    reasons = {os.path.relpath(odd.path, folder): odd.reason for odd in listing.odd}
    assert reasons == {
        ".DS_Store": "hidden file; passed over",
        ".git": "hidden folder; passed over",
        "stray.png": "outside any class folder; passed over",
        os.path.join("cat", ".DS_Store"): "hidden file; passed over",
        os.path.join("cat", "._000.png"): "hidden file; passed over",
        os.path.join("dog", "notes.txt"): "not an image by its name (.txt); passed over",
        os.path.join("dog", "Thumbs.db"): "not an image by its name (.db); passed over",
    }


def test_folders_inside_a_class_belong_to_it(tmp_path):
    folder = make_folder(tmp_path, {"cat/2023/summer": 2, "cat/2024": 2, "dog": 4})
    assert [item.label for item in list_source(folder).items] == ["cat"] * 4 + ["dog"] * 4


def test_a_link_that_leads_back_up_ends(tmp_path):
    folder = make_folder(tmp_path, {"cat": 3, "dog": 3})
    (folder / "cat" / "again").symlink_to(folder / "cat", target_is_directory=True)
    listing = list_source(folder)
    assert len(listing.items) == 6
    assert "read already" in listing.odd[0].reason


def test_a_link_to_the_folder_above_brings_no_other_class_in(tmp_path):
    folder = make_folder(tmp_path, {"cat": 3, "dog": 3})
    (folder / "cat" / "up").symlink_to("..", target_is_directory=True)
    listing = list_source(folder)
    assert [item.label for item in listing.items] == ["cat"] * 3 + ["dog"] * 3
    assert [odd.reason for odd in listing.odd] == ["link to a folder above it; passed over"]


@pytest.mark.parametrize("name", ["t-shirt / top".replace("/", "\u2044"), "great white", "Кошка", "猫", "a:b", "naïve"])
def test_class_names_in_any_script_with_spaces_and_slashes(tmp_path, name):
    folder = make_folder(tmp_path, {name: 6, "dog": 6})
    assert set(load_dataset(folder, image_size=8).class_names) == {unicodedata.normalize("NFC", name), "dog"}


def test_two_forms_of_the_same_letter_are_one_class(tmp_path):
    folder = tmp_path
    for split, form in (("train", "NFC"), ("validation", "NFD")):
        make_folder(folder / split, {unicodedata.normalize(form, "café"): 3, "bar": 3}, first_seed=ord(split[0]))
    assert load_dataset(folder, image_size=8).class_names == ("bar", "café")


@pytest.mark.parametrize("name", ["two\nlines", "tab\tbed"])
def test_a_class_name_that_a_labels_file_cannot_hold_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="control character"):
        list_source(make_folder(tmp_path, {name: 3, "dog": 3}))


def test_a_file_name_that_is_not_utf8_is_shown_escaped(tmp_path):
    folder = make_folder(tmp_path, {"cat": 3, "dog": 3})
    os.rename(folder / "cat" / "000.png", os.fsencode(folder / "cat") + b"/caf\xe9.png")
    data = load_dataset(folder, image_size=8)
    paths = [path for split in data.splits.values() for path in split.paths]
    assert any("\\xe9" in path or "\\udce9" in path for path in paths)
    assert "".join(paths).encode()


def test_a_manifest_with_splits(tmp_path):
    make_splits(tmp_path / "photos", ["a", "b"], per_class=3)
    rows = ["Path,Label,Split"]
    for folder, split in (("a", "train"), ("b", "val")):
        rows += [
            f"photos/{folder}/{name}/{number:03}.png,{name}s/all,{split}"
            for name in ("cat", "dog")
            for number in range(3)
        ]
    manifest = tmp_path / "pets.csv"
    manifest.write_text("\r\n".join(rows), "utf-8-sig")
    data = load_dataset(manifest, image_size=8)
    assert data.name == "pets"
    assert data.class_names == ("cats/all", "dogs/all")
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 6, "validation": 6}


@pytest.mark.parametrize(("last", "splits"), [("test", ("train", "validation", "test")), ("b", ())])
def test_a_column_of_another_title_states_splits_where_all_of_it_does(tmp_path, last, splits):
    make_folder(tmp_path, {"cat": 3, "dog": 3})
    parts = ("train", "val", last)
    rows = [f"{name}/{number:03}.png,{name},{parts[number]}" for name in ("cat", "dog") for number in range(3)]
    (tmp_path / "all.csv").write_text("\n".join(["path,label,subset", *rows]))
    assert list_source(tmp_path / "all.csv").splits == splits


def test_a_line_without_a_split_does_not_hide_those_of_all_others(tmp_path):
    make_folder(tmp_path, {"cat": 12, "dog": 12})
    names = [f"{name}/{number:03}.png" for name in ("cat", "dog") for number in range(12)]
    rows = [f"{name},{name[:3]},{'test' if place % 3 == 0 else 'train'}" for place, name in enumerate(names)]
    rows[5] = f"{names[5]},{names[5][:3]},tset"
    (tmp_path / "all.csv").write_text("\n".join(["path,label,subset", *rows]))
    with pytest.raises(DataError, match=r"line 7: split must be train, validation .* or test, got 'tset'"):
        list_source(tmp_path / "all.csv")


def test_images_that_have_two_labels_are_noted(tmp_path):
    make_folder(tmp_path, {"cat": 10, "dog": 10})
    assert not load_dataset(tmp_path, image_size=8).list_notes()
    shutil.copy(tmp_path / "cat" / "003.png", tmp_path / "dog" / "twin.png")
    notes = load_dataset(tmp_path, image_size=8).list_notes()
    assert any(note.startswith("2 files hold images that have several labels") for note in notes), notes


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("header", [True, False])
def test_a_manifest_without_splits_is_split_by_content(tmp_path, separator, header):
    folder = make_folder(tmp_path, {"cat": 10, "dog": 10})
    lines = [f"{name}/{number:03}.png{separator}{name}" for name in ("cat", "dog") for number in range(10)]
    manifest = tmp_path / "all.csv"
    manifest.write_text("\n".join((["path" + separator + "label"] if header else []) + lines))
    data = load_dataset(manifest, image_size=8)
    assert data.fingerprint == load_dataset(folder, image_size=8).fingerprint


@pytest.mark.parametrize(
    "head", ["sep=;\npath;label\n", "\n\npath;label\n", "path;label;" + ";".join(map(str, range(120))) + "\n"]
)
def test_the_tables_of_other_programs_are_read(tmp_path, head):
    folder = make_folder(tmp_path, {"cat": 10, "dog": 10})
    lines = [f"{name}/{number:03}.png;{name}" for name in ("cat", "dog") for number in range(10)]
    (tmp_path / "all.csv").write_text(head + "\n".join(lines))
    data = load_dataset(tmp_path / "all.csv", image_size=8)
    assert data.fingerprint == load_dataset(folder, image_size=8).fingerprint


@pytest.mark.parametrize(("listed", "there"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_letter_is_found_in_its_other_form(tmp_path, listed, there):
    folder = make_folder(tmp_path, {"cat": 4, "dog": 4})
    (folder / "cat" / "000.png").rename(folder / "cat" / unicodedata.normalize(there, "café.png"))
    names = [unicodedata.normalize(listed, "café"), "001", "002", "003"]
    lines = [f"cat/{name}.png,cat" for name in names] + [f"dog/{number:03}.png,dog" for number in range(4)]
    (folder / "all.csv").write_text("\n".join(["path,label", *lines]))
    assert load_dataset(folder / "all.csv", image_size=8).unreadable == ()


def test_a_name_that_no_file_can_have_is_unreadable(tmp_path):
    folder = make_folder(tmp_path, {"cat": 4, "dog": 4})
    lines = [f"{name}/{number:03}.png,{name}" for name in ("cat", "dog") for number in range(4)]
    (folder / "all.csv").write_text("\n".join(["path,label", *lines, "cat/\0.png,cat"]))
    (only,) = load_dataset(folder / "all.csv", image_size=8).unreadable
    assert "no file" in only.reason or "null" in only.reason


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; expected lines path,label"),
        ("name,kind\nx,y", "line 1: expected the header path,label"),
        ("path,label\ncat/000.png", "line 2: expected a path and a label, got 'cat/000.png'"),
        ("path,label\ncat/000.png,", "line 2: the class name is empty"),
        ("path,label,split\ncat/000.png,cat,tests", "line 2: split must be train, validation .* got 'tests'"),
        ("path,label,split\ncat/000.png,cat,train\ncat/001.png,cat,", "line 3: has no split, but others have"),
        ("path,label,split\ncat/000.png,cat,test\n", "no line has the split train"),
        ("path,label\ncat/000.png,cat, black\n", "line 2: has more cells than line 1: 'black'; put a path or a label"),
        ("cat/000.png,cat\ncat/001.png,cat,train\n", "line 2: has more cells than line 1: 'train'"),
    ],
)
def test_a_bad_manifest_names_the_line(tmp_path, text, message):
    manifest = make_folder(tmp_path, {"cat": 3}) / "bad.csv"
    manifest.write_text(text)
    with pytest.raises(DataError, match=message):
        list_source(manifest)


def test_a_manifest_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "old.csv").write_bytes("path,label\ncafé.png,café".encode("latin-1"))
    with pytest.raises(DataError, match="is not UTF-8"):
        list_source(tmp_path / "old.csv")


def test_files_that_a_manifest_names_and_nobody_has_are_unreadable(tmp_path):
    folder = make_folder(tmp_path, {"cat": 4, "dog": 4})
    lines = [f"{name}/{number:03}.png,{name}" for name in ("cat", "dog") for number in range(5)]
    (folder / "all.csv").write_text("\n".join(lines))
    data = load_dataset(folder / "all.csv", image_size=8)
    assert [(os.path.basename(u.path), u.reason) for u in data.unreadable] == [
        ("004.png", "no such file or directory")
    ] * 2


def test_an_unknown_name_gets_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match="unknown folder or data set 'cifar01'; did you mean 'cifar10'"):
        load_dataset("cifar01", image_size=8)
    with pytest.raises(DataError, match=r"nowhere/at/all: does not exist"):
        load_dataset("nowhere/at/all", image_size=8)
    with pytest.raises(DataError, match=r"photos\.csv: does not exist"):
        load_dataset("photos.csv", image_size=8)
    with pytest.raises(DataError, match=r"expected a folder, a \.csv manifest or one of cifar10"):
        load_dataset(write(tmp_path / "one.png", photo(1)), image_size=8)


@pytest.mark.parametrize("source", [".", "./", "../pets", "../pets/"])
def test_the_way_a_folder_is_written_does_not_matter(tmp_path, monkeypatch, source):
    folder = make_folder(tmp_path / "pets", {"cat": 5, "rat": 5, "t": 5})
    monkeypatch.chdir(folder)
    listing = list_source(source)
    assert listing.name == "pets"
    assert [item.key for item in listing.items] == [item.key for item in list_source(folder).items]
    assert {item.key for item in listing.items} == {str(path.relative_to(folder)) for path in folder.rglob("*.png")}
    assert all(os.path.isfile(item.path) for item in listing.items)
    assert load_dataset(source, image_size=8).fingerprint == load_dataset(folder, image_size=8).fingerprint


@pytest.mark.parametrize("size", [0, -3, (8, 0), 1.5, True])
def test_a_bad_image_size_is_named(tmp_path, size):
    with pytest.raises(InputError, match="image_size must be"):
        load_dataset(tmp_path, image_size=size)


class Warned:
    """A progress that remembers its warnings."""

    def __init__(self):
        self.warnings = []

    def task(self, description, total):
        return SILENT.task(description, total)

    def info(self, line):
        pass

    def warn(self, line):
        self.warnings.append(line)


def test_a_stray_image_among_the_classes_of_train_leaves_the_splits_alone(tmp_path):
    folder = make_splits(tmp_path, ["train", "val"], per_class=3)
    write(folder / "train" / "stray.png", photo(1))
    listing = list_source(folder)
    assert listing.class_names == ("cat", "dog")
    assert listing.splits == ("train", "validation")
    assert [(os.path.relpath(odd.path, folder), odd.reason) for odd in listing.odd] == [
        (os.path.join("train", "stray.png"), "outside any class folder; passed over")
    ]
    warned = Warned()
    assert len(load_dataset(folder, image_size=8, progress=warned).splits["train"]) == 6
    assert warned.warnings == [f"1 file passed over, e.g. {folder}/train/stray.png (outside any class folder)"]


def test_files_that_are_no_images_by_their_names_are_said(tmp_path):
    folder = make_folder(tmp_path, {"cat": 4, "dog": 4})
    for name in ("one.raw", "two.raw"):
        (folder / "dog" / name).write_bytes(b"?")
    (folder / ".DS_Store").write_bytes(b"?")
    warned = Warned()
    load_dataset(folder, image_size=8, progress=warned)
    assert warned.warnings == [f"2 files passed over, e.g. {folder}/dog/one.raw (not an image by its name (.raw))"]


def test_without_images_the_error_says_what_was_there(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.raw").write_bytes(b"?")
    with pytest.raises(DataError, match=r"no images found \(2 files passed over, e\.g\. .*1\.raw"):
        load_dataset(tmp_path, image_size=8)


def test_what_a_manifest_names_is_an_image_by_whatever_name(tmp_path):
    folder = make_folder(tmp_path, {"cat": 4, "dog": 4})
    os.rename(folder / "cat" / "000.png", folder / "cat" / "scan.0001")
    (folder / "dog" / "000.png").write_bytes(b"?")
    os.rename(folder / "dog" / "000.png", folder / "dog" / "notes.txt")
    lines = ["path,label"] + [f"{path.relative_to(folder)},{path.parent.name}" for path in folder.glob("*/*")]
    (folder / "all.csv").write_text("\n".join(lines))
    data = load_dataset(folder / "all.csv", image_size=8)
    assert sum(map(len, data.splits.values())) == 7
    assert [os.path.basename(u.path) for u in data.unreadable] == ["notes.txt"]
