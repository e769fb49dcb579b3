"""Input normalizations that a pair of numbers cannot say, and measurements that decide nothing, without TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import linear_models
import numpy as np
import numpy.typing as npt
import pytest
from linear_models import SIDE, put_behind, write_float_model, write_int8_model
from typer.testing import CliRunner, Result

import edgeclf
from edgeclf.artifact.class_names import UNNAMED
from edgeclf.artifact.normalization import (
    NORMALIZATIONS,
    RAW,
    Normalization,
    parse_normalization,
    resolve_normalization,
)
from edgeclf.artifact.pixels import apply_table, pixel_table
from edgeclf.cli.main import app
from edgeclf.dataset import Dataset, ImageView, Split
from edgeclf.errors import InputError
from edgeclf.inference.classifier import Classifier
from edgeclf.inference.frame_choice import FrameChoice
from edgeclf.inference.range_measurement import CANDIDATES, measure_input_range, normalize_images
from edgeclf.measure.bench import bench
from edgeclf.measure.plan import BenchPlan
from edgeclf.streaming.loop.settings import LiveSettings

PREPROCESSING = {
    # mean, std, blue first: as keras.applications.imagenet_utils has them
    "caffe": ([103.939, 116.779, 123.68], [1.0, 1.0, 1.0], True),
    "torch": ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375], False),
    "tf": ([127.5] * 3, [127.5] * 3, False),
    "0..1": ([0.0] * 3, [255.0] * 3, False),
    "raw": ([0.0] * 3, [1.0] * 3, False),
    "100,90,80/70,60,50": ([100.0, 90.0, 80.0], [70.0, 60.0, 50.0], False),
    "BGR:100,90,80/70": ([100.0, 90.0, 80.0], [70.0] * 3, True),
}
COLORS = np.array([[170, 90, 80], [90, 150, 90], [70, 100, 180]])
NAMES = ("red", "green", "blue")


def squares(count: int, seed: int, only: int | None = None) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """uint8[count, 8, 8, 3] of noisy colors, and their classes."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3 if only is None else np.full(count, only)
    colors = COLORS[labels][:, None, None] + random.normal(0, 25, (count, 1, 1, 3))
    images = np.clip(colors + random.normal(0, 40, (count, SIDE, SIDE, 3)), 0, 255)
    return images.astype(np.uint8), labels


def on_pixels(notes: Iterable[str]) -> list[str]:
    """The notes on how pixels enter: the models here name no classes, which is noted too."""
    return [note for note in notes if note != UNNAMED]


@pytest.fixture(scope="module")
def fitted() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """A linear network for values in 0..1, right about nearly all squares."""
    images, labels = squares(600, 0)
    digits = linear_models.Digits(images, labels, images, labels)
    weights, bias = linear_models.fit(digits)
    return weights[:3], bias[:3]


@pytest.fixture(scope="module")
def make_model(
    fitted: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Write the network behind one of `PREPROCESSING`."""
    folder = tmp_path_factory.mktemp("models")

    def make(name: str) -> Path:
        mean, std, blue_first = PREPROCESSING[name]
        weights, bias = put_behind(*fitted, np.array(mean), np.array(std), blue_first=blue_first)
        path = folder / f"model{list(PREPROCESSING).index(name)}.tflite"
        return write_float_model(path, weights * 255, bias)

    return make


def by_hand(name: str, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """What the network behind a preprocessing must be fed."""
    mean, std, blue_first = PREPROCESSING[name]
    return (images[..., :: -1 if blue_first else 1].astype(np.float64) - mean) / std


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments], prog_name="edgeclf")


@pytest.mark.parametrize("name", PREPROCESSING)
def test_names_and_numbers_are_what_keras_does(name: str) -> None:
    images, _ = squares(3, 1)
    made = parse_normalization(name)
    np.testing.assert_allclose(normalize_images(images, made), by_hand(name, images), rtol=1e-5, atol=1e-4)
    again = parse_normalization(made.text)
    assert again.agrees_with(made)
    assert made.agrees_with(again)
    assert Normalization.from_json(made.to_json()) == made


def test_ranges_are_names_too_and_a_pair_says_what_it_can() -> None:
    assert parse_normalization(" -1..1 ") == NORMALIZATIONS["tf"] == Normalization.from_range(-1, 1)
    assert parse_normalization("Caffe").pair is None
    assert parse_normalization("BGR:0/1").pair is None
    assert parse_normalization("RGB:0,0,0/2,2,2").pair == (0.0, 127.5)
    assert parse_normalization("0..255") == RAW


@pytest.mark.parametrize(
    "text",
    ["", "imagenet", "1..0", "0..x", "1,2,3", "1,2/3", "1,2,3/0", "1/-1", "GBR:1/1", "1/1/1", "nan/1", "1/inf",
     "x" * 500],
)  # fmt: skip
def test_what_is_no_normalization_is_answered_in_one_line_with_what_is_allowed(text: str) -> None:
    with pytest.raises(InputError, match="--normalize takes caffe, torch, tf") as error:
        parse_normalization(text, "--normalize")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_both_ways_of_saying_it_are_refused_before_anything_else(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not both"):
        resolve_normalization("torch", (0, 1))
    for command in (
        ("predict", "digits", tmp_path), ("bench", "digits"), ("live", "digits"), ("verify", "digits"),
        ("compress", tmp_path / "net.h5"),
    ):  # fmt: skip
        found = run(*command, "--normalize", "torch", "--input-range", "0,1")
        assert found.exit_code == 2, command
        assert "not both" in found.stderr, command
        assert found.stderr.count("\n") == 1, command


@pytest.mark.parametrize("name", PREPROCESSING)
def test_a_model_from_elsewhere_is_fed_as_the_option_says(name: str, make_model: Callable[[str], Path]) -> None:
    images, labels = squares(60, 2)
    plain = Classifier(make_model("0..1"), normalize="0..1")
    behind = Classifier(make_model(name), normalize=name)
    np.testing.assert_allclose(behind.probabilities(images), plain.probabilities(images), atol=2e-3)
    assert (behind.top1(images) == labels).mean() > 0.9
    assert on_pixels(behind.notes) == []


@pytest.mark.parametrize("name", list(PREPROCESSING)[:5])
def test_labelled_images_decide_what_a_network_expects(name: str, make_model: Callable[[str], Path]) -> None:
    images, labels = squares(300, 3)
    classifier = Classifier(make_model(name))
    chosen = classifier.choose_input_range(images, labels)
    # a linear network that is fed larger numbers of the same colors predicts the same
    assert NORMALIZATIONS[name] == chosen.normalization or not chosen.decided
    assert name not in ("caffe", "raw") or chosen.normalization == NORMALIZATIONS[name]
    assert (classifier.top1(images) == labels).mean() > 0.9


def test_one_photo_decides_nothing(make_model: Callable[[str], Path], tmp_path: Path) -> None:
    images, labels = squares(60, 4)
    paths = []
    for number, image in enumerate(images):
        paths.append(tmp_path / f"{number:02}.png")
        cv2.imwrite(str(paths[-1]), image[..., ::-1])
    model = make_model("tf")
    expected, right = int((Classifier(model, normalize="tf").top1(images) == labels).sum()), 0
    for path, label in zip(paths, labels, strict=True):
        (line,) = on_pixels(edgeclf.predict(model, path).notes)
        assert line.startswith("pixels enter as -1 to 1: assumed, not decided between -1..1, 0..1, torch, 0..255, caf")
        assert "--normalize" in line
        right += edgeclf.predict(model, path, top=1).predictions[0].labels[0].index == label
    assert right == expected > 50  # of 60
    found = run("predict", model, paths[0], "--json")
    assert "assumed, not decided" in found.stderr
    assert json.loads(found.stdout)["notes"] == list(edgeclf.predict(model, paths[0]).notes)
    many = edgeclf.predict(model, tmp_path, top=1)
    assert sum(one.labels[0].index == label for one, label in zip(many.predictions, labels, strict=True)) > 50
    assert any("--normalize" in note for note in many.notes)
    assert edgeclf.predict(model, paths[0], normalize="tf").notes == (UNNAMED,)


@pytest.mark.parametrize("name", ["tf", "0..1", "torch"])
def test_photos_of_one_class_decide_nothing(name: str, make_model: Callable[[str], Path]) -> None:
    images, labels = squares(60, 5, only=1)
    for known in (None, labels):
        chosen = Classifier(make_model(name)).choose_input_range(images, known)
        assert not chosen.decided
        assert chosen.normalization == NORMALIZATIONS["tf"]
        assert "assumed, not decided" in chosen.sentence
        assert type(chosen).from_json(chosen.to_json()) == chosen


def test_scores_within_noise_decide_nothing() -> None:
    """A network that looks at nothing but which channel is the brightest."""

    def predict(tensors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        strongest = tensors.mean(axis=(1, 2)) - tensors.mean(axis=(1, 2, 3))[:, None]
        return np.asarray(np.eye(3)[strongest.argmax(axis=1)] * 0.9 + 0.1 / 3, np.float32)

    images, labels = squares(64, 6)
    chosen = measure_input_range(predict, images, labels)
    assert not chosen.decided
    assert chosen.normalization == NORMALIZATIONS["tf"]
    assert {"0..1", "-1..1", "torch"} <= set(chosen.remaining)


def test_what_one_photo_left_open_many_decide(make_model: Callable[[str], Path]) -> None:
    images, labels = squares(90, 11)
    classifier = Classifier(make_model("raw"))
    classifier.predict(images[0])
    assert classifier.input_range is not None
    assert classifier.input_range.normalization == NORMALIZATIONS["tf"]
    assert (classifier.top1(images) == labels).mean() > 0.85
    assert classifier.input_range.normalization == RAW
    kept = classifier.input_range
    assert classifier.choose_input_range(images[:30]) is kept


def test_a_few_pictures_without_labels_are_not_even_tried() -> None:
    def predict(tensors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        raise AssertionError("nothing to try")

    assert measure_input_range(predict, squares(5, 0)[0]).scores is None


def test_the_frames_of_a_camera_decide_over_time(make_model: Callable[[str], Path]) -> None:
    images, labels = squares(400, 7)
    classifier = Classifier(make_model("raw"))
    classifier.choose_over_frames()
    assert classifier.input_range is not None
    assert not classifier.input_range.decided
    assert "assumed, not decided" in on_pixels(classifier.notes)[0]
    before, now = classifier.notes, [0.0]
    classifier._frame_choice = FrameChoice(frames=20, seconds_apart=0.5, clock=lambda: now[0])
    for turn, image in enumerate(images):
        classifier.scores(image)
        now[0] += 0.1
        if turn == 5 * 18:
            assert classifier.notes == before
    assert classifier.input_range.normalization == RAW
    assert classifier.input_range.scores is not None
    assert classifier.notes != before
    assert (classifier.top1(images) == labels).mean() > 0.9


def test_a_frame_is_looked_at_under_one_candidate_a_turn() -> None:
    asked: list[int] = []

    def predict(tensors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        asked.append(len(tensors))
        return np.full((len(tensors), 3), 1 / 3, np.float32)

    now = [0.0]
    choice = FrameChoice(frames=2, seconds_apart=1.0, clock=lambda: now[0])
    frame = squares(1, 0)[0][0]
    counts = []
    for _ in range(len(CANDIDATES) + 3):
        assert choice.add(frame, predict) is None
        counts.append(len(asked))
    assert counts == [1, 2, 3, 4, 5, 5, 5, 5]  # and nothing more until a second has passed
    now[0] = 1.0
    found = [choice.add(frame, predict) for _ in CANDIDATES]
    assert [one is None for one in found] == [True] * 4 + [False]
    assert found[-1] is not None
    assert not found[-1].decided


def _quantized(fitted: Any, name: str, folder: Path) -> Path:
    """The network behind a preprocessing, its uint8 input spanning what comes out of that, as a converter makes it."""
    mean, std, blue_first = (np.array(part) for part in PREPROCESSING[name])
    low, high = (0 - mean) / std, (255 - mean) / std
    scale = (high.max() - low.min()) / 255
    weights, bias = put_behind(*fitted, mean, std, blue_first=bool(blue_first))
    zero = round(-low.min() / scale)
    return write_int8_model(folder / "quantized.tflite", weights, bias, input_scale=scale, input_zero=zero)


@pytest.mark.parametrize("name", PREPROCESSING)
def test_an_8_bit_input_is_fed_by_its_quantization(fitted: Any, name: str, tmp_path: Path) -> None:
    images, labels = squares(90, 8)
    path = _quantized(fitted, name, tmp_path)
    assert (Classifier(path, normalize=name).top1(images) == labels).mean() > 0.9
    plain = Classifier(path)
    usual = name in NORMALIZATIONS
    notes = on_pixels(plain.notes)
    assert (not notes) == (name in ("tf", "0..1", "raw"))
    assert all("--normalize" in note for note in notes)
    assert not usual or (plain.top1(images) == labels).mean() > 0.9
    assert usual or "none of the usual ranges" in notes[0]


def test_what_an_8_bit_input_cannot_hold_is_noted(fitted: Any, tmp_path: Path) -> None:
    path = _quantized(fitted, "0..1", tmp_path)
    (note,) = on_pixels(Classifier(path, normalize="-0.5..1").notes)
    assert "holds 0 to 1: what is beyond is cut off" in note
    with pytest.raises(InputError, match="leaves 2 of 256 values apart"):
        Classifier(path, normalize="raw")


def test_gray_pictures_have_one_channel(tmp_path: Path) -> None:
    gray = Path(__file__).parent / "tflite" / "gray_uint8.tflite"
    with pytest.raises(InputError, match="takes gray pictures: expected one mean and one std"):
        Classifier(gray, normalize="torch")


def _dataset(labels_moved: int = 0) -> Dataset:
    images, labels = squares(120, 9)
    names = tuple(f"{row}.png" for row in range(len(labels)))
    split = Split(ImageView(images, np.arange(len(images))), (labels + labels_moved) % 3, names, names)
    return Dataset("squares", "squares", NAMES, {"test": split}, SIDE, SIDE, "f" * 32, 1)


def test_bench_measures_and_says_what_a_pair_cannot(make_model: Callable[[str], Path]) -> None:
    model = make_model("caffe")
    from edgeclf.artifact.model_file import ModelFile

    plan = BenchPlan((str(model),), runs=5)
    (found,) = bench(plan, [ModelFile.read(model)], dataset=_dataset()).models
    assert (found.input_range, found.normalization) == (None, NORMALIZATIONS["caffe"])
    assert found.top1 is not None
    assert found.top1 > 0.9
    assert not any("could be chance" in note for note in found.notes)
    given = BenchPlan((str(model),), runs=5, normalization=NORMALIZATIONS["caffe"])
    assert bench(given, [ModelFile.read(model)], dataset=_dataset()).models[0].top1 == found.top1
    (turned,) = bench(given, [ModelFile.read(model)], dataset=_dataset(1)).models
    (note,) = [note for note in turned.notes if "could be chance" in note]
    assert "--normalize" in note
    assert "--labels" in note


def test_the_plans_carry_one_value() -> None:
    settings = LiveSettings(normalization=NORMALIZATIONS["torch"])
    assert LiveSettings.from_json(settings.to_json()) == settings
    with pytest.raises(InputError, match="not both"):
        edgeclf.live("digits", normalize="torch", input_range=(0, 1))


def test_verify_refuses_another_normalization_than_that_of_the_samples() -> None:
    assert edgeclf.verify("digits", normalize="raw").ok
    with pytest.raises(InputError, match=r"expected 0,255 \(provenance\), got caffe; leave --normalize and --input-r"):
        edgeclf.verify("digits", normalize="caffe")


def test_a_table_with_blue_first() -> None:
    image = np.array([[[10, 20, 30]]], np.uint8)
    table = pixel_table("float32", 0, 0, Normalization((1.0, 2.0, 3.0), (1.0, 2.0, 4.0), "BGR"))
    np.testing.assert_allclose(apply_table(table, image, "BGR"), [[[29.0, 9.0, 1.75]]])
