"""`bench` on a device: the board's sensors, a comparison with another machine, the first minute and the last."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from linear_models import fit, load_digits, write_float_model, write_int8_model
from rich.console import Console

from edgeclf import api
from edgeclf.artifact.model_file import ModelFile
from edgeclf.cli.rendering_bench import render_bench
from edgeclf.cli.rendering_device import device_remarks
from edgeclf.errors import InputError
from edgeclf.measure import sustained as sustained_module
from edgeclf.measure import target as target_module
from edgeclf.measure.board import BoardReading, BoardReadings
from edgeclf.measure.report import BenchReport, ReportComparison
from edgeclf.measure.report_comparison import compare_reports
from edgeclf.measure.report_file import load_report, save_report
from edgeclf.measure.stopwatch import Percentiles
from edgeclf.measure.sustained import measure_sustained

pytestmark = pytest.mark.alone

ROOT = Path(__file__).resolve().parents[1]
A_FILE = ModelFile(b"", "a.tflite")
COOL = BoardReading(48.3, 1800.0, (), ())
HOT = BoardReading(82.1, 600.0, ("soft temperature limit",), ("throttled", "soft temperature limit"))
NO_SENSORS = BoardReading(None, None, None, None)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    weights, bias = fit(load_digits())
    write_float_model(folder / "float.tflite", weights, bias)
    write_int8_model(folder / "int8.tflite", weights, bias)
    write_int8_model(folder / "int3.tflite", weights, bias, bits=3)
    return folder


@pytest.fixture(scope="module")
def host(models: Path) -> BenchReport:
    """What a host measured, with accuracies as if it had had data."""
    measured = api.bench([models / "int8.tflite", models / "int3.tflite"], threads=(1, 2), runs=20)
    judged = tuple(replace(m, top1=0.9, top1_interval=(0.88, 0.92), difference=-0.01) for m in measured.models)
    return replace(
        measured, models=judged, machine=replace(measured.machine, cpu="Host CPU", cpu_flags=("avx2",), os="Host OS")
    )


@pytest.fixture
def host_file(host: BenchReport, tmp_path: Path) -> Path:
    return save_report(host, tmp_path / "host" / "bench.json")


def changed(report: BenchReport, **changes: Any) -> BenchReport:
    return replace(report, models=tuple(replace(model, **changes) for model in report.models))


def shown(report: BenchReport, width: int = 140) -> str:
    console = Console(width=width, file=io.StringIO())
    with console.capture() as capture:
        render_bench(console, BenchReport.from_json(report.to_json()))
    return capture.get()


# The checksum


def test_each_model_carries_its_checksum(host: BenchReport, models: Path) -> None:
    for model in host.models:
        assert model.sha256 == hashlib.sha256((models / f"{model.name}.tflite").read_bytes()).hexdigest()


# --against


def compared(here: BenchReport, there: BenchReport) -> tuple[BenchReport, ReportComparison]:
    """`here` compared with `there`, after a round trip through JSON."""
    made = compare_reports(here, there, "host.json")
    return replace(here, against=ReportComparison.from_json(made.to_json())), made


def test_the_same_files_are_found_by_their_checksum_under_another_name(host: BenchReport) -> None:
    here = changed(replace(host, models=host.models[:2]), name="photos", path="photos.tflite")
    report, against = compared(here, host)
    assert report.against == against
    assert (against.path, against.machine.cpu, against.missing) == ("host.json", "Host CPU", ())
    assert [(p.name, p.threads, p.there.name, p.there.threads) for p in against.models] == [
        ("photos", 1, "int8", 1),
        ("photos", 2, "int8", 2),
    ]
    for pair in against.models:
        assert (pair.same_file, pair.notes, pair.ratio, pair.there.top1) == (True, (), 1.0, 0.9)


def test_the_ratio_is_here_over_there(host: BenchReport) -> None:
    here = changed(host, latency_ms=Percentiles(3.0, 4.0, 5.0))
    there = changed(host, latency_ms=Percentiles(0.5, 0.6, 0.7))
    assert [pair.ratio for pair in compared(here, there)[1].models] == [6.0] * 4


def test_a_file_of_the_same_name_that_differs_is_said_to(host: BenchReport) -> None:
    report, against = compared(changed(host, sha256="0" * 64), host)
    for pair in against.models:
        assert pair.same_file is False
        assert pair.notes[0].startswith("another file than there")
    assert "int8: another file than there" in shown(report)


def test_reports_without_checksums_are_matched_by_name(host: BenchReport, tmp_path: Path) -> None:
    old = json.loads(host.to_json())
    for model in old["models"]:
        del model["sha256"]
    for key in ("board", "against", "sustained", "interrupted"):
        del old[key]
    path = tmp_path / "old.json"
    path.write_text(json.dumps(old))
    for pair in compared(host, load_report(path))[1].models:
        assert pair.same_file is None
        assert "no checksum" in pair.notes[0]
    path.write_text(json.dumps({**old, "models": [{**model, "size_bytes": 7} for model in old["models"]]}))
    for pair in compared(host, load_report(path))[1].models:
        assert pair.same_file is False


def test_other_runtimes_and_thread_counts_are_named(host: BenchReport) -> None:
    here = replace(host, models=host.models[:1])
    version = here.models[0].runtime_version
    there = changed(host, runtime="tflite-runtime", runtime_version="2.14.0", threads=4)
    assert compared(here, there)[1].models[0].notes == (
        f"litert {version} here, tflite-runtime 2.14.0 there: int8 results differ between runtimes",
        "1 thread here, 4 threads there",
    )
    older = changed(host, runtime_version="0.1")
    assert compared(here, older)[1].models[0].notes == (f"litert {version} here, 0.1 there",)


def test_the_nearest_thread_count_stands_for_one_that_is_missing(host: BenchReport) -> None:
    here = changed(replace(host, models=host.models[:1]), threads=4)
    assert compared(here, host)[1].models[0].there.threads == 2


def test_models_that_the_other_report_lacks_are_named(host: BenchReport) -> None:
    report, against = compared(host, replace(host, models=host.models[2:]))
    assert against.missing == ("int8",)
    assert [pair.name for pair in against.models] == ["int3", "int3"]
    assert "int8: not in host.json." in shown(report)


def test_the_table_puts_both_machines_side_by_side(host: BenchReport) -> None:
    machine = replace(host.machine, cpu="Raspberry Pi 4", cpu_flags=())
    here = changed(replace(host, machine=machine), top1=None, difference=None)
    text = shown(compared(here, host)[0])
    assert "There: Host CPU with avx2; here: Raspberry Pi 4" in text
    lines = text.split("There: Host")[1].splitlines()
    row = next(line.split() for line in lines if line.strip().startswith("int8"))
    assert row[:6] == ["int8", "1", "90.00", "%", "−1.00", "–"]
    assert row[-1] == "1.00"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file or directory"),
        (b"", "cannot be read: "),
        (b"\xff\xfe", "cannot be read: "),
        (b"[" * 100_000, "cannot be read: "),
        (b"[]", "not a report of `edgeclf bench`"),
        (b'{"models": 3}', "not a report of `edgeclf bench`"),
        (b'{"predictions": []}', "not a report of `edgeclf bench`"),
        (b'{"models": []}', "not a whole report"),
        (b'{"models": [3]}', "not a whole report"),
        (b'{"models": [{"name": "int8"}]}', "not a whole report"),
        (b'{"models": [], "colour": "red"}', "has no field 'colour'"),
    ],
)
def test_a_file_that_is_no_report_is_one_line_before_anything_is_measured(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, message: str
) -> None:
    monkeypatch.setattr("edgeclf.measure.run.bench", lambda *_, **__: pytest.fail("measured all the same"))
    path = tmp_path / "other.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        api.bench([models / "int8.tflite"], against=path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_report_of_other_models_is_refused_before_anything_is_measured(
    models: Path, host: BenchReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeclf.measure.run.bench", lambda *_, **__: pytest.fail("measured all the same"))
    path = save_report(host, tmp_path / "bench.json")
    with pytest.raises(
        InputError, match=r"has none of these models \(float.tflite\); it has int8.tflite, int3.tflite:"
    ):
        api.bench([models / "float.tflite"], against=path)


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"latency_ms": {"median": 0.0, "p90": 0.0, "p99": 0.0}}, "expected milliseconds above 0, got 0, 0, 0"),
        ({"latency_ms": {"median": 1e-320, "p90": 1.0, "p99": 1.0}}, "expected milliseconds above 0"),
        ({"latency_ms": {"median": -5.0, "p90": 1.0, "p99": 1.0}}, "expected milliseconds above 0"),
        ({"size_bytes": 10**400}, "expected bytes, parameters or MACs, got 1000000"),
        ({"peak_memory_bytes": -1}, "expected bytes, parameters or MACs, got -1"),
        ({"macs": -5}, "expected bytes, parameters or MACs, got -5"),
    ],
)
def test_a_report_with_impossible_figures_is_refused_before_anything_is_measured(
    models: Path,
    host: BenchReport,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    figures: dict[str, object],
    words: str,
) -> None:
    monkeypatch.setattr("edgeclf.measure.run.bench", lambda *_, **__: pytest.fail("measured all the same"))
    path = save_report(host, tmp_path / "bench.json")
    values = json.loads(path.read_text())
    values["models"][0].update(figures)
    path.write_text(json.dumps(values))
    with pytest.raises(InputError, match=f"bench.json: not a whole report .*{words}"):
        api.bench([models / "int8.tflite"], against=path)


# --sustain


class Hours:
    """A clock that the models move on: each call takes as long as the machine is hot."""

    def __init__(self, milliseconds: Sequence[float]) -> None:
        self.seconds = 0.0
        self.milliseconds, self.change_every = milliseconds, 60.0

    def call(self) -> None:
        part = min(int(self.seconds / self.change_every), len(self.milliseconds) - 1)
        self.seconds += self.milliseconds[part] / 1000

    def monotonic(self) -> float:
        return self.seconds

    def perf_counter_ns(self) -> int:
        return round(self.seconds * 1e9)


@pytest.fixture
def hours(monkeypatch: pytest.MonkeyPatch) -> Hours:
    """A board that takes 10 ms a call in its first minute, and from the fourth on 15 ms."""
    made = Hours([10, 11, 13, 15])
    monkeypatch.setattr(sustained_module, "prepare_call", lambda *_: (made.call, 0.01))
    monkeypatch.setattr(time, "monotonic", made.monotonic)
    monkeypatch.setattr(time, "perf_counter_ns", made.perf_counter_ns)
    return made


def sensors(clock: Hours) -> BoardReading:
    temperature = 50 + min(clock.seconds, 200) / 10
    return BoardReading(temperature, 1500.0, ("throttled",) if 150 < clock.seconds < 160 else (), ())


def test_the_first_minute_and_the_last_are_compared(hours: Hours) -> None:
    at_work = [("a", A_FILE, 1), ("b", Path("b.tflite"), 2)]
    found = measure_sustained(at_work, 5, board=lambda: sensors(hours))
    assert found is not None
    assert (found.minutes, found.interrupted, found.window_seconds) == (5, False, 60)
    # At most one turn of both models, 2 × 0.25 s, longer than asked for.
    assert 300 <= found.seconds <= 300.5
    for model in found.models:
        assert (model.first_ms.median, model.last_ms.median, model.ratio) == (10, 15, 1.5)
        assert model.first_ms.p99 == pytest.approx(10)
    assert [(model.name, model.threads) for model in found.models] == [("a", 1), ("b", 2)]
    # Half of each minute: 60 s / 10 ms, then / 11, 13, 15 and 15 ms.
    assert found.models[0].runs == pytest.approx(30 / 0.010 + 30 / 0.011 + 30 / 0.013 + 60 / 0.015, rel=0.01)
    assert found.board_first is not None
    assert found.board_first.temperature_celsius == pytest.approx(56, abs=0.3)
    assert found.board_last is not None
    assert found.board_last.temperature_celsius == found.hottest_celsius == 70
    assert found.throttled == ("throttled",)
    assert sustained_module.Sustained.from_json(found.to_json()) == found


def test_less_than_two_minutes_are_compared_by_halves(hours: Hours) -> None:
    hours.change_every = 20.0  # 10 ms a call, then 11, 13 and 15
    found = measure_sustained([("a", A_FILE, 1)], 1, board=lambda: NO_SENSORS)
    assert found is not None
    assert found.window_seconds == pytest.approx(30, abs=0.2)
    assert (found.board_first, found.board_last, found.hottest_celsius) == (None, None, None)
    # 20 s at 10 ms and 10 s at 11 ms; then 10 s at 11 ms and 20 s at 13 ms.
    first, last = found.models[0].first_ms, found.models[0].last_ms
    assert (first.median, first.p99) == (10, pytest.approx(11))
    assert (last.median, last.p99) == (13, pytest.approx(13))


def test_memory_does_not_grow_with_the_hours(hours: Hours) -> None:
    kept: list[int] = []
    real = sustained_module._keep

    def keep(worker: Any, seconds: float, times: Any) -> None:
        real(worker, seconds, times)
        kept.append(sum(len(burst) for _, burst in (*worker.first, *worker.last)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sustained_module, "_keep", keep)
        measure_sustained([("a", A_FILE, 1)], 30, board=lambda: NO_SENSORS)
    # Two windows of one minute at 10 ms a call, which are the same at the end of the first minute.
    assert max(kept) == pytest.approx(2 * 60 / 0.010, rel=0.02)


@pytest.mark.parametrize("minutes", [0, -1, math.nan, math.inf])
def test_no_time_at_all_is_refused(models: Path, minutes: float) -> None:
    with pytest.raises(InputError, match="sustain must be above 0 minutes, got"):
        api.bench([models / "int8.tflite"], runs=5, sustain=minutes)


def test_an_interruption_gives_what_there_is(hours: Hours) -> None:
    interruptions = iter([signal.SIGINT])

    def board() -> BoardReading:
        if hours.seconds > 200:
            for number in interruptions:
                signal.raise_signal(number)
        return NO_SENSORS

    found = measure_sustained([("a", A_FILE, 1)], 60, board=board)
    assert found is not None
    assert found.interrupted
    assert 200 < found.seconds < 205
    # The last minute is 40 s at 13 ms and 20 s at 15 ms.
    assert found.models[0].ratio == 1.3


def test_an_interruption_before_the_first_turns_gives_nothing(hours: Hours) -> None:
    calls = iter(range(30))

    def invoke() -> None:
        hours.call()
        if next(calls) == 28:
            signal.raise_signal(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sustained_module, "prepare_call", lambda *_: (invoke, 0.01))
        assert measure_sustained([("a", A_FILE, 1)], 60, board=lambda: NO_SENSORS) is None


# All of it together, on real models


@pytest.fixture(scope="module")
def device(models: Path, host: BenchReport, tmp_path_factory: pytest.TempPathFactory) -> BenchReport:
    """What a board measured that got hot."""
    path = save_report(host, tmp_path_factory.mktemp("host") / "bench.json")
    readings = itertools.chain([COOL], itertools.repeat(HOT))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target_module, "read_board", lambda: next(readings))
        sources = [models / "float.tflite", models / "int8.tflite"]
        return api.bench(sources, runs=20, against=path, sustain=0.03)


def test_sensors_are_read_before_and_after(device: BenchReport) -> None:
    assert device.board == BoardReadings(COOL, HOT)
    assert json.loads(device.to_json())["board"]["after"] == {
        "temperature_celsius": 82.1,
        "clock_mhz": 600.0,
        "throttled": ["soft temperature limit"],
        "throttled_since_start": ["throttled", "soft temperature limit"],
    }
    rows = [line.split() for line in shown(device).splitlines()]
    assert ["before", "48.3", "°C", "1800", "MHz", "nothing", "nothing"] in rows
    slowed = "soft temperature limit throttled, soft temperature limit"
    assert ["after", "82.1", "°C", "600", "MHz", *slowed.split()] in rows


def test_what_slowed_the_board_down_between_two_looks_is_said(device: BenchReport) -> None:
    assert BoardReadings(COOL, HOT).slowed_by == ("soft temperature limit", "throttled")
    # a weak supply, which has recovered at the second look; and what happened before the first one
    between = replace(COOL, throttled_since_start=("under-voltage",))
    assert BoardReadings(COOL, between).slowed_by == ("under-voltage",)
    assert BoardReadings(between, between).slowed_by == ()
    line = "The board was slowed down while it was measured: under-voltage; latencies may be higher."
    assert line in device_remarks(replace(device, board=BoardReadings(COOL, between)))
    assert line not in device_remarks(replace(device, board=BoardReadings(COOL, COOL)))


def test_real_models_are_kept_running(device: BenchReport) -> None:
    assert device.sustained is not None
    assert 1.8 <= device.sustained.seconds < 60
    assert not device.interrupted
    assert [model.name for model in device.sustained.models] == ["float", "int8"]
    for model in device.sustained.models:
        assert 0 < model.first_ms.median <= model.first_ms.p99
        assert model.ratio == pytest.approx(model.last_ms.median / model.first_ms.median, abs=1e-3)
        assert model.runs > 100
    assert "without a pause" in shown(device)


def test_the_other_report_is_read_from_its_file(device: BenchReport) -> None:
    assert device.against is not None
    assert device.against.missing == ("float",)
    assert [(pair.name, pair.same_file) for pair in device.against.models] == [("int8", True)]


def test_the_report_survives_json(device: BenchReport) -> None:
    assert BenchReport.from_json(device.to_json()) == device


def test_a_board_without_sensors_has_no_table(device: BenchReport) -> None:
    assert device.sustained is not None
    still = replace(device.sustained, board_first=None, board_last=None)
    assert "Board" in shown(device)
    assert "Board" not in shown(replace(device, board=None, sustained=still))


def test_the_page_has_all_of_it(device: BenchReport) -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    from edgeclf.report.html import render_report

    assert device.sustained is not None
    assert device.against is not None
    sustained = replace(device.sustained, throttled=("under-voltage",), interrupted=True, minutes=10)
    page = render_report(replace(device, sustained=sustained))
    for text in (
        "Compared with another machine",
        "Host CPU",
        "90.00 %",
        "Sustained work",
        "The board",
        "82.1 °C",
        "600 MHz",
        "soft temperature limit",
        "The board was slowed down while it was measured: soft temperature limit, throttled, under-voltage.",
        f"float: not in {device.against.path}.",
        "of 10 min.",
    ):
        assert text in page, text
    plain = render_report(replace(device, board=None, against=None, sustained=None))
    for text in ("Compared with another machine", "Sustained work", "The board"):
        assert text not in plain


# The command


@pytest.mark.slow
def test_ctrl_c_prints_the_report_and_leaves_with_130(models: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgeclf", "bench", str(models / "int8.tflite"), "--runs", "20"]
    process = subprocess.Popen(
        [*command, "--sustain", "60", "--out", "b", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:  # the line of progress that comes every ten seconds
        if line.startswith("sustained work"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    document = json.loads(out)
    assert document["interrupted"]
    assert document["sustained"]["interrupted"]
    assert document["sustained"]["models"][0]["runs"] > 100
    assert load_report(tmp_path / "b" / "bench.json").sustained is not None


def test_the_command_takes_another_machines_report(models: Path, host_file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgeclf", "bench", str(models / "int8.tflite"), "--runs", "20"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--against", str(host_file)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "There: Host CPU with avx2; here:" in done.stdout
    refused = subprocess.run(
        [*command, "--against", "no.json", "--json"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert refused.returncode == 2
    assert refused.stderr.startswith("edgeclf: no.json: no such file")
    assert refused.stderr.count("\n") == 1


# The screen


def test_parameters_and_macs_stand_in_the_table_where_it_is_wide_enough(host: BenchReport) -> None:
    wide, narrow = shown(host, 140), shown(host, 80)
    header = next(line for line in wide.splitlines() if "median" in line)
    assert header.split() == [
        "model",
        "threads",
        "file",
        "parameters",
        "MACs",
        "median",
        "p90",
        "p99",
        "load",
        "memory",
    ]
    assert max(map(len, wide.splitlines())) <= 140
    # 8 x 8 x 3 inputs, 10 outputs; the bias adds 10 parameters.
    cost = wide.split("Size, latency")[1].splitlines()
    row = next(line.split() for line in cost if line.strip().startswith("int8"))
    assert row[4:6] == ["1,930", "1,920"]
    assert "parameters" not in next(line for line in narrow.splitlines() if "median" in line)
    assert "Left out in 80 columns: parameters, MACs" in narrow
