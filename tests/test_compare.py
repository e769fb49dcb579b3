"""`compare`: two trainings on the images that neither used, paired; refusals in one line."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from command_line import edgeclf
from linear_models import Digits, fit, load_digits, write_float_model, write_int8_model

import edgeclf as package
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.dataset import Dataset, load_dataset
from edgeclf.dataset.known_images import write_images
from edgeclf.errors import DataError, InputError, MissingExtraError, UnknownNameError
from edgeclf.measure.baseline import BaselineNetwork
from edgeclf.measure.compare import run_compare
from edgeclf.measure.compare_opening import CompareParts, NetworkCosts
from edgeclf.measure.compare_plan import ComparePlan
from edgeclf.measure.compare_report import CompareReport, write_int8_size
from edgeclf.measure.compare_sides import find_sides
from edgeclf.measure.statistics import holm, mcnemar_p
from edgeclf.progress import SILENT, Progress

NAMES = tuple("0123456789")
Weights = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


class Linear:
    """A float network."""

    labels, size, device, threads, parameters = NAMES, (8, 8), "CPU (numpy)", 1, 1930

    def __init__(self, weights: Weights) -> None:
        self._weights = weights

    def probabilities(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        weights, bias = self._weights
        return np.asarray(np.asarray(images[:]).reshape(len(images), -1) / 255 @ weights.T + bias, np.float32)

    def top1(self, images: npt.NDArray[np.uint8], progress: Progress = SILENT) -> npt.NDArray[np.int64]:
        return self.probabilities(images).argmax(1).astype(np.int64)

    def single_call(self) -> Callable[[], object]:
        return lambda: None


@pytest.fixture(scope="module")
def digits() -> Digits:
    return load_digits()


@pytest.fixture(scope="module")
def weights(digits: Digits) -> dict[str, Weights]:
    good, bias = fit(digits)
    return {"good": (good, bias), "rough": (np.round(good / 0.15) * 0.15, bias)}


@pytest.fixture(scope="module")
def photos(digits: Digits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("compared") / "photos"
    for index, (image, label) in enumerate(zip(digits.test_images, digits.test_labels, strict=True)):
        path = top / str(label) / f"{index:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image[..., ::-1])
    return top


@pytest.fixture(scope="module")
def dataset(photos: Path) -> Dataset:
    return load_dataset(photos, image_size=8)


def make_run(
    path: Path, data: Dataset | None, source: Path | str, classes: tuple[str, ...] = NAMES, **config: Any
) -> Path:
    """Make a run folder; `data` None: of a version that did not record its images."""
    path.mkdir(parents=True)
    folder = RunFolder(path, must_exist=False)
    seed = 20240517 if data is None else data.split_seed
    facts = {"source": str(source), "class_names": list(classes), "split_seed": seed, "fingerprint": "f00d"}
    folder.write_record({"name": path.name, "finished": True, "config": config, "data": facts})
    if data is not None:
        write_images(folder, data)
    folder.keras_path.touch()
    return path


@pytest.fixture
def runs(tmp_path: Path, photos: Path, dataset: Dataset) -> tuple[Path, Path]:
    first = make_run(tmp_path / "good", dataset, photos, epochs=3, seed=0, model="cnn")
    second = make_run(tmp_path / "rough", dataset, photos, epochs=5, seed=0, model="cnn", fit="stretch")
    (second / "compressed").mkdir()
    (second / "compressed" / "rough-int8.tflite").write_bytes(b"x" * 3000)
    return first, second


def compare(first: Path, second: Path, weights: dict[str, Weights], **settings: Any) -> CompareReport:
    def open_network(path: Path, *_: object) -> BaselineNetwork:
        name = path.parent.name.partition("-")[0]
        return BaselineNetwork(Linear(weights[name]), name, class_count=10, notes=("float baseline: it is linear",))

    host = CompareParts(open_network, lambda path, size: NetworkCosts(10 * size[0], 2500))
    return run_compare(ComparePlan(str(first), str(second), **settings), host)


def test_figures_of_two_runs_equal_those_computed_apart(
    runs: tuple[Path, Path], dataset: Dataset, weights: dict[str, Weights]
) -> None:
    report = compare(*runs, weights)
    test = dataset.splits["test"]
    before, after = (Linear(weights[name]).top1(test.images) for name in ("good", "rough"))  # type: ignore[arg-type]
    was, now = before == test.labels, after == test.labels
    assert (report.first.name, report.second.name) == ("good", "rough")
    assert (report.data.images, report.left_out) == (len(test), 0)
    assert (report.first.top1, report.second.top1) == (was.mean(), now.mean())
    assert report.difference == pytest.approx(now.mean() - was.mean(), abs=1e-12)
    assert report.p_value == mcnemar_p(int((was & ~now).sum()), int((~was & now).sum()))
    assert report.difference_interval[0] < report.difference < report.difference_interval[1]
    counts = [(int((was & ~now)[test.labels == k].sum()), int((~was & now)[test.labels == k].sum())) for k in range(10)]
    assert [cost.p_value for cost in report.per_class] == pytest.approx(holm([mcnemar_p(*pair) for pair in counts]))
    assert [cost.baseline_top1 for cost in report.per_class] == [was[test.labels == k].mean() for k in range(10)]
    flipped = {test.paths[row] for row in np.flatnonzero(before != after)}
    assert {flip.path for flip in report.flips} == flipped
    assert report.flip_counts.total == len(flipped)
    assert report.flip_counts.lost == (was & ~now).sum() > 0
    assert {setting.name: (setting.first, setting.second) for setting in report.settings} == {
        "epochs": (3, 5),
        "fit": (None, "stretch"),
    }
    assert (report.first.parameters, report.first.macs, report.first.int8_bytes) == (1930, 80, 2500)
    assert report.second.compressed == {"rough-int8.tflite": 3000}
    assert write_int8_size(report.second) == "3.00 kB"
    assert report.first.notes == ("it is linear",)
    assert report.first.known_by == report.second.known_by == "record"
    assert CompareReport.from_json(report.to_json()) == report
    assert compare(*runs, weights).to_dict() | {"seconds": 0} == report.to_dict() | {"seconds": 0}


def test_the_file_of_another_recipe_is_not_taken_for_plain_int8(runs: tuple[Path, Path], weights: Any) -> None:
    folder = runs[1] / "compressed"
    (folder / "rough-int8.tflite").rename(folder / "rough-shrink60-int8.tflite")
    assert write_int8_size(compare(*runs, weights).second) == "about 2.50 kB"


def test_images_that_one_of_them_used_are_left_out(
    runs: tuple[Path, Path], dataset: Dataset, weights: dict[str, Weights]
) -> None:
    first, second = runs
    # the first run trained on three test images of the second, and chose its epoch by two more
    moved = (first / "images.csv").read_text()
    for number, content in enumerate(dataset.splits["test"].hashes[:5]):
        label = NAMES[dataset.splits["test"].labels[number]]
        line = f"{label},{content[:16]}"
        moved = moved.replace(f"test,{line}", f"{'train' if number < 3 else 'validation'},{line}")
    (first / "images.csv").write_text(moved)
    report = compare(first, second, weights)
    assert (report.left_out, report.data.images) == (5, len(dataset.splits["test"]) - 5)
    assert any("5 of 67 test images are left out" in note for note in report.notes)
    swapped = compare(second, first, weights)
    assert swapped.left_out == 5
    assert swapped.difference == -report.difference
    assert swapped.flip_counts == dataclasses.replace(
        report.flip_counts, lost=report.flip_counts.gained, gained=report.flip_counts.lost
    )
    validation = compare(first, second, weights, split="validation")
    assert validation.data.images == len(dataset.splits["validation"])
    assert any("also chose the epoch" in note for note in validation.notes)


def test_images_of_a_run_that_one_of_them_grew_from_are_left_out_too(
    runs: tuple[Path, Path], dataset: Dataset, weights: dict[str, Weights]
) -> None:
    first, second = runs
    oldest = first.with_name("oldest")
    for young, old in ((first, oldest), (oldest, first.with_name("gone"))):
        shutil.copytree(first, oldest, dirs_exist_ok=True)
        record = json.loads((young / "run.json").read_text())
        record["config"]["from_run"] = str(old)
        (young / "run.json").write_text(json.dumps(record))
    table = (oldest / "images.csv").read_text()
    for content in dataset.splits["test"].hashes[:4]:
        label = NAMES[dataset.splits["test"].labels[dataset.splits["test"].hashes.index(content)]]
        table = table.replace(f"test,{label},{content[:16]}", f"train,{label},{content[:16]}")
    (oldest / "images.csv").write_text(table)
    report = compare(first, second, weights)
    assert report.left_out == 4
    assert any(note.startswith(f"{first.with_name('gone')}: good began from it") for note in report.notes)


def test_photos_are_those_of_the_second_run_else_of_the_first(
    runs: tuple[Path, Path], photos: Path, dataset: Dataset, weights: dict[str, Weights], tmp_path: Path
) -> None:
    first, _ = runs
    elsewhere = make_run(tmp_path / "rough-moved", None, tmp_path / "gone")
    report = compare(first, elsewhere, weights)
    assert report.data.source == str(photos)
    assert report.second.known_by == "split rule"
    assert any("rough-moved did not record its photos" in note for note in report.notes)
    lost = make_run(tmp_path / "good-moved", dataset, tmp_path / "gone")
    with pytest.raises(DataError, match=r"the photos of good-moved are missing .*gone.*; name where they are .*--data"):
        compare(lost, elsewhere, weights)
    assert compare(lost, elsewhere, weights, data=str(photos)).data.images == report.data.images


def test_what_cannot_be_compared_is_refused(
    runs: tuple[Path, Path], photos: Path, dataset: Dataset, weights: dict[str, Weights], tmp_path: Path
) -> None:
    first, second = runs
    other = make_run(tmp_path / "rough-other", dataset, photos, (*NAMES[:8], "nine", "ten"))
    with pytest.raises(
        InputError, match="different classes: '8', '9' only in good and 'nine', 'ten' only in rough-other"
    ):
        compare(first, other, weights)
    few = {name: split.subset(np.arange(5) + 5 * place) for place, (name, split) in enumerate(dataset.splits.items())}
    apart = make_run(tmp_path / "rough-apart", dataclasses.replace(dataset, splits=few), photos)
    rest = {name: split.subset(np.arange(30, len(split))) for name, split in dataset.splits.items()}
    alone = make_run(tmp_path / "good-alone", dataclasses.replace(dataset, splits=rest), photos)
    with pytest.raises(InputError, match=r"no photo in common \(\d+ and 15\); name photos .*--data"):
        compare(alone, apart, weights)
    assert compare(alone, apart, weights, data=str(photos)).data.images > 0
    used = {"train": dataset.splits["test"], "validation": dataset.splits["validation"], "test": few["test"]}
    greedy = make_run(tmp_path / "rough-greedy", dataclasses.replace(dataset, splits=used), photos)
    with pytest.raises(DataError, match="have used all 67 images of the split 'test' in training; name other photos"):
        compare(first, greedy, weights)
    with pytest.raises(InputError, match="is compared with itself"):
        compare(first, first / "model.keras", weights)
    with pytest.raises(UnknownNameError, match="unknown split 'train'"):
        compare(first, second, weights, split="train")
    with pytest.raises(MissingExtraError, match=r"float network .* needs tensorflow"):
        run_compare(ComparePlan(str(first), str(second)))
    (first / "model.keras").unlink()
    with pytest.raises(InputError, match=r"its network model.keras is not there"):
        compare(first, second, weights)


def test_two_model_files_are_compared_without_tensorflow(
    photos: Path, weights: dict[str, Weights], digits: Digits, tmp_path: Path
) -> None:
    write_float_model(tmp_path / "float.tflite", *weights["good"])
    write_int8_model(tmp_path / "int3.tflite", *weights["good"], bits=3)
    arguments = ("compare", "float.tflite", "int3.tflite", "--data", photos, "--normalize", "raw")
    done = edgeclf(tmp_path, *arguments, "--json", "--out", "figures", "--quiet")
    document = json.loads(done.stdout)
    assert done.exit_code == 0, done.stderr
    assert CompareReport.from_dict(document).first.size_bytes == (tmp_path / "float.tflite").stat().st_size
    assert json.loads((tmp_path / "figures" / "compare.json").read_text())["difference"] == document["difference"] < 0
    assert document["second"]["known_by"] == "assumed"
    assert document["settings"] == []
    shown = edgeclf(tmp_path, *arguments, "--report", "page.html")
    assert shown.exit_code == 0, shown.stderr
    assert "images that neither is known to have used in training" in shown.stdout
    assert shown.stdout.count("within chance") + shown.stdout.count("beyond chance") >= 10
    for folder in ("old", "new"):
        (tmp_path / folder).mkdir()
    shutil.copy(tmp_path / "float.tflite", tmp_path / "old/model.tflite")
    shutil.copy(tmp_path / "int3.tflite", tmp_path / "new/model.tflite")
    for pair in (("old", "new"), ("old/model.tflite", "new/model.tflite")):
        found = find_sides(*(str(tmp_path / one) for one in pair))
        assert len({side.name for side in found}) == 2, "tables and notes know them by their names"
    shutil.copy(next((Path(__file__).parents[1] / "models" / "digits").glob("*.tflite")), tmp_path / "digits.tflite")
    fitted = edgeclf(
        tmp_path,
        "compare",
        "float.tflite",
        "digits.tflite",
        "--data",
        photos,
        "--normalize",
        "raw",
        "--fit",
        "pad",
        "--json",
        "--quiet",
    )
    notes = json.loads(fitted.stdout)["second"]["notes"]
    assert any(note.startswith("the fit pad was not applied to it: it knows how") for note in notes)
    page = (tmp_path / "page.html").read_text()
    assert "that neither is known to have used in training, in 10 classes</p>" in page
    assert page.count("data:image/png") == min(24, document["flip_counts"]["lost"]) + sum(
        min(12, document["flip_counts"][kind]) for kind in ("gained", "changed")
    )
    for refused in ((*arguments, "--report", "page.html"), ("compare", "float.tflite", "int3.tflite")):
        again = edgeclf(tmp_path, *refused)
        assert (again.exit_code, again.stdout) == (2, "")
        assert again.stderr.strip().splitlines()[-1].startswith("edgeclf: ")


def test_two_keras_networks_are_compared_with_their_macs(
    photos: Path, weights: dict[str, Weights], dataset: Dataset, tmp_path: Path
) -> None:
    tf_keras = pytest.importorskip("tf_keras")
    for name in ("good", "rough"):
        layers = tf_keras.layers
        network = tf_keras.Sequential(
            [
                layers.Input((8, 8, 3)),
                layers.Rescaling(1 / 255),
                layers.Flatten(),
                layers.Dense(10, activation="softmax"),
            ]
        )
        kernel, bias = weights[name]
        network.layers[-1].set_weights([kernel.T, bias])
        run = make_run(tmp_path / name, dataset, photos)
        (run / "model.keras").unlink()
        network.save(run / "model.keras")
    report = package.compare(tmp_path / "good", tmp_path / "rough")
    expected = compare(tmp_path / "good", tmp_path / "rough", weights)
    assert (report.difference, report.p_value) == (expected.difference, expected.p_value)
    # 8 x 8 x 3 inputs, 10 outputs
    assert (report.first.parameters, report.first.macs) == (8 * 8 * 3 * 10 + 10, 8 * 8 * 3 * 10)
    assert report.first.kind == "run"
    shutil.copy(tmp_path / "good" / "model.keras", tmp_path / "alone.keras")
    (tmp_path / "labels.txt").write_text("\n".join(NAMES))
    file = package.compare(tmp_path / "alone.keras", tmp_path / "rough" / "model.keras", data=photos)
    assert (file.first.kind, file.first.known_by, file.second.known_by) == ("network", "assumed", "record")
    assert file.difference == report.difference


def test_a_network_that_takes_rectangles_is_compared_with_its_macs(photos: Path, tmp_path: Path) -> None:
    tf_keras = pytest.importorskip("tf_keras")
    layers = tf_keras.layers
    for name in ("first", "second"):
        inputs = layers.Input((8, 12, 3))
        x = layers.Conv2D(4, 3, strides=2, padding="same")(layers.Rescaling(1 / 255)(inputs))
        tf_keras.Model(inputs, layers.Dense(10, activation="softmax")(layers.Flatten()(x))).save(
            tmp_path / f"{name}.keras"
        )
    (tmp_path / "labels.txt").write_text("\n".join(NAMES))
    report = package.compare(tmp_path / "first.keras", tmp_path / "second.keras", data=photos)
    # 4 x 6 places of 27 values for 4 filters, and a dense layer on them all
    assert report.first.macs == report.second.macs == 24 * 27 * 4 + 24 * 4 * 10
    assert report.first.input_size == (8, 12)
