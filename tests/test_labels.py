"""Class names: from a file, beside the model, assumed; and networks with one output for two classes."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from color_photos import hues, photo, write_folders, write_photo
from linear_models import write_color_model
from typer.testing import CliRunner

import edgeclf
from edgeclf.artifact.class_names import UNNAMED
from edgeclf.artifact.label_bounds import LARGEST_LIST, LONGEST_LABEL, MOST_CLASSES, check_labels
from edgeclf.artifact.labels import parse_labels, read_labels
from edgeclf.cli.main import app
from edgeclf.errors import InputError
from edgeclf.inference.chance import could_be_chance
from edgeclf.measure.class_order import describe_chance

NAMES = tuple(map(str, range(12)))
SORTED = tuple(sorted(NAMES))
"""0, 1, 10, 11, 2, ...: the order in which Keras' `image_dataset_from_directory` numbers these folders."""
TWO = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
RAW = (0.0, 255.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cat\ndog\n", ("cat", "dog")),
        ("cat\r\ndog\r\n\r\n", ("cat", "dog")),
        ("\ufeff cat \ndog", ("cat", "dog")),
        ("0 Class 1\n1 Class 2\n", ("Class 1", "Class 2")),
        ("0  background\n1  cat\n\n2\tdog", ("background", "cat", "dog")),
        ("1: dog\n0: cat\n", ("cat", "dog")),
        ("0:cat\n1:dog", ("cat", "dog")),
        ("0\n1\n10\n11\n", ("0", "1", "10", "11")),
        ("1 euro\n2 euro\n", ("1 euro", "2 euro")),
        ("0 grad\n100 grad\n", ("0 grad", "100 grad")),
        ("7 up\ncola", ("7 up", "cola")),
        ("crane\ncrane", ("crane", "crane")),
        ("Größe\n猫\nna\u200cme", ("Größe", "猫", "na\u200cme")),
    ],
)
def test_lines_are_names_and_numbers_in_front_are_their_order(text: str, expected: tuple[str, ...]) -> None:
    assert parse_labels(text.encode(), "labels.txt") == expected
    assert parse_labels(text.removeprefix("\ufeff").encode("utf-16"), "labels.txt") == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "l.txt: expected class names, one a line, got an empty file"),
        (b"\n \n", "got an empty file"),
        (b"cat\n\ndog\n", "l.txt, line 2: expected a class name, got an empty line"),
        (b"cat\nd\x1b[31mog", r"l.txt, line 2: expected printable characters, got U\+001B"),
        ("cat\nd\u202eog".encode(), r"line 2: expected printable characters, got U\+202E"),
        (b"caf\xe9\n", "expected class names as UTF-8 text"),
        (b"PK\x03\x04\x00", r"got U\+0003"),
        (b"x" * (LONGEST_LABEL + 1), "line 1: expected a class name of at most 1,000 characters, got 1,001"),
        (b"x\n" * (MOST_CLASSES + 1), "expected at most 250,000 class names, got 250,001"),
    ],
)
def test_what_is_no_list_of_names_is_refused_with_its_line(content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_labels(content, "l.txt")


def test_a_list_may_hold_what_a_model_file_may_hold() -> None:
    names = ("x" * LONGEST_LABEL, "Weiß\u00a0Rot", *map(str, range(MOST_CLASSES - 2)))
    assert parse_labels("\n".join(names).encode(), "l.txt") == check_labels(names)


def test_only_a_small_regular_file_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InputError, match="expected a text file with class names, got no regular file"):
        read_labels(tmp_path / "fifo")
    with pytest.raises(InputError, match="got a folder"):
        read_labels(tmp_path)
    with pytest.raises(InputError, match=r"class names cannot be read \(no such file\)"):
        read_labels(tmp_path / "none.txt")
    with (tmp_path / "large.txt").open("wb") as stream:
        stream.truncate(LARGEST_LIST + 1)
    with pytest.raises(InputError, match="expected at most 16,777,216 bytes"):
        read_labels(tmp_path / "large.txt")


def test_names_are_given_or_lie_beside_the_model_or_are_numbers(tmp_path: Path) -> None:
    model = write_color_model(tmp_path / "colors.tflite", hues(3))
    bare = edgeclf.Classifier(model, input_range=RAW)
    assert (bare.labels, bare.label_source, bare.notes) == (("0", "1", "2"), "numbers", (UNNAMED,))
    given = edgeclf.Classifier(model, input_range=RAW, labels=["red", "green", "blue"])
    assert (given.labels, given.label_source, given.notes) == (("red", "green", "blue"), "given", ())
    assert [given.predict(photo(color)).labels[0].label for color in hues(3)] == ["red", "green", "blue"]

    (tmp_path / "labels.txt").write_text("0 Rot\n1 Grün\n2 Blau\n", encoding="utf-8")
    beside = edgeclf.Classifier(model, input_range=RAW)
    assert (beside.labels, beside.label_source) == (("Rot", "Grün", "Blau"), "beside")
    assert str(tmp_path / "labels.txt") in beside.notes[0]
    assert edgeclf.inspect(model).labels is None
    assert "labels.txt" in edgeclf.inspect(model).notes[0]
    (tmp_path / "colors_labels.txt").write_text("rouge\nvert\nbleu\n", encoding="utf-8")
    assert edgeclf.Classifier(model).labels == ("rouge", "vert", "bleu")


def test_another_number_of_names_is_an_error_when_given_and_a_note_when_found(tmp_path: Path) -> None:
    model = write_color_model(tmp_path / "colors.tflite", hues(3))
    (tmp_path / "labels.txt").write_text("red\ngreen\n", encoding="utf-8")
    found = edgeclf.Classifier(model)
    assert found.labels == ("0", "1", "2")
    assert (
        "expected 3 class names, one a line, got 2 (red, green); this list beside the model is left out"
        in (found.notes[0])
    )
    for command in (["predict", model, tmp_path / "no.png"], ["bench", model]):
        done = CliRunner().invoke(app, [*map(str, command), "--labels", str(tmp_path / "labels.txt")])
        assert done.exit_code == 2
        assert done.stderr.endswith("expected 3 class names, one a line, got 2 (red, green)\n")
    with pytest.raises(InputError, match="labels: expected class names, got ' ' for class 1"):
        edgeclf.Classifier(model, labels=["red", " ", "blue"])


@pytest.mark.slow
def test_numbers_that_nobody_gave_are_not_matched_by_name(tmp_path: Path) -> None:
    """Outputs in the order of the sorted folder names 0, 1, 10, 11, 2, ...: all photos are right, 48 of 48."""
    data = write_folders(tmp_path / "data", SORTED, hues(12))
    model = write_color_model(tmp_path / "colors.tflite", hues(12))
    (tmp_path / "natural.txt").write_text("\n".join(NAMES), encoding="utf-8")
    (tmp_path / "sorted.txt").write_text("\n".join(SORTED), encoding="utf-8")
    reports = {
        name: edgeclf.bench(model, data=data, input_range=RAW, runs=3, labels=name and tmp_path / f"{name}.txt")
        for name in (None, "sorted", "natural")
    }
    (assumed,), (right,), (wrong,) = (report.models for report in reports.values())
    assert (assumed.top1, assumed.label_source) == (1.0, "numbers")
    (note,) = assumed.notes
    assert "in the order of their sorted names (0, 1, 10, 11, ...); --labels FILE" in note
    assert (right.top1, right.label_source, right.notes) == (1.0, "given", ())
    # by hand: 0 and 1 stand at the same place in both orders, the other ten do not
    assert wrong.top1 == 2 / 12


@pytest.mark.slow
def test_near_chance_is_a_warning_with_the_remedy(tmp_path: Path) -> None:
    data = write_folders(tmp_path / "data", ("a", "b", "c"), hues(3))
    model = write_color_model(tmp_path / "colors.tflite", np.roll(hues(3), 1, axis=0))
    done = CliRunner().invoke(
        app, ["bench", str(model), "--data", str(data), "--input-range", "0,255", "--runs", "3", "--json"]
    )
    assert done.exit_code == 0
    assert "warning: colors: only 0 of 12 images are right, which could be chance: its classes may have another" in (
        done.stderr
    )
    assert "--labels FILE" in done.stderr
    (tmp_path / "labels.txt").write_text("c\na\nb\n", encoding="utf-8")
    (model,) = edgeclf.bench(model, data=data, input_range=RAW, runs=3).models
    assert (model.top1, model.label_source) == (1.0, "beside")


def test_chance_is_decided_by_the_binomial_distribution() -> None:
    labels = np.repeat(np.arange(4), 25)
    # P(X >= 33) = 0.0446 and P(X >= 32) = 0.0693 for 100 trials of 1/4
    eights, many = np.arange(100) % 25 < 8, np.repeat(np.arange(10), 6_000)
    assert could_be_chance(eights, labels, 4)
    assert not could_be_chance(eights | (np.arange(100) == 99), labels, 4)
    assert could_be_chance(np.repeat([True, False], [90, 10]), np.repeat([0, 1], [90, 10]), 2), "the most frequent one"
    assert not could_be_chance(np.arange(60_000) % 6_000 < 900, many, 10), "of 60,000, without overflow"
    assert could_be_chance(np.zeros(0, np.bool_), np.zeros(0, np.int64), 3)


@pytest.mark.parametrize(
    ("sizes", "recall", "chance"),
    [((950, 50), 0.9, False), ((900, 100), 0.85, False), ((588, 12), 0.95, False), ((950, 50), 0.5, True)],
)
def test_rare_classes_that_are_recognized_are_no_chance(sizes: tuple[int, int], recall: float, chance: bool) -> None:
    labels = np.repeat([0, 1], sizes)
    correct = np.concatenate([np.arange(size) < round(recall * size) for size in sizes])
    assert correct.mean() < max(sizes) / sum(sizes), "less often right than always naming the most frequent class"
    assert could_be_chance(correct, labels, 2) == chance
    assert bool(describe_chance(np.where(correct, labels, 1 - labels), labels, 2, assumed=False)) == chance


@pytest.mark.parametrize("sizes", [[160, 30, 10], [500, *[1] * 49], [1] * 50, [2] * 50])
def test_guesses_are_seldom_taken_for_more(sizes: list[int]) -> None:
    random, taken = np.random.default_rng(0), 0
    labels = np.repeat(np.arange(len(sizes)), sizes)
    for _ in range(400):
        guesses = random.choice(len(sizes), len(labels), p=random.dirichlet(np.ones(len(sizes))))
        taken += not could_be_chance(guesses == labels, labels, len(sizes))
    # 5 and 1 % of the two tests, of 400
    assert taken <= 30


@pytest.mark.parametrize("head", ["sigmoid", "logit"])
def test_one_output_stands_for_two_classes(head: str, tmp_path: Path) -> None:
    model = write_color_model(tmp_path / "two.tflite", TWO, head=head)
    classifier = edgeclf.Classifier(model, input_range=RAW, labels=["red", "blue"])
    assert (classifier.class_count, classifier.labels) == (2, ("red", "blue"))
    mixed = np.full((8, 8, 3), (102, 0, 153), np.uint8)
    # by hand: the logit is 20 (0.6 - 0.4) = 4, since both colours have the same length
    second = 1 / (1 + np.exp(-4))
    scores = classifier.predict(mixed).labels
    assert [score.label for score in scores] == ["blue", "red"]
    assert [score.probability for score in scores] == pytest.approx([second, 1 - second], abs=1e-5)
    photos = np.stack([photo(color, side=8) for color in TWO])
    assert classifier.top1(photos).tolist() == [0, 1]
    assert classifier.probabilities(photos).sum(axis=1) == pytest.approx([1, 1])
    assert "its one output is taken for the probability of 'blue', the second of two classes" in classifier.notes[0]
    assert ("through a sigmoid" in classifier.notes[0]) == (head == "logit")
    report = edgeclf.inspect(model)
    assert report.classes == 2
    assert "the second of two classes" in report.notes[0]
    half = np.full((8, 8, 3), (128, 0, 128), np.uint8)
    assert classifier.top1(half[None])[0] == 0, "a tie goes to the lower index"


def test_one_output_is_packaged_and_verified(tmp_path: Path) -> None:
    from edgeclf.artifact.provenance import Provenance
    from edgeclf.compression.export.model_writer import package_model

    bare = write_color_model(tmp_path / "bare.tflite", TWO, head="sigmoid").read_bytes()
    made = Provenance({"name": "float32"}, {"class_names": ["red", "blue"]}, input_range=RAW)
    (tmp_path / "two.tflite").write_bytes(
        package_model(bare, labels=("red", "blue"), provenance=made, description="two colours")
    )
    classifier = edgeclf.Classifier(tmp_path / "two.tflite")
    assert (classifier.labels, classifier.label_source, classifier.notes) == (("red", "blue"), "metadata", ())
    assert [classifier.predict(photo(color)).labels[0].label for color in TWO] == ["red", "blue"]
    report = edgeclf.verify(tmp_path / "two.tflite")
    assert report.ok
    assert report.samples > 1


@pytest.mark.slow
def test_one_output_is_benched_and_predicted(tmp_path: Path) -> None:
    data = write_folders(tmp_path / "data", ("red", "violet"), TWO)
    model = write_color_model(tmp_path / "two.tflite", TWO, head="sigmoid")
    (result,) = edgeclf.bench(model, data=data, input_range=RAW, runs=3).models
    assert result.top1 == 1.0
    write_photo(tmp_path / "x.png", photo(TWO[1]))
    (tmp_path / "labels.txt").write_text("red\nviolet\n", encoding="utf-8")
    report = edgeclf.predict(model, tmp_path / "x.png", input_range=RAW)
    assert report.predictions[0].labels[0].label == "violet"


def test_few_images_that_are_right_raise_no_doubt() -> None:
    labels = np.array([0, 1, 2, 3])
    assert could_be_chance(np.array([True, True, False, False]), labels, 4)
    assert describe_chance(labels, labels, 4, assumed=True) == ""
    assert describe_chance(labels, np.array([0, 1]).repeat(2), 2, assumed=False).startswith("only 1 of 4 images")
    own = describe_chance(labels, np.array([0, 1]).repeat(2), 2, assumed=False, own=True)
    assert "hardly learned" in own
    assert "--normalize" not in own  # which models of edgeclf's own refuse


def test_a_named_set_has_the_order_of_its_numbers() -> None:
    from edgeclf.dataset import NAMED, Dataset, ImageView, Split
    from edgeclf.measure.class_order import assumed_order, describe_assumed_order, match_classes, order_classes

    names = NAMED["fashion_mnist"].class_names
    inside, labels = tuple(sorted(names)), np.arange(10)
    files = tuple(f"fashion_mnist/{number}" for number in range(10))
    split = Split(ImageView(np.zeros((10, 8, 8, 3), np.uint8), np.arange(10)), labels, files, files)
    data = Dataset("fashion_mnist", "fashion_mnist", inside, {"test": split}, 8, 8, "", 7)
    assert names[0] == "T-shirt/top" != inside[0]
    assert assumed_order(data) == names
    assert match_classes((), 10, data).tolist() == [inside.index(name) for name in names]
    assert match_classes(inside, 10, data).tolist() == list(range(10))
    assert "in the order of their numbers in fashion_mnist (T-shirt/top, Trouser" in describe_assumed_order(data)
    ordered = order_classes(data, names)
    assert [ordered.class_names[label] for label in ordered.splits["test"].labels] == list(inside)
    folder = Dataset("f", "fashion_mnist", ("a", "b"), {}, 8, 8, "", 7)
    assert assumed_order(folder) == ("a", "b")


def test_live_shows_the_names_that_are_given(tmp_path: Path) -> None:
    model = write_color_model(tmp_path / "two.tflite", TWO, head="sigmoid")
    for number, color in enumerate(TWO):
        write_photo(tmp_path / "frames" / f"{number}.png", photo(color))

    class Kept:
        def __init__(self) -> None:
            self.labels: list[str] = []

        def take(self, result: Any, picture: object) -> None:
            self.labels.append(result.raw_label)

        def close(self) -> None:
            pass

    settings: dict[str, Any] = {"camera": str(tmp_path / "frames"), "every_frame": True, "window": False}
    for labels, expected in ((None, ["0", "1"]), (["red", "blue"], ["red", "blue"])):
        kept, log = Kept(), io.StringIO()
        bar = edgeclf.ProgressBar(log)
        edgeclf.live(model, outputs=kept, labels=labels, input_range=RAW, progress=bar, **settings)
        assert kept.labels == expected
        assert (UNNAMED in log.getvalue()) == (labels is None)
        assert f"its one output is taken for the probability of {expected[1]!r}" in log.getvalue()
    (tmp_path / "names.txt").write_text("red\nblue\n", encoding="utf-8")
    command = ["live", str(model), "--camera", settings["camera"], "--every-frame", "--no-window", "--json"]
    names = ["--labels", str(tmp_path / "names.txt"), "--input-range", "0,255"]
    done = CliRunner().invoke(app, [*command, *names])
    assert [json.loads(line).get("raw_label") for line in done.stdout.splitlines()[:2]] == ["red", "blue"]
