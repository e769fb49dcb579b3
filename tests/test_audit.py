from __future__ import annotations

import json
import os
import shutil

import cv2
import pytest
from photo_folders import make_folder, make_splits, photo, write

from edgeclf.dataset import AuditReport, audit, load_dataset
from edgeclf.errors import DataError, UnknownNameError


def relative(paths, folder):
    return sorted(os.path.relpath(path, folder) for path in paths)


def test_a_clean_set_has_counts_and_no_findings(tmp_path):
    folder = make_folder(tmp_path, {"cat": 40, "dog": 20})
    report = audit(folder)
    document = json.loads(report.to_json())
    assert document["classes"] == ["cat", "dog"]
    assert set(document["splits"]) == {"train", "validation", "test"}
    for counts in document["splits"].values():
        assert counts["images"] == sum(counts["per_class"].values())
    assert document["unreadable"] == document["duplicates"] == document["leaks"] == document["odd"] == []
    assert document["near_duplicates"] == document["label_conflicts"] == document["problems"] == []
    train = document["splits"]["train"]["per_class"]
    assert document["imbalance"] == train["cat"] / train["dog"]
    assert document["sizes"] == {"smallest": [48, 64], "median": [48, 64], "largest": [48, 64]}
    assert AuditReport.from_json(report.to_json()) == report


def test_an_audit_counts_what_training_uses(tmp_path):
    folder = make_folder(tmp_path, {"cat": 15, "dog": 25})
    data, report = load_dataset(folder, image_size=8), audit(folder)
    assert report.fingerprint == data.fingerprint
    assert {name: counts.to_dict() for name, counts in report.splits.items()} == data.split_sizes()


def test_duplicates_leaks_and_label_conflicts_are_told_apart(tmp_path):
    folder = make_splits(tmp_path, ["train", "validation", "test"])
    train, test = folder / "train", folder / "test"
    shutil.copy(train / "cat" / "000.png", train / "cat" / "copy.png")
    shutil.copy(train / "cat" / "001.png", test / "cat" / "leak.png")
    shutil.copy(train / "cat" / "002.png", train / "dog" / "conflict.png")
    report = audit(folder)
    assert [relative(group, folder) for group in report.duplicates] == [
        ["test/cat/leak.png", "train/cat/001.png"],
        ["train/cat/000.png", "train/cat/copy.png"],
    ]
    assert [(relative(leak.paths, folder), leak.splits, leak.kind) for leak in report.leaks] == [
        (["test/cat/leak.png", "train/cat/001.png"], ("test", "train"), "exact")
    ]
    assert [(relative(found.paths, folder), found.labels) for found in report.label_conflicts] == [
        (["train/cat/002.png", "train/dog/conflict.png"], ("cat", "dog"))
    ]


def test_own_splits_never_leak_exactly(tmp_path):
    folder = make_folder(tmp_path, {"cat": 30, "dog": 30})
    for number in range(30):
        shutil.copy(folder / "cat" / f"{number:03}.png", folder / "cat" / f"copy{number}.png")
    report = audit(folder)
    assert len(report.duplicates) == 30
    assert not [leak for leak in report.leaks if leak.kind == "exact"]


def test_near_duplicates_across_splits_are_named(tmp_path):
    folder = make_splits(tmp_path, ["train", "validation", "test"])
    original = photo(4242, 240, 320)
    write(folder / "train" / "cat" / "original.png", original)
    write(folder / "test" / "cat" / "smaller.jpg", cv2.resize(original, (200, 150), interpolation=cv2.INTER_AREA))
    write(folder / "test" / "dog" / "brighter.png", cv2.convertScaleAbs(original, alpha=0.9, beta=12))
    report = audit(folder)
    assert [relative(group.paths, folder) for group in report.near_duplicates] == [
        ["test/cat/smaller.jpg", "test/dog/brighter.png", "train/cat/original.png"]
    ]
    assert report.near_duplicates[0].labels == ("cat", "dog")
    near = {tuple(relative(leak.paths, folder)) for leak in report.leaks if leak.kind == "near"}
    assert ("test/cat/smaller.jpg", "train/cat/original.png") in near
    assert all(leak.splits == ("test", "train") for leak in report.leaks)


def test_many_frames_of_one_scene_are_one_leak_each(tmp_path):
    folder = make_splits(tmp_path, ["train", "validation", "test"])
    scene = photo(4242, 60, 80)
    counts = {"train": 40, "validation": 12, "test": 8}
    for split, count in counts.items():
        for number in range(count):
            frame = scene.copy()
            frame[number % 60, len(split) % 80] ^= 255  # no two files are equal
            write(folder / split / "cat" / f"frame{number}.png", frame)
    leaks = [leak for leak in audit(folder).leaks if leak.kind == "near"]
    pairs = [leak.splits for leak in leaks]
    assert sorted(pairs) == sorted(
        12 * [("train", "validation")] + 8 * [("test", "train")] + 8 * [("test", "validation")]
    )
    named = {path for leak in leaks for path in leak.paths if f"{os.sep}test{os.sep}" in path}
    assert len(named) == 8


def test_findings_are_no_failure(tmp_path):
    folder = make_splits(tmp_path, ["train", "val"])
    for path in (folder / "val" / "dog").iterdir():
        path.write_bytes(b"")
    (folder / "test" / "cat").mkdir(parents=True)
    report = audit(folder)
    assert len(report.unreadable) == 4
    assert report.splits["validation"].per_class == {"cat": 4, "dog": 0}
    assert report.splits["test"].images == 0
    assert report.problems == (
        "its split test has no usable image; add some, or remove the split",
        "class 'dog' has no usable image in validation",
    )
    assert report.fingerprint is None


def test_one_class_is_a_finding_and_so_are_too_few_images(tmp_path):
    report = audit(make_folder(tmp_path, {"cat": 2}))
    assert report.problems[0].startswith("only one class ('cat')")
    assert report.problems[1].endswith("it has 2 different images, at least 3 are needed")
    assert report.imbalance == 1.0


def test_nothing_usable_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no images found; expected a folder for each class"):
        audit(tmp_path)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match="not one of its 2 images can be read"):
        audit(tmp_path)
    with pytest.raises(UnknownNameError, match="did you mean 'digits'"):
        audit("digit")


def test_real_photos(clothing_folder):
    report = audit(clothing_folder)
    assert len(report.classes) == 10
    assert report.splits["train"].per_class["hat"] == 12
    assert report.splits["test"].images == 60
    assert report.sizes.median == (533, 400)
    assert not report.unreadable
    assert not report.problems


def test_digits_are_not_called_near_duplicates_of_each_other():
    pytest.importorskip("sklearn")
    report = audit("digits")
    assert not report.near_duplicates
    assert sum(counts.images for counts in report.splits.values()) == 1797
