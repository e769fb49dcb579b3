"""`bench --fail-if`: the grammar, what is refused before anything is measured, and the exit code of a gate."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from command_line import edgeclf
from linear_models import Digits, fit, load_digits, write_float_model, write_int8_model

import edgeclf as package
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.dataset import load_dataset
from edgeclf.errors import InputError, UnknownNameError
from edgeclf.measure.baseline import BaselineNetwork
from edgeclf.measure.bench import bench
from edgeclf.measure.conditions import QUANTITIES, parse_condition
from edgeclf.measure.gate import check_classes_seen
from edgeclf.measure.latency import Latency
from edgeclf.measure.machine import describe_machine
from edgeclf.measure.memory import Memory
from edgeclf.measure.plan import BenchPlan
from edgeclf.measure.report import BenchReport
from edgeclf.measure.report_file import load_report
from edgeclf.measure.run import HostParts, run_bench
from edgeclf.measure.stopwatch import Percentiles
from edgeclf.measure.target import Measurements
from edgeclf.progress import SILENT, Progress


class Ridge:
    """The float network of the models here."""

    labels = tuple("0123456789")
    size = (8, 8)
    device, threads, parameters = "CPU (numpy)", 1, 650

    def __init__(self, digits: Digits) -> None:
        self._weights, self._bias = fit(digits)

    def probabilities(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        pixels = np.asarray(images[:]).reshape(len(images), -1) / 255
        return np.asarray(pixels @ self._weights.T + self._bias, np.float32)

    def top1(self, images: npt.NDArray[np.uint8], progress: Progress = SILENT) -> npt.NDArray[np.int64]:
        return self.probabilities(images).argmax(1).astype(np.int64)

    def single_call(self) -> Callable[[], object]:
        return lambda: None


class Timed:
    """A target on which every model takes 5 ms at one thread and 3 at two."""

    def measure(self, plan: BenchPlan, files: Sequence[ModelFile], progress: Progress) -> Measurements:
        times = {1: Percentiles(5.0, 6.0, 7.0), 2: Percentiles(3.0, 4.0, 5.0)}
        latencies = [
            Latency(str(file.path), n, times[n], 10, 5, True, 0.5, 0.01) for file in files for n in plan.threads
        ]
        memories = (Memory("anonymous", 2_000_000, 1_000_000, 3_000_000),) * len(latencies)
        return Measurements(describe_machine(), tuple(latencies), memories, (None,) * len(files))


@pytest.fixture(scope="module")
def digits() -> Digits:
    return load_digits()


@pytest.fixture(scope="module")
def folder(digits: Digits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models of one network, the last one useless, and the photos in `photos/CLASS`."""
    folder = tmp_path_factory.mktemp("gate")
    weights, bias = fit(digits)
    write_float_model(folder / "float.tflite", weights, bias)
    write_int8_model(folder / "int8.tflite", weights, bias)
    write_int8_model(folder / "int3.tflite", weights, bias, bits=3)
    (folder / "ridge.keras").touch()
    for index, (image, label) in enumerate(zip(digits.test_images, digits.test_labels, strict=True)):
        path = folder / "photos" / str(label) / f"{index:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image[..., ::-1])
    return folder


def measure(folder: Path, digits: Digits, *conditions: str, threads: tuple[int, ...] = (1,)) -> BenchReport:
    ridge = BaselineNetwork(Ridge(digits), "ridge", class_count=10)
    plan = BenchPlan(
        (str(folder / "int8.tflite"), str(folder / "int3.tflite")),
        data=str(folder / "photos"),
        baseline=str(folder / "ridge.keras"),
        threads=threads,
        fail_if=conditions,
    )
    return run_bench(plan, HostParts(open_baseline=lambda *_: ridge), target=Timed())


def test_a_condition_is_a_quantity_a_comparison_a_number_and_a_unit() -> None:
    for text, quantity, end, limit in (
        ("drop>1.0", "drop", None, 0.01),
        ("drop > 1 points", "drop", None, 0.01),
        ("DROP.upper>=.5pp", "drop", "upper", 0.005),
        ("top1.lower < 85 %", "top1", "lower", 0.85),
        ("top1<0", "top1", None, 0.0),
        ("top1<0.9%", "top1", None, 0.009),
        ("latency>5", "latency", None, 5.0),
        ("p99>800us", "p99", None, 0.8),
        ("p99>800µs", "p99", None, 0.8),
        ("load>1s", "load", None, 1000.0),
        ("size>100kB", "size", None, 100_000),
        ("size>100KiB", "size", None, 102_400),
        ("macs>12.5M", "macs", None, 12_500_000),
        ("class-drop>-2e0", "class_drop", None, -0.02),
    ):
        found = parse_condition(text)
        assert (found.model, found.quantity, found.end) == (None, quantity, end), text
        assert found.limit == pytest.approx(limit, abs=1e-15), text
    assert parse_condition("C:/x/a b.tflite : drop>1").model == "C:/x/a b.tflite"
    assert parse_condition("drop>2.9").is_met(0.03)
    assert not parse_condition("drop>2.9").is_met(0.029), "2.9 points are not more than 2.9"
    assert parse_condition("drop>=2.9").is_met(0.029)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("drop", "in quotation marks, or the shell takes > for a redirection"),
        ("drop>", "expected .MODEL:.QUANTITY, one of > < >= <="),
        ("drop==1", "expected .MODEL:.QUANTITY"),
        ("drop>1.0.0", "expected .MODEL:.QUANTITY"),
        ("drop>nan", "expected .MODEL:.QUANTITY"),
        ("drop>1 and latency>5ms", "expected .MODEL:.QUANTITY|unknown"),
        ("x" * 400 + ">1", "expected .MODEL:.QUANTITY"),
        ("accuracy<90", "unknown quantity 'accuracy'; did you mean 'top1'. known: drop.*macs"),
        ("wurst>1", "unknown quantity 'wurst'; .*known: drop..upper..lower., class_drop.*parameters, macs"),
        ("drop>1%", "unknown unit '%' of drop; known: points"),
        ("latency>5kB", "unknown unit 'kB' of latency; known: µs .or us., ms .the default., s"),
        ("size>1m", "unknown unit 'm' of size; known: B"),
        ("latency.upper>5", "unknown end 'upper' of latency; known: drop.upper, drop.lower"),
        ("drop.middle>5", "unknown end 'middle' of drop"),
        ("top1<0.9", "top1 is in percent, and 0.9 could be a fraction; expected 90, or 0.9%"),
        ("latency>1e999", "too large"),
    ],
)
def test_what_is_no_condition_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        BenchPlan(("x.tflite",), fail_if=(text,))
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 800


def test_conditions_are_held_against_what_was_measured(folder: Path, digits: Digits) -> None:
    report = measure(
        folder, digits,
        "drop>0.5", "drop.upper>0.5", "drop.lower>0.5", "class_drop>0", "top1<50", "flipped>=0%", "size>1B",
        "int3:drop<=-50",
    )  # fmt: skip
    int8, int3 = report.models
    found = {(one.condition, one.model): one for one in report.conditions}
    assert len(found) == len(report.conditions) == 7 * 2 + 1
    for model in (int8, int3):
        assert model.difference is not None
        assert model.difference_interval is not None
        assert found["drop>0.5", model.name].value == -model.difference
        assert found["drop.upper>0.5", model.name].value == -model.difference_interval[0]
        assert found["drop.lower>0.5", model.name].value == -model.difference_interval[1]
        assert found["drop>0.5", model.name].failed == (-100 * model.difference > 0.5)
        comparison = report.comparison(model.name)
        assert comparison is not None
        assert report.data is not None
        assert found["flipped>=0%", model.name].value == len(comparison.flips) / report.data.images
        assert found["flipped>=0%", model.name].failed
        drops = {cost.label: -(cost.difference or 0) for cost in comparison.per_class}
        worst = found["class_drop>0", model.name]
        assert worst.label is not None
        assert worst.value == drops[worst.label] == max(drops.values())
        assert found["size>1B", model.name].value == Path(model.path).stat().st_size
        assert not found["top1<50", model.name].failed
    assert not found["int3:drop<=-50", "int3"].failed
    assert found["drop>0.5", "int3"].failed, "weights of three bits cost accuracy"
    assert {one.failed for one in report.failed_conditions} == {True}
    assert BenchReport.from_json(report.to_json()) == report


def test_latency_is_held_at_each_thread_count_and_accuracy_once(folder: Path, digits: Digits) -> None:
    report = measure(folder, digits, "latency>4ms", "int8:p99>=7000us", "top1<1%", threads=(1, 2))
    held = [(one.condition, one.model, one.threads, one.failed) for one in report.conditions]
    assert held == [
        ("latency>4ms", "int8", 1, True),
        ("latency>4ms", "int8", 2, False),
        ("latency>4ms", "int3", 1, True),
        ("latency>4ms", "int3", 2, False),
        ("int8:p99>=7000us", "int8", 1, True),
        ("int8:p99>=7000us", "int8", 2, False),
        ("top1<1%", "int8", None, False),
        ("top1<1%", "int3", None, False),
    ]


def test_a_condition_names_its_model_by_the_path_too(folder: Path, digits: Digits) -> None:
    place = folder / "int8.tflite"
    report = measure(folder, digits, f"{place}:size>1B", "int8.tflite:size>1B")
    assert [(one.model, one.failed) for one in report.conditions] == [("int8", True)] * 2


def test_a_class_without_images_is_an_error_before_anything_is_timed(folder: Path, digits: Digits) -> None:
    data = load_dataset(folder / "photos", image_size=8)
    seen = data.splits["test"]
    lacking = replace(data, splits={"test": seen.subset(np.flatnonzero(seen.labels != 3))})
    check_classes_seen([parse_condition("class_top1<1%")], data, "test")
    check_classes_seen([parse_condition("top1<1%")], lacking, "test")
    with pytest.raises(InputError, match="needs images of each class; the images measured hold none of class"):
        check_classes_seen([parse_condition("class_top1<1%")], lacking, "test")

    class Never:
        def measure(self, plan: BenchPlan, files: Sequence[ModelFile], progress: Progress) -> Measurements:
            raise AssertionError("it was timed")

    plan = BenchPlan((str(folder / "int8.tflite"),), fail_if=("class_top1<1%",))
    with pytest.raises(InputError, match="hold none of class '3'"):
        bench(plan, [ModelFile.read(folder / "int8.tflite")], dataset=lacking, target=Never())


def test_what_will_not_be_measured_is_refused_before_measuring(folder: Path, digits: Digits) -> None:
    class Never:
        def measure(self, plan: BenchPlan, files: Sequence[ModelFile], progress: Progress) -> Measurements:
            raise AssertionError("it was measured")

    models, photos = (str(folder / "int8.tflite"),), str(folder / "photos")
    for text, data, baseline, message in (
        ("drop>1", None, None, "drop needs labelled images; name them with --data"),
        ("top1<90", None, None, "top1 needs labelled images"),
        ("drop>1", photos, None, "drop needs a float baseline; name one with --baseline"),
        ("class_drop.lower>0", photos, str(folder / "ridge.keras"), "class_drop needs a float baseline; TensorFlow"),
        ("int9:latency>5", photos, None, "unknown model in --fail-if 'int9'; did you mean 'int8'"),
    ):
        plan = BenchPlan(models, data=data, baseline=baseline, fail_if=(text,))
        with pytest.raises(InputError, match=message):
            run_bench(plan, target=Never())
    with pytest.raises(UnknownNameError):
        run_bench(BenchPlan(models, fail_if=("int9:latency>5",)), target=Never())


def test_a_drop_against_the_network_of_another_run_is_refused(folder: Path, digits: Digits, tmp_path: Path) -> None:
    for name in ("a", "b"):
        run = RunFolder(tmp_path / name, must_exist=False)
        run.begin([str(label) for label in range(10)], {})
        run.keras_path.touch()
        run.compressed_path.mkdir()
        shutil.copyfile(folder / "int8.tflite", run.compressed_path / f"{name}-int8.tflite")
    ridge = BaselineNetwork(Ridge(digits), "ridge", class_count=10)
    host, photos = HostParts(open_baseline=lambda *_: ridge), str(folder / "photos")

    def hold(*models: str, conditions: tuple[str, ...], baseline: str | None = None) -> BenchReport:
        named = tuple(str(tmp_path / model) for model in models)
        return run_bench(BenchPlan(named, data=photos, baseline=baseline, fail_if=conditions), host, target=Timed())

    for other in ("b", "b/compressed/b-int8.tflite"):
        with pytest.raises(InputError, match="b-int8 is of the run .*b, and .*a/model.keras is the network of another"):
            hold("a", other, conditions=("drop>1",))
        report = hold("a", other, conditions=("a-int8:drop>100", "latency>10s"))
        assert not report.failed_conditions
        assert any("models of b are compared with" in note for note in report.notes)
    named = hold("a", "b", conditions=("drop>100",), baseline=str(tmp_path / "a" / "model.keras"))
    assert len(named.conditions) == 2


def test_the_command_exits_with_1_writes_the_report_and_names_what_failed(folder: Path, tmp_path: Path) -> None:
    arguments = ("bench", folder / "int8.tflite", folder / "float.tflite", "--runs", "20", "--quiet", "--out", tmp_path)
    conditions = ("--fail-if", "size>1kB", "--fail-if", "latency>10s", "--fail-if", "int8:size>2B")
    done = edgeclf(tmp_path, *arguments, *conditions, "--json")
    document = json.loads(done.stdout)
    assert done.exit_code == 1
    failed = [(one["condition"], one["model"]) for one in document["conditions"] if one["failed"]]
    assert failed == [("size>1kB", "int8"), ("size>1kB", "float"), ("int8:size>2B", "int8")]
    assert done.stderr.splitlines() == [
        f"failed: {text}: {name}: {(folder / f'{name}.tflite').stat().st_size:,} B" for text, name in failed
    ]
    assert len(load_report(tmp_path / "bench.json").failed_conditions) == 3
    shown = edgeclf(tmp_path, "bench", folder / "int8.tflite", "--runs", "20", "--fail-if", "latency>10s")
    assert shown.exit_code == 0, shown.output
    assert "Conditions" in shown.stdout
    assert [line.split()[-1] for line in shown.stdout.splitlines() if "latency>10s" in line] == ["ok"]
    assert len(QUANTITIES) == 14
    refused = edgeclf(tmp_path, *arguments, "--overwrite", "--fail-if", "drop>1")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)


def test_python_gets_the_conditions_and_no_exception(folder: Path) -> None:
    report = package.bench(folder / "int8.tflite", runs=20, fail_if="size>1B")
    assert [one.failed for one in report.conditions] == [True]
