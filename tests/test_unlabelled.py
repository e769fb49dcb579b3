"""Photos without labels: which files of a folder are learned from, and that none of them is a test photo of `train`."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from photo_folders import make_folder, photo, write

from edgeclf.dataset import list_source, list_unlabelled, load_dataset, probe
from edgeclf.errors import DataError, InputError, UnknownNameError
from edgeclf.training.augmentation import LEVELS, Augmentation, Batch
from edgeclf.training.pretraining.barlow_twins import TwoViews
from edgeclf.training.pretraining.config import PretrainConfig
from edgeclf.training.pretraining.rotation import RotatedViews


def keys(folder: Path) -> list[str]:
    return [item.key for item in list_unlabelled(folder).items]


def test_a_folder_needs_no_class_folders(tmp_path: Path) -> None:
    for number, name in enumerate(("a.png", "2024/b.png", "2024/spring/c.jpg", "x/y/d.png")):
        write(tmp_path / name, photo(number))
    (tmp_path / "notes.txt").write_text("no image")
    assert keys(tmp_path) == ["a.png", "2024/b.png", "2024/spring/c.jpg", "x/y/d.png"]
    listing = list_unlabelled(tmp_path)
    assert (listing.class_names, listing.splits, listing.labelled) == (("unlabelled",), (), False)
    assert "notes.txt" in str(listing.describe_passed_over())
    assert probe(listing).images == 4


@pytest.mark.parametrize("inside", ["", "cat/"])
def test_test_photos_of_a_folder_with_splits_are_left_out(tmp_path: Path, inside: str) -> None:
    for number, name in enumerate(("train", "val", "test")):
        write(tmp_path / name / inside / "1.png", photo(number))
    listing = list_unlabelled(tmp_path)
    assert {(item.split, item.key) for item in listing.items} == {
        ("train", f"train/{inside}1.png"),
        ("validation", f"val/{inside}1.png"),
    }
    assert listing.splits == ("train", "validation")
    assert "the test split of the source is left out" in listing.notes
    shutil.rmtree(tmp_path / "test")
    assert "the test split of the source is left out" not in list_unlabelled(tmp_path).notes


def test_splits_are_found_below_a_folder_that_holds_nothing_else(tmp_path: Path) -> None:
    for number, name in enumerate(("train", "test")):
        write(tmp_path / "archive" / "photos" / name / "1.png", photo(number))
    (tmp_path / "archive" / "notes.txt").write_text("no image")
    listing = list_unlabelled(tmp_path)
    assert [(item.split, item.key) for item in listing.items] == [("train", "archive/photos/train/1.png")]
    assert "the test split of the source is left out" in listing.notes
    assert "notes.txt" in str(listing.describe_passed_over())


@pytest.mark.parametrize("other", ["dog", "train"])
def test_what_train_keeps_for_validation_and_test_is_not_learned_from(tmp_path: Path, other: str) -> None:
    make_folder(tmp_path, {"cat": 40, other: 30})
    labelled = load_dataset(list_source(tmp_path), image_size=8)
    unlabelled = load_dataset(list_unlabelled(tmp_path), image_size=8)
    assert set(unlabelled.splits["train"].hashes) == set(labelled.splits["train"].hashes)
    assert set(unlabelled.splits["validation"].hashes) == set(labelled.splits["validation"].hashes)
    assert not unlabelled.splits["train"].labels.any()


def test_a_named_set_loses_its_labels() -> None:
    pytest.importorskip("sklearn")
    listing = list_unlabelled("digits")
    assert listing.class_names == ("unlabelled",)
    assert list_unlabelled(listing) is listing
    assert len(listing.items) == len(list_source("digits").items) == 1797


def test_what_holds_no_photo_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    with pytest.raises(DataError, match="no images found \\(1 file passed over"):
        list_unlabelled(tmp_path)
    with pytest.raises(UnknownNameError, match="did you mean 'digits'"):
        list_unlabelled("digit")


def drawn(views: RotatedViews | TwoViews, recipe: Augmentation) -> Batch:
    images = np.stack([photo(number, 16, 16) for number in range(6)])
    given = Batch(images, np.eye(6, dtype=np.float32), np.arange(6, dtype=np.float32))
    return views.draw(given, recipe, np.random.default_rng(1))


def test_the_four_rotations_of_an_image_follow_one_another() -> None:
    made = drawn(RotatedViews(), LEVELS["strongest"])
    assert made.images.shape == (24, 16, 16, 3)
    for number, image in enumerate(made.images):
        np.testing.assert_array_equal(image, np.rot90(made.images[number // 4 * 4], number % 4))
    np.testing.assert_array_equal(made.targets.argmax(axis=1), np.tile(np.arange(4), 6))
    np.testing.assert_array_equal(made.weights, np.repeat(np.arange(6), 4))


def test_the_two_views_of_an_image_follow_one_another() -> None:
    plain = drawn(TwoViews(), LEVELS["none"]).images
    np.testing.assert_array_equal(plain[::2], plain[1::2])
    # Without mixing, whatever the level: a mixture would be a view of two images.
    light = Augmentation(brightness=0.1, mixup=1.0, cutmix=1.0)
    pairs = drawn(TwoViews(), light).images.reshape(6, 2, -1).astype(np.float64)
    own = np.array([[np.corrcoef(a, b)[0, 1] for b in pairs[:, 1]] for a in pairs[:, 0]])
    np.testing.assert_array_equal(own.argmax(axis=1), np.arange(6))
    assert np.diagonal(own).min() > 0.99
    assert (pairs[:, 0] != pairs[:, 1]).any()
    np.testing.assert_array_equal(drawn(TwoViews(), light).images, drawn(TwoViews(), light).images)


def test_objects_are_listed_where_there_are_no_photos(tmp_path: Path) -> None:
    for name in ("ball", "cube"):
        (tmp_path / name).mkdir()
        for number in range(3):
            np.save(tmp_path / name / f"{number}.npy", np.random.default_rng(number).normal(size=(50, 3)))
    listing = list_unlabelled(tmp_path)
    assert listing.holds_objects
    assert keys(tmp_path) == sorted(keys(tmp_path))
    assert len(listing.items) == 6


@pytest.mark.parametrize("settings", [{"augment": "none"}, {"unaugmented_epochs": 0.5}])
def test_two_views_that_are_the_same_teach_nothing(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match="barlow-twins compares two changed views of an image"):
        PretrainConfig(method="barlow-twins", **settings)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("inside", ["", "all/"])
def test_a_folder_without_classes_calibrates(tmp_path: Path, inside: str) -> None:
    pytest.importorskip("tensorflow")
    import colored_squares

    colored_squares.network(colored_squares.dataset()).save(tmp_path / "net.keras")
    for number in range(12):
        write(tmp_path / "photos" / inside / f"{number}.png", photo(number))
    given = {"data": tmp_path / "photos", "out": tmp_path / "made", "calibration": 8}
    with pytest.raises(DataError, match="expected"):
        colored_squares.compress(tmp_path / "net.keras", "int8", **given)
    (model,) = colored_squares.compress(tmp_path / "net.keras", "int8", unlabelled=True, **given).models
    assert model.top1 is None
    assert Path(model.path).is_file()
