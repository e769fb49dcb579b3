"""At which level of a folder the classes lie; only names are looked at, so the images are empty files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from photo_folders import make_splits

from edgeclf.dataset import audit, list_source, load_dataset
from edgeclf.dataset.folder_names import split_role
from edgeclf.dataset.sources import Listing
from edgeclf.errors import DataError
from edgeclf.image.folder_names import is_data_folder


def make(top: Path, *folders: str, images: int = 3) -> Path:
    """Make the folders, each with images; one that ends in a slash stays empty."""
    for folder in folders:
        path = top / folder
        path.mkdir(parents=True, exist_ok=True)
        for number in range(0 if folder.endswith("/") else images):
            (path / f"{number}.jpg").touch()
    return top


def each(splits: Iterable[str], classes: Iterable[str] = ("cat", "dog", "eel")) -> list[str]:
    return [f"{split}/{name}" for split in splits for name in classes]


def found(listing: Listing) -> tuple[tuple[str, ...], tuple[str, ...], int]:
    """Classes, splits and number of images."""
    return listing.class_names, listing.splits, len(listing.items)


PETS = ("cat", "dog", "eel")
TWO = ("train", "test")


@pytest.mark.parametrize(
    ("splits", "roles"),
    [
        (("Training", "Testing"), TWO),
        (("seg_train", "seg_test"), TWO),
        (("train_set", "test_set"), TWO),
        (("TrainSet", "ValSet", "TestSet"), ("train", "validation", "test")),
        (("training", "validation"), ("train", "validation")),
        (("train", "Testing"), TWO),
        (("train", "dev", "eval"), ("train", "validation", "test")),
        (("training_set", "test_set"), TWO),
        (("train2017", "val2017"), ("train", "validation")),
        (("Training",), ("train",)),
        (("archive/Training", "archive/Testing"), TWO),
        (("archive/archive/train", "archive/archive/test"), TWO),
        (("my-training-data/train", "my-training-data/test"), TWO),
        (("train/train", "train/test"), TWO),
        (("seg_train/seg_train", "seg_test/seg_test"), TWO),
        (("testset/train", "testset/val"), ("train", "validation")),
    ],
)
def test_splits_are_recognized_by_name_and_likeness_and_noted(
    tmp_path: Path, splits: tuple[str, ...], roles: tuple[str, ...]
) -> None:
    listing = list_source(make(tmp_path, *each(splits)))
    assert found(listing) == (PETS, roles, 9 * len(splits))
    assert listing.notes
    for item in listing.items:
        assert item.label == os.path.basename(os.path.dirname(item.path))
        assert split_role(Path(item.key).parts[-3]) == item.split


@pytest.mark.parametrize(
    ("folders", "classes", "splits"),
    [
        (PETS, PETS, ()),
        (each(["train", "val", "test"]), PETS, ("train", "validation", "test")),
        (("train", "test", "plane"), ("plane", "test", "train"), ()),
        (("train station", "test tube"), ("test tube", "train station"), ()),
        (("cat/2023", "cat/2024", "dog/2023", "dog/2024"), ("cat", "dog"), ()),
        (("cat/images", "dog/images"), ("cat", "dog"), ()),
        (("training/2023", "tram/2023", "training/2024", "tram/2024"), ("training", "tram"), ()),
        (("cat/left", "cat/right", "dog"), ("cat", "dog"), ()),
        (("train/a", "train/b", "test/a", "test/b", "notes/"), ("a", "b"), ("train", "test")),
    ],
)
def test_what_has_the_layout_already_is_listed_without_a_note(
    tmp_path: Path, folders: tuple[str, ...], classes: tuple[str, ...], splits: tuple[str, ...]
) -> None:
    listing = list_source(make(tmp_path, *folders))
    assert found(listing)[:2] == (classes, splits)
    assert listing.notes == ()


def test_a_wrapper_is_looked_through_and_noted_and_what_systems_left_is_not_data(tmp_path: Path) -> None:
    folder = make(tmp_path, *(f"photos/photos/{name}" for name in PETS), "__MACOSX/photos", "photos/@eaDir/a.jpg")
    (folder / "README.txt").touch()
    listing = list_source(folder)
    assert found(listing) == (PETS, (), 9)
    assert listing.notes == (f"{folder}: the data lie in {folder}/photos/photos, the only folder inside",)
    assert [os.path.relpath(odd.path, folder) for odd in listing.odd] == ["__MACOSX", "photos/@eaDir", "README.txt"]
    assert (listing.describe_passed_over() or "").startswith("1 file and 2 folders passed over, e.g. ")


def test_classes_that_differ_in_capitals_alone_are_noted(tmp_path: Path) -> None:
    assert list_source(make(tmp_path / "a", "cat", "dog")).notes == ()
    folder = make(tmp_path / "b", "cat", "dog")
    if not (folder / "CAT").exists():  # of file systems that ignore capitals there is nothing to note
        assert list_source(make(folder, "Cat")).notes == (
            "classes 'Cat' and 'cat' differ in capitals alone; where they mean one, name them alike",
        )


def test_class_names_that_no_model_file_can_hold_are_refused_before_training(tmp_path: Path) -> None:
    table = tmp_path / "photos.csv"
    table.write_text(f"path,label\na.jpg,cat\nb.jpg,{'x' * 1001}\n")
    with pytest.raises(
        DataError, match=r"line 3: the class name 'x+'\.\.\. has 1,001 characters; expected at most 1,000"
    ):
        list_source(table)


def test_folders_that_cannot_be_listed_count_as_folders(tmp_path: Path) -> None:
    folder = make(tmp_path, "cat", "dog")
    (folder / "cat" / "again").symlink_to(folder / "cat")
    described = list_source(folder).describe_passed_over() or ""
    assert described.startswith("1 folder passed over, e.g. ")


def test_images_that_are_to_be_predicted_may_lie_beside_the_splits(tmp_path: Path) -> None:
    folder = make(tmp_path, *each(["seg_train/seg_train", "seg_test/seg_test"]), "seg_pred/seg_pred")
    listing = list_source(folder)
    assert found(listing) == (PETS, ("train", "test"), 18)
    assert [odd.reason for odd in listing.odd] == ["folder beside the splits; passed over"]


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (each(["first", "second"]), "first/ and second/ hold the same folders .* name them train, validation and test"),
        (each(["Testing", "Validation"]), "has Testing and Validation, but no train folder"),
        (each(["train", "training"]), "train/ and training/ both stand for train; keep one"),
        (each(["Training", "Testing", "more"]), "more/ holds the same classes as Training/, but .* does not state"),
        (("cat", "dog", *each(["test"])), "cat/ lies beside test/ and inside it, so classes and splits are mixed"),
        ((*each(["train", "test"]), "dog"), "dog/ lies beside .* hold a class of this name; move its images into"),
        (
            (*each(["Training", "Testing"]), "bird"),
            "bird/ holds images and lies beside Testing/ and Training/; if it is a class",
        ),
        (("train", "test"), "train/ and test/|test/ and train/ .* hold images without class folders"),
        ((*each(["train"]), "test"), "test: holds images, but no class folders"),
        ((*each(["Training"]), "Testing"), "Testing: holds images, but no class folders"),
        (("cat", "dog", "."), "3 images .* lie beside the class folders"),
        ((*each(["train", "test"]), "train"), "3 images .* lie beside the class folders"),
        (("train/cat", "train/dog", *each(["train/test"])), "cat/ lies beside test/ and inside it"),
    ],
)
def test_mixed_levels_are_an_error_with_the_likely_intention(
    tmp_path: Path, folders: tuple[str, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        list_source(make(tmp_path, *folders))


def test_the_same_photos_have_one_fingerprint_in_either_layout(tmp_path: Path) -> None:
    usual = load_dataset(make_splits(tmp_path / "usual", ["train", "test"]), image_size=8)
    other = make_splits(tmp_path / "usual", ["train", "test"])
    os.renames(other / "train", tmp_path / "zip" / "archive" / "Training")
    os.renames(other / "test", tmp_path / "zip" / "archive" / "Testing")
    data, report = load_dataset(tmp_path / "zip", image_size=8), audit(tmp_path / "zip")
    assert data.fingerprint == usual.fingerprint == report.fingerprint
    assert data.notes == report.notes == tuple(report.to_dict()["notes"])
    assert any("Training/ for train" in note for note in data.notes)


@pytest.mark.parametrize(
    "name", ["cat", "Кошка", "猫", "5", "😀", "(none)", "-1", "+1", "_background_", "«other»", "é", "train"]
)
def test_names_of_classes(name: str) -> None:
    assert is_data_folder(name)


@pytest.mark.parametrize(
    "name",
    ["@eaDir", ".thumbnails", ".@__thumb", "__MACOSX", "#recycle", "$RECYCLE.BIN", "~snapshot", "lost+found",
     "System Volume Information", "__pycache__", "@Recycle", "#snapshot", "._cat", "%temp%", "_"],
)  # fmt: skip
def test_names_of_what_systems_leave(name: str) -> None:
    assert not is_data_folder(name)


def test_thumbnails_of_a_network_disk_are_not_trained_on(tmp_path: Path) -> None:
    folder = make(tmp_path, *PETS, "@eaDir")
    for name in PETS:
        make(folder, f"{name}/@eaDir/0.jpg", f"{name}/.thumbnails", f"{name}/2024/@eaDir/1.jpg", f"{name}/2024")
    listing = list_source(folder)
    assert found(listing) == (PETS, (), 18)
    assert (listing.describe_passed_over() or "").startswith("7 folders passed over, e.g. ")
    assert [odd.reason for odd in listing.odd].count("system folder; passed over") == 7
