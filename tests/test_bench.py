"""`bench` on real models of real digits: every figure against one that is computed apart."""

from __future__ import annotations

import dataclasses
import gzip
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from linear_models import Digits, fit, load_digits, write_float_model, write_int8_model

from edgeclf.artifact import model_file
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import NORMALIZATIONS, RAW
from edgeclf.dataset import Dataset, ImageView, Split
from edgeclf.errors import DataError, InputError, UnknownNameError
from edgeclf.image.shape import InputShape
from edgeclf.measure import bench as bench_module
from edgeclf.measure.baseline import Baseline
from edgeclf.measure.latency import Latency
from edgeclf.measure.machine import describe_machine
from edgeclf.measure.memory import Memory
from edgeclf.measure.plan import BenchPlan
from edgeclf.measure.report import BenchReport
from edgeclf.measure.report_file import load_report, save_report
from edgeclf.measure.run import run_bench
from edgeclf.measure.statistics import mcnemar_p, wilson_interval
from edgeclf.measure.stopwatch import Percentiles
from edgeclf.measure.subjects import DatasetLoader
from edgeclf.measure.target import Measurements
from edgeclf.progress import Progress

NAMES = tuple("0123456789")


def bench(
    models: Sequence[Path],
    *,
    dataset: Dataset | DatasetLoader | None = None,
    baseline: Baseline | None = None,
    **settings: Any,
) -> BenchReport:
    plan = BenchPlan(tuple(map(str, models)), **settings)
    files = [ModelFile.read(model) for model in models]
    return bench_module.bench(plan, files, dataset=dataset, baseline=baseline)


class Recorded:
    """A target that measures nothing, and records what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[BenchPlan, tuple[ModelFile, ...]]] = []

    def measure(self, plan: BenchPlan, files: Sequence[ModelFile], progress: Progress) -> Measurements:
        self.asked.append((plan, tuple(files)))
        times = Percentiles(1.0, 2.0, 3.0)
        latencies = tuple(Latency(str(f.path), 1, times, 10, 5, True, 0.5, 0.01) for f in files)
        memories = (Memory("anonymous", 2_000_000, 1_000_000, 3_000_000),) * len(files)
        return Measurements(describe_machine(), latencies, memories, (None,) * len(files))


@pytest.fixture(scope="module")
def digits() -> Digits:
    return load_digits()


@pytest.fixture(scope="module")
def folder(digits: Digits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, and the test photos as files."""
    folder = tmp_path_factory.mktemp("bench")
    weights, bias = fit(digits)
    write_float_model(folder / "float.tflite", weights, bias)
    write_int8_model(folder / "int8.tflite", weights, bias)
    write_int8_model(folder / "int3.tflite", weights, bias, bits=3)
    for index, image in enumerate(digits.test_images):
        cv2.imwrite(str(folder / f"{index:03d}.png"), image[..., ::-1])
    return folder


@pytest.fixture(scope="module")
def dataset(digits: Digits, folder: Path) -> Dataset:
    count = len(digits.test_labels)
    paths = tuple(str(folder / f"{index:03d}.png") for index in range(count))
    view = ImageView(digits.test_images, np.arange(count))
    split = Split(view, digits.test_labels, paths, tuple(map(str, range(count))))
    return Dataset("digits", str(folder), NAMES, {"test": split}, 8, 8, "f00d", 1)


@pytest.fixture(scope="module")
def baseline(digits: Digits, dataset: Dataset) -> Baseline:
    weights, bias = fit(digits)
    scores = digits.test_images.reshape(len(digits.test_images), -1) / 255 @ weights.T + bias
    return Baseline("ridge", "CPU (numpy)", scores.argmax(1), dataset.splits["test"].paths, parameters=1930)


@pytest.fixture(scope="module")
def report(folder: Path, dataset: Dataset, baseline: Baseline) -> BenchReport:
    models = [folder / "int8.tflite", folder / "int3.tflite"]
    return bench(models, dataset=dataset, baseline=baseline, threads=(1, 2), runs=40)


def test_the_json_has_the_keys_that_scripts_read(report: BenchReport) -> None:
    document = json.loads(report.to_json())
    assert {"machine", "baseline", "models"} <= set(document)
    assert {"name", "device", "top1"} <= set(document["baseline"])
    expected = {
        *("path", "runtime", "threads", "top1", "top1_interval", "difference", "difference_interval", "p_value"),
        *("size_bytes", "gzip_bytes", "parameters", "macs", "latency_ms", "load_ms", "peak_memory_bytes"),
    }
    for model in document["models"]:
        assert expected <= set(model)
        assert set(model["latency_ms"]) == {"median", "p90", "p99"}
    assert "\n" not in report.to_json()


def test_each_model_at_each_thread_count(report: BenchReport) -> None:
    assert [(m.name, m.threads) for m in report.models] == [("int8", 1), ("int8", 2), ("int3", 1), ("int3", 2)]


def test_figures_equal_those_computed_apart(
    report: BenchReport, digits: Digits, baseline: Baseline, folder: Path
) -> None:
    from ai_edge_litert.interpreter import Interpreter

    for model in report.models:
        interpreter = Interpreter(model.path)
        interpreter.allocate_tensors()
        predictions = []
        for image in digits.test_images:
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
            interpreter.invoke()
            predictions.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0].argmax())
        right = np.array(predictions) == digits.test_labels
        before = baseline.predictions == digits.test_labels
        assert model.top1 == right.mean()
        assert model.top1_interval == wilson_interval(int(right.sum()), len(right))
        assert model.difference == pytest.approx(right.mean() - before.mean(), abs=1e-12)
        assert model.p_value == mcnemar_p(int((before & ~right).sum()), int((~before & right).sum()))
        assert model.difference_interval is not None
        assert model.difference_interval[0] <= model.difference <= model.difference_interval[1]
        content = Path(model.path).read_bytes()
        assert model.size_bytes == len(content)
        assert model.gzip_bytes == len(gzip.compress(content, compresslevel=9, mtime=0))
        assert model.input_size == (8, 8)
    assert report.baseline is not None
    assert report.baseline.top1 == np.mean(baseline.predictions == digits.test_labels)


def test_macs_and_parameters_are_those_of_one_dense_layer(report: BenchReport) -> None:
    # 8 x 8 x 3 inputs, 10 outputs; the bias adds 10 parameters and no multiplication.
    assert report.models[0].macs == 192 * 10
    assert report.models[0].parameters == 192 * 10 + 10


def test_class_differences_add_up_to_the_whole(report: BenchReport) -> None:
    for model in report.models:
        comparison = report.comparison(model.name)
        assert comparison is not None
        assert [c.label for c in comparison.per_class] == list(NAMES)
        total = sum(c.images for c in comparison.per_class)
        weighted = sum((c.difference or 0.0) * c.images for c in comparison.per_class)
        assert weighted / total == pytest.approx(model.difference, abs=1e-12)


def test_flips_are_the_images_whose_prediction_changed(report: BenchReport, digits: Digits) -> None:
    comparison = report.comparison("int3")
    assert comparison is not None
    assert comparison.flips
    kinds = [flip.kind for flip in comparison.flips]
    assert report.models[2].difference == pytest.approx(
        (kinds.count("gained") - kinds.count("lost")) / len(digits.test_labels), abs=1e-12
    )
    for flip in comparison.flips:
        assert flip.baseline != flip.model
        assert flip.path.endswith(f"/{flip.index:03d}.png")
        assert flip.label == NAMES[digits.test_labels[flip.index]]
        assert (flip.kind == "lost") == (flip.baseline == flip.label)
        assert (flip.kind == "gained") == (flip.model == flip.label)


def test_preprocessing_is_timed_on_the_files(report: BenchReport) -> None:
    assert report.models[0].preprocessing_ms is not None
    assert report.models[0].preprocessing_ms.median > 0


def test_without_data_accuracy_is_null_and_the_rest_is_measured(folder: Path) -> None:
    report = bench([folder / "int8.tflite"], runs=20)
    model = report.models[0]
    assert (report.data, report.baseline, report.comparisons) == (None, None, ())
    assert (model.top1, model.top1_interval, model.difference, model.difference_interval, model.p_value) == (None,) * 5
    assert model.preprocessing_ms is None
    assert model.latency_ms.median > 0
    assert model.peak_memory_bytes > 0


def test_without_a_baseline_differences_are_null(folder: Path, dataset: Dataset) -> None:
    report = bench([folder / "int8.tflite"], dataset=dataset, runs=20)
    assert report.models[0].top1 is not None
    assert report.models[0].difference is None
    assert report.comparisons[0].flips == ()
    assert report.comparisons[0].per_class[0].difference is None


def test_a_baseline_on_other_images_is_refused(folder: Path, dataset: Dataset, baseline: Baseline) -> None:
    other = replace(baseline, paths=("x.png", *baseline.paths[1:]))
    with pytest.raises(DataError, match="was run on other images"):
        bench([folder / "int8.tflite"], dataset=dataset, baseline=other, runs=5)


def test_models_of_another_size_need_a_loader(folder: Path, dataset: Dataset, baseline: Baseline) -> None:
    with pytest.raises(DataError, match="takes images of 8x8 pixels, but the data was loaded at 9x9"):
        bench([folder / "int8.tflite"], dataset=replace(dataset, height=9, width=9), runs=5)
    with pytest.raises(DataError, match="takes images by the fit stretch, the data was loaded by pad"):
        bench([folder / "int8.tflite"], dataset=replace(dataset, fit="pad"), runs=5)
    asked: list[InputShape] = []

    def load(shape: InputShape) -> Dataset:
        asked.append(shape)
        return dataset

    report = bench([folder / "int8.tflite"], dataset=load, baseline=baseline, runs=5)
    assert asked == [InputShape(8, 8)]
    assert report.models[0].top1 is not None


def test_a_model_that_names_no_classes_says_so_even_where_numbers_are_the_classes(
    folder: Path, dataset: Dataset
) -> None:
    clothes = dataclasses.replace(dataset, class_names=tuple(f"garment {name}" for name in NAMES))
    for data in (dataset, clothes):
        (model,) = bench([folder / "int8.tflite"], dataset=data, runs=10).models
        assert [note.partition(",")[0] for note in model.notes] == ["it names no classes"]


def test_data_without_test_photos_say_what_they_have(folder: Path, dataset: Dataset) -> None:
    splits = {"train": dataset.splits["test"], "validation": dataset.splits["test"]}
    without = dataclasses.replace(dataset, splits=splits)
    said = "there are no test photos, only train and validation; --split validation measures on the photos that chose"
    with pytest.raises(DataError, match=said):
        bench([folder / "int8.tflite"], dataset=without, runs=5)
    assert bench([folder / "int8.tflite"], dataset=without, split="validation", runs=5).models[0].top1 is not None


def test_a_missing_split_and_no_model_are_refused(folder: Path, dataset: Dataset) -> None:
    with pytest.raises(UnknownNameError, match="unknown split 'tset'; did you mean 'test'"):
        bench([folder / "int8.tflite"], dataset=dataset, split="tset", runs=5)
    with pytest.raises(InputError, match="at least one model"):
        bench([])


def test_a_plan_survives_json_and_refuses_what_cannot_be() -> None:
    plan = BenchPlan(
        ("a.tflite",), data="photos", threads=(1, 4), normalization=NORMALIZATIONS["caffe"], sustain=0.5, out="bench"
    )
    assert BenchPlan.from_json(plan.to_json()) == plan
    for settings, message in (
        ({"threads": (0,)}, "threads must be from 1 to 256, got 0"),
        ({"runs": 0}, "runs must be at least 1, got 0"),
        ({"sustain": -1.0}, "sustain must be above 0 minutes, got -1"),
    ):
        with pytest.raises(InputError, match=message):
            BenchPlan(("a.tflite",), **settings)


def test_a_plan_is_handed_to_the_target_with_every_file(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "compressed").mkdir(parents=True)
    (run / "run.json").write_text("{}")
    (run / "model.keras").write_bytes(b"not opened")
    shutil.copyfile(folder / "int8.tflite", run / "compressed" / "run-int8.tflite")
    plan, target = BenchPlan((str(run), str(folder / "int3.tflite"))), Recorded()
    report = run_bench(plan, target=target)
    assert [[file.name for file in files] for _, files in target.asked] == [["run-int8.tflite", "int3.tflite"]]
    assert target.asked[0][0] is plan
    # Without what the host side hands in there is no baseline and no page, and the report names the remedy.
    assert report.baseline is None
    assert 'TensorFlow is not installed; run: pip install "edgeclf[train]"' in report.notes[0]
    assert load_report(run / "bench" / "bench.json") == report
    assert [path.name for path in (run / "bench").iterdir()] == ["bench.json"]


def test_a_given_input_range_is_for_the_models_that_do_not_know(folder: Path, dataset: Dataset) -> None:
    real = bench([folder / "float.tflite"], dataset=dataset, normalization=RAW, runs=5).models[0]
    whole = bench([folder / "int8.tflite"], dataset=dataset, normalization=NORMALIZATIONS["0..1"], runs=5).models[0]
    assert real.input_range == (0, 255)
    assert real.top1 == pytest.approx(whole.top1, abs=0.02)


def test_an_unknown_input_range_is_measured_and_noted(folder: Path, dataset: Dataset) -> None:
    model = bench([folder / "float.tflite"], dataset=dataset, runs=5).models[0]
    assert model.input_range == (0, 255)
    assert model.normalization == RAW
    assert any("measured" in note for note in model.notes)


def test_what_is_given_is_for_the_models_that_do_not_know_and_of_the_others_a_note_says_so(
    folder: Path, dataset: Dataset
) -> None:
    models = [folder / "float.tflite", folder / "int8.tflite"]
    real, whole = bench(models, dataset=dataset, normalization=RAW, runs=5).models
    assert real.input_range == (0, 255)
    assert real.top1 == pytest.approx(whole.top1, abs=0.02)
    assert not any("not applied" in note for note in real.notes)
    assert any("0..255 was not applied to it" in note and "expected 0,1" in note for note in whole.notes)
    with pytest.raises(InputError, match=r"int8\.tflite knows its input: expected 0,1 .*, got 0,255"):
        bench(models[1:], dataset=dataset, normalization=RAW, runs=5)


def test_each_file_is_read_and_parsed_once_for_accuracy(
    folder: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[int] = []
    real = model_file.parse
    monkeypatch.setattr(model_file, "parse", lambda content: (parsed.append(len(content)), real(content))[1])
    file = ModelFile.read(folder / "int8.tflite")
    target = Recorded()
    plan = BenchPlan((str(folder / "int8.tflite"),))
    report = bench_module.bench(plan, [file], dataset=dataset, target=target)
    assert parsed == [len(file.content)]
    assert target.asked == [(plan, (file,))]
    assert report.models[0].latency_ms == Percentiles(1.0, 2.0, 3.0)


def test_the_same_file_twice_is_one_model(folder: Path) -> None:
    assert len(bench([folder / "int8.tflite", folder / "." / "int8.tflite"], runs=5).models) == 1


def test_the_report_survives_its_file(report: BenchReport, tmp_path: Path) -> None:
    path = save_report(report, tmp_path / "bench" / "bench.json")
    assert load_report(path) == report
    assert [p.name for p in path.parent.iterdir()] == ["bench.json"]
