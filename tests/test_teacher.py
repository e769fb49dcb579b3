from __future__ import annotations

import contextlib
import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from listener import Listener

import edgeclf
from edgeclf import Classifier
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.dataset import load_dataset
from edgeclf.dataset.types import Dataset, ImageView, Split
from edgeclf.errors import InputError
from edgeclf.inference.fine_classifier import FineClassifier
from edgeclf.progress import SilentProgress, Task
from edgeclf.training.augmentation import LEVELS, Batch, augment, choose_augmentation
from edgeclf.training.config import TrainConfig
from edgeclf.training.distillation import DistillationLoss, label_accuracy
from edgeclf.training.pipeline import TrainingBatches
from edgeclf.training.plan import TrainPlan
from edgeclf.training.recorded_predictions import RecordedPredictions, read_predictions
from edgeclf.training.soft_targets import FixedViews, SoftTargets, soften
from edgeclf.training.teacher import _mirrors, check_teacher, find_soft_targets, record_predictions

RANDOM = np.random.default_rng(5)
LOGITS = RANDOM.normal(size=(7, 4)).astype(np.float32)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_softened_probabilities_are_a_softmax_at_the_temperature(temperature: float) -> None:
    np.testing.assert_allclose(soften(softmax(LOGITS), temperature), softmax(LOGITS / temperature), atol=1e-6)


def test_the_loss_is_that_of_the_labels_and_of_the_teacher() -> None:
    temperature, weight = 3.0, 0.7
    teacher = softmax(RANDOM.normal(size=(7, 4))).astype(np.float32)
    labels = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 0, 1, 2]]
    targets = np.concatenate([labels, soften(teacher, temperature)], axis=1)
    predicted = softmax(LOGITS).astype(np.float32)
    found = DistillationLoss(4, weight, temperature, 0.1).call(targets, predicted).numpy()
    smooth = 0.9 * labels + 0.1 / 4
    own = -(smooth * np.log(predicted)).sum(1)
    soft = -(softmax(np.log(teacher) / temperature) * np.log(softmax(LOGITS / temperature))).sum(1)
    np.testing.assert_allclose(found, (1 - weight) * own + weight * temperature**2 * soft, rtol=1e-5)
    metric = label_accuracy(4)
    metric.update_state(targets, predicted)
    assert metric.result().numpy() == pytest.approx((predicted.argmax(1) == labels.argmax(1)).mean())


def record(**changes: object) -> RecordedPredictions:
    made = RecordedPredictions(("a", "b"), ("x1", "x2", "x3"), softmax(LOGITS[:3, :2]).astype(np.float32))
    return replace(made, **changes)  # type: ignore[arg-type]


def test_recorded_predictions_are_read_as_they_were_written(tmp_path: Path) -> None:
    record().write(tmp_path / "t.npz")
    found = read_predictions(tmp_path / "t.npz")
    assert (found.classes, found.contents) == (("a", "b"), ("x1", "x2", "x3"))
    np.testing.assert_array_equal(found.probabilities, record().probabilities)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"probabilities": np.full((3, 2), 0.7, np.float32)}, "rows of numbers from 0 on that add up to 1"),
        ({"probabilities": np.array([[2, -1]] * 3, np.float32)}, "rows of numbers from 0 on"),
        ({"probabilities": np.full((3, 2), np.nan, np.float32)}, "rows of numbers from 0 on"),
        ({"probabilities": np.full((2, 2), 0.5, np.float32)}, "a number a class and image"),
        ({"probabilities": np.full((3, 2), 1, np.int64)}, "a number a class and image"),
        ({"classes": ("a", "a")}, "named twice"),
        ({"classes": (("a", "b"),), "probabilities": np.float32(1)}, "a number a class and image"),
        ({"classes": "a"}, "a number a class and image"),
    ],
)
def test_what_is_no_record_of_probabilities_is_refused(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    record(**changes).write(tmp_path / "t.npz")
    with pytest.raises(InputError, match=words):
        read_predictions(tmp_path / "t.npz")


VIEWS = FixedViews(choose_augmentation("standard", flip=True), 2)
OF_VIEWS = RANDOM.dirichlet((1, 1), (3, 2)).astype(np.float32)


def test_predictions_for_views_are_read_as_they_were_written_and_given_to_who_wants_no_more(tmp_path: Path) -> None:
    record(views=VIEWS, of_views=OF_VIEWS).write(tmp_path / "t.npz")
    found = read_predictions(tmp_path / "t.npz")
    assert found.views == VIEWS
    np.testing.assert_array_equal(found.of_views, OF_VIEWS)
    data = replace(few_images(), class_names=("b", "a"))
    data.splits["train"] = replace(data.splits["train"], hashes=("x3", "x1", "x2"))
    one = replace(VIEWS, count=1)
    taken = found.for_training(data, "t.npz", one)
    np.testing.assert_array_equal(taken.of_views, OF_VIEWS[[2, 0, 1], :1][:, :, [1, 0]])
    assert (taken.views, taken.contents) == (one, ("x3", "x1", "x2"))
    assert found.for_training(data, "t.npz").of_views is None
    light = FixedViews(choose_augmentation("light", flip=True), 2)
    for wanted, words in (
        (replace(VIEWS, count=3), "3 views an image"),
        (light, r"2 views an image \(flip True, shift"),
    ):
        with pytest.raises(
            InputError, match=rf"^t.npz has predictions of 2 views .*, expected .*{words}.*teacher_views"
        ):
            found.for_training(data, "t.npz", wanted)
    with pytest.raises(InputError, match="has predictions of whole images alone, expected predictions of 2 views"):
        record().for_training(data, "t.npz", VIEWS)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"of_views": np.full((3, 2, 2), 0.7, np.float32)}, "rows of numbers from 0 on that add up to 1"),
        ({"of_views": np.full((2, 2, 2), 0.5, np.float32)}, "a number a class, view and image"),
        ({"of_views": np.full((3, 0, 2), 0.5, np.float32)}, "a number a class, view and image"),
        ({"of_views": np.full((3, 2), 0.5, np.float32)}, "a number a class, view and image"),
        ({"recipe": np.array(1.0)}, "how views are drawn"),
        ({"recipe": np.array(["{}"])}, "how views are drawn"),
        ({"recipe": np.array("x" * 20_000)}, "at most 10,000 characters"),
        ({"recipe": np.array([1 << 21], np.uint32).view("U1").reshape(())}, "at most 10,000 characters of text"),
        ({"contents": np.array([1 << 21] * 3, np.uint32).view("U1")}, "names of classes or content hashes are no text"),
        ({"classes": np.array([1 << 21] * 2, np.uint32).view("U1")}, "names of classes or content hashes are no text"),
        ({"recipe": np.array("no JSON")}, r"^\S+changed.npz: Augmentation cannot be read: not JSON"),
        ({"recipe": np.array('{"tilt": 3}')}, "has no field 'tilt'"),
        ({"recipe": np.array('{"shift": "wide"}')}, "shift must be a number"),
    ],
)
def test_what_is_no_record_of_views_is_refused(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    record(views=VIEWS, of_views=OF_VIEWS).write(tmp_path / "t.npz")
    with np.load(tmp_path / "t.npz") as parts:
        np.savez(tmp_path / "changed.npz", **{**parts, **changes})
    with pytest.raises(InputError, match=words) as refused:
        read_predictions(tmp_path / "changed.npz")
    assert "\n" not in str(refused.value)


def test_a_step_sees_the_views_that_the_teacher_has_seen() -> None:
    """The teacher knows a view by its mean; what the student sees must be that view, in every step."""
    images = RANDOM.integers(0, 255, (6, 8, 8, 3)).astype(np.uint8)
    rows = np.arange(6)
    split = Split(ImageView(images, rows), rows % 2, tuple("abcdef"), tuple("uvwxyz"))
    recipe = replace(choose_augmentation("standard", flip=True), mixup=5.0)
    views = FixedViews(recipe.unmixed(), 3)
    drawn = np.stack([views.draw(images, split.hashes, np.full(6, number)) for number in range(3)], axis=1)
    assert len(np.unique(drawn.reshape(18, -1), axis=0)) > 12, "views of an image differ"
    np.testing.assert_array_equal(drawn[[4, 1], 2], views.draw(images[[4, 1]], ("y", "v"), np.array([2, 2])))
    means = (drawn.mean((2, 3, 4)) / 255).astype(np.float32)
    targets = SoftTargets(np.full((6, 2), 0.5, np.float32), split.hashes, views, np.stack([means, 1 - means], -1))
    batches = TrainingBatches(split, 2, 6, replace(recipe, mixup=0.0), "none", 7, targets)
    seen = set()
    for epoch in range(8):
        for shown, wanted, _ in batches.epoch(epoch):
            np.testing.assert_allclose(wanted[:, 2], shown.numpy().mean((1, 2, 3)) / 255, rtol=1e-5)
            seen |= {image.tobytes() for image in shown.numpy()}
    assert len(seen) > 14, "all 18 views, but for chance"
    (shown, wanted, _) = next(iter(replace(batches, recipe=recipe.flips_only()).epoch(0)))
    np.testing.assert_array_equal(wanted[:, 2:], np.full((6, 2), 0.5))  # unaugmented images are none of the views
    (mixed, wanted, _) = next(iter(replace(batches, recipe=recipe).epoch(0)))
    assert not {image.tobytes() for image in mixed.numpy()} <= seen
    # means of mixed images are mixed means: the views are mixed, and their targets with them
    np.testing.assert_allclose(wanted[:, 2], mixed.numpy().mean((1, 2, 3)) / 255, atol=2e-3)


def test_predictions_for_views_are_softened_as_others_are() -> None:
    one = replace(VIEWS, count=1)
    images, rows, random = np.zeros((2, 8, 8, 3), np.uint8), np.array([2, 0]), np.random.default_rng(0)
    targets = SoftTargets(OF_VIEWS[:, 1], ("x", "y", "z"), one, OF_VIEWS[:, :1], temperature=3.0)
    np.testing.assert_array_equal(
        targets.choose(images, rows, VIEWS.recipe, random)[1], soften(OF_VIEWS[[2, 0], 0], 3.0)
    )
    np.testing.assert_array_equal(
        targets.choose(images, rows, VIEWS.recipe.flips_only(), random)[1], soften(OF_VIEWS[[2, 0], 1], 3.0)
    )


def test_objects_have_no_views_of_their_own(tmp_path: Path) -> None:
    data = few_images()
    data.splits["train"] = replace(data.splits["train"], views=3)
    config, folder = TrainConfig(teacher="digits", teacher_views=4), RunFolder(tmp_path / "run", must_exist=False)
    with pytest.raises(InputError, match="teacher_views is for photos"):
        find_soft_targets(config, data, TrainPlan("few", config), folder, resumes=False)


def test_more_views_than_a_file_may_hold_are_refused_before_the_teacher_predicts_them() -> None:
    data = few_images()
    many = replace(VIEWS, count=10**9)
    with pytest.raises(
        InputError, match="teacher_views 1000000000 of 3 images and 3 classes take 36,001,000,804 bytes"
    ):
        record_predictions(Unnamed(3), data, TrainPlan("few"), mirrored=False, views=many)


def test_files_that_are_no_records_are_refused_in_one_line(tmp_path: Path) -> None:
    other, broken, pickled = tmp_path / "other.npz", tmp_path / "broken.npz", tmp_path / "pickled.npz"
    np.savez(other, weight=np.zeros(3))
    broken.write_bytes(b"PK no zip")
    np.savez(pickled, classes=np.array([{}], object), contents=np.array(["x"]), probabilities=np.ones((1, 1)))
    record().write(tmp_path / "whole.npz")
    whole = (tmp_path / "whole.npz").read_bytes()
    # behind each entry of the directory: flags (1: encrypted), then the way of compression
    for name, place in (("encrypted.npz", 8), ("compressed.npz", 10)):
        content = bytearray(whole)
        for found in re.finditer(b"PK\x01\x02", whole):
            content[found.start() + place] ^= 1
        (tmp_path / name).write_bytes(content)
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as archive, zipfile.ZipFile(tmp_path / "vast.npz", "w") as vast:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**15,)})
        for name in ("classes", "contents", "probabilities"):
            archive.writestr(f"{name}.npy", b"no array")
            vast.writestr(f"{name}.npy", header.getvalue())
    made = [tmp_path / f"{name}.npz" for name in ("encrypted", "compressed", "text", "vast", "missing")]
    for path in (other, broken, pickled, *made):
        with pytest.raises(InputError, match=path.name) as refused:
            read_predictions(path)
        assert "\n" not in str(refused.value)
    with zipfile.ZipFile(tmp_path / "huge.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("classes", "contents", "probabilities"):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                for _ in range(700):
                    stream.write(bytes(1 << 20))
    with pytest.raises(InputError, match="at most"):
        read_predictions(tmp_path / "huge.npz")


def test_a_teacher_may_be_an_ensemble_whose_members_are_there(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run", must_exist=False)
    (tmp_path / "a").mkdir()
    for name in ("digits", "digits+cifar10", f"{tmp_path / 'a'}+digits"):
        check_teacher(name, folder, resumes=False)
    with pytest.raises(InputError, match="--teacher gone: expected a run folder, a model file, recorded predictions"):
        check_teacher("digits+gone", folder, resumes=False)


class Unnamed:
    """A predictor that names no classes, and is sure of the one whose number the first pixel is."""

    labels: tuple[str, ...] = ()
    size = (4, 4)

    def __init__(self, outputs: int) -> None:
        self.outputs = outputs

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        return np.eye(self.outputs, dtype=np.float32)[images[:, 0, 0, 0]]


def few_images() -> Dataset:
    """One image of each of three classes, whose number is its first pixel."""
    images = np.zeros((3, 4, 4, 3), np.uint8)
    images[:, 0, 0, 0] = 0, 1, 2
    rows = np.arange(3)
    split = Split(ImageView(images, rows), rows, ("a", "b", "c"), ("0", "1", "2"))
    return Dataset("few", "few", ("ant", "bee", "cat"), {"train": split}, 4, 4, "f", 1)


def test_outputs_without_names_are_taken_in_the_order_of_the_data_or_refused() -> None:
    data = few_images()
    heard = Listener()
    request = TrainPlan("few", progress=heard)
    found = record_predictions(Unnamed(3), data, request, mirrored=False).for_training(data, "it")
    np.testing.assert_array_equal(found.probabilities, np.eye(3))
    assert heard.lines == [
        "teacher: it names no classes, so its outputs were taken for the classes of the data in the order ant, bee, cat"
    ]
    with pytest.raises(InputError, match="the teacher names no classes and has 1,000 outputs; expected 3"):
        record_predictions(Unnamed(1000), data, request, mirrored=False)


def test_a_teacher_of_other_classes_predicts_no_image() -> None:
    class Other(Unnamed):
        labels = ("ant", "bee", "dog")

        def probabilities(self, images: np.ndarray) -> np.ndarray:
            raise AssertionError("it was asked")

    request = TrainPlan("few", config=TrainConfig(teacher="runs/other"))
    with pytest.raises(
        InputError, match="^other knows the classes ant, bee, dog, expected those of few: ant, bee, cat"
    ):
        record_predictions(Other(3), few_images(), request, mirrored=False)


def test_numbers_in_place_of_names_are_no_names() -> None:
    data = few_images()

    class Numbered(Unnamed):
        labels, label_source = ("0", "1", "2"), "numbers"
        notes = ("pixels enter as -1 to 1: assumed",)

    heard = Listener()
    found = record_predictions(Numbered(3), data, TrainPlan("few", progress=heard), mirrored=False)
    assert found.classes == ("ant", "bee", "cat")
    assert heard.lines[-1] == "teacher: pixels enter as -1 to 1: assumed", "what was assumed is said"


def test_a_teacher_sees_mirrored_images_where_the_student_does() -> None:
    assert _mirrors(TrainConfig(augment="standard", flip=True))
    assert not _mirrors(TrainConfig(augment="standard", flip=False))
    assert not _mirrors(TrainConfig(augment="none", flip=True)), "left and right may differ in meaning"


def test_quick_learns_from_no_teacher() -> None:
    with pytest.raises(InputError, match="leave --teacher or --quick out"):
        TrainConfig(quick=True, teacher="runs/teacher")


@pytest.mark.slow
def test_a_network_learns_from_a_model_file_and_from_its_recorded_predictions(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"model": "resnet8", "epochs": 1, "weights": "none", "batch_size": 64}
    lines: list[str] = []

    class Lines(SilentProgress):
        def info(self, line: str) -> None:
            lines.append(line)

    first = edgeclf.train("digits", out=tmp_path / "first", teacher="digits", progress=Lines(), **settings)
    assert any(line.startswith("teacher: digits, right on ") for line in lines), lines
    recorded = tmp_path / "first" / "teacher.npz"
    found = read_predictions(recorded)
    digits = load_dataset("digits", image_size=16)
    assert found.classes == digits.class_names
    assert found.probabilities.shape == (len(digits.splits["train"]), 10)
    with pytest.raises(InputError, match="was trained with teacher digits, not there/is/none"):
        edgeclf.train("digits", out=tmp_path / "first", teacher="there/is/none", resume=True, **settings)
    again = edgeclf.train("digits", out=tmp_path / "again", teacher=str(recorded), **settings)
    assert again.metrics["validation"] == first.metrics["validation"]
    views = {**settings, "teacher_views": 3, "augment": "standard"}
    seen = edgeclf.train("digits", out=tmp_path / "views", teacher="digits", **views)
    assert seen.metrics["validation"] != first.metrics["validation"]
    found = read_predictions(tmp_path / "views" / "teacher.npz")
    assert found.of_views.shape == (len(digits.splits["train"]), 3, 10)
    once_more = edgeclf.train("digits", out=tmp_path / "more", teacher=str(tmp_path / "views/teacher.npz"), **views)
    assert once_more.metrics["validation"] == seen.metrics["validation"]
    with pytest.raises(
        InputError, match="teacher.npz has predictions of whole images alone, expected predictions of 3"
    ):
        edgeclf.train("digits", out=tmp_path / "other", teacher=str(recorded), **views)
    alone = edgeclf.train("digits", out=tmp_path / "alone", **settings)
    assert alone.metrics["validation"] != first.metrics["validation"]
    with pytest.raises(InputError, match=r"cifar10 knows the classes airplane, .*, expected those of digits: 0, 1"):
        edgeclf.train("digits", out=tmp_path / "other", teacher="cifar10", **settings)


@pytest.mark.slow
@pytest.mark.parametrize("several", ["members", "trials"])
def test_a_teacher_predicts_once_for_several_trainings(several: str, tmp_path: Path) -> None:
    asked: list[str] = []

    class Tasks(SilentProgress):
        @contextlib.contextmanager
        def task(self, description: str, total: int | None) -> Iterator[Task]:
            asked.append(description)
            with super().task(description, total) as task:
                yield task

    config = TrainConfig(model="cnn", epochs=1, weights="none", batch_size=256, teacher="digits")
    if several == "members":
        edgeclf.train_ensemble("digits", config, members=2, out=tmp_path / "out", progress=Tasks())
    else:
        edgeclf.tune("digits", config, trials=2, out=tmp_path / "out", progress=Tasks())
    assert sum("teacher (images)" in one for one in asked) == 1, asked
    records = [read_predictions(path) for path in sorted((tmp_path / "out").rglob("teacher.npz"))]
    assert len(records) == 2
    np.testing.assert_array_equal(records[0].probabilities, records[1].probabilities)


def test_probabilities_of_8_bits_add_up_to_1_and_to_the_same_when_they_are_read_again(tmp_path: Path) -> None:
    class Rounding(Unnamed):
        """A teacher without a fitted temperature, whose 8-bit output adds up to 1 by chance alone."""

        def probabilities(self, images: np.ndarray) -> np.ndarray:
            return np.tile(np.array([[0.79, 0.15, 0.05]], np.float32), (len(images), 1))

    data = few_images()
    request = TrainPlan("photos", TrainConfig(teacher="t"), progress=SilentProgress())
    found = record_predictions(Rounding(3), data, request, mirrored=False)
    np.testing.assert_allclose(found.probabilities.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(found.probabilities[:, 0], 0.79 / 0.99, rtol=1e-6)
    found.write(tmp_path / "t.npz")
    np.testing.assert_array_equal(read_predictions(tmp_path / "t.npz").probabilities, found.probabilities)
    # a file that was written before sums were brought to 1
    rounded = np.full((3, 20), 0.048, np.float32)  # 0.04 too few, of 20 that were rounded by up to 0.002
    many = record(classes=tuple(map(str, range(20))), probabilities=rounded)
    many.write(tmp_path / "old.npz")
    np.testing.assert_allclose(read_predictions(tmp_path / "old.npz").probabilities, 1 / 20, rtol=1e-6)


def test_a_student_sees_what_the_output_of_a_teacher_rounds_away() -> None:
    images = np.asarray(load_dataset("digits", image_size=16).splits["validation"].images[np.arange(40)])
    shared, fine = Classifier("digits"), FineClassifier("digits")
    ties = shared.probabilities(images), fine.probabilities(images)
    distinct = [np.mean([len(set(row)) for row in found.tolist()]) for found in ties]
    assert distinct[0] < 8 < distinct[1]
    np.testing.assert_array_equal(shared.top1(images), fine.top1(images))
    np.testing.assert_allclose(*ties, atol=0.05)


@pytest.mark.parametrize("level", [name for name in LEVELS if name != "none"])
def test_views_drawn_together_are_those_drawn_one_by_one(level: str) -> None:
    images = np.random.default_rng(1).integers(0, 256, (6, 24, 16, 3)).astype(np.uint8)
    contents, numbers = [f"c{row % 3}" for row in range(6)], np.array([0, 1, 2, 1, 0, 7])
    views = FixedViews(choose_augmentation(level, flip=True).unmixed(), 8)
    together = views.draw(images, contents, numbers)
    for row, (content, number) in enumerate(zip(contents, numbers, strict=True)):
        alone = views.draw(images[row : row + 1], [content], np.array([number]))
        np.testing.assert_array_equal(together[row], alone[0])
    assert not np.array_equal(together, images)
    # drawn as other images are, by a generator of the file and the number alone
    seed = int.from_bytes(hashlib.blake2b(b"c0", digest_size=8).digest(), "little")
    one = Batch(images[:1], np.zeros(1, np.float32), np.zeros(1, np.float32))
    np.testing.assert_array_equal(together[0], augment(one, views.recipe, np.random.default_rng([seed, 0])).images[0])
