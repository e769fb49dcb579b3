"""Every table in 80, 100 and 140 columns: names whole, numbers whole, and what was left out is named."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import linear_models
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from edgeclf import api
from edgeclf.cli.rendering import render_audit, render_inspection
from edgeclf.cli.rendering_activations import render_activations
from edgeclf.cli.rendering_bench import render_bench
from edgeclf.cli.rendering_host import render_compression
from edgeclf.cli.rendering_tables import Column, print_table
from edgeclf.cli.terminal import Terminal
from edgeclf.compression.compress_report import CompressedModel, CompressReport
from edgeclf.measure.board import BoardReading, BoardReadings
from edgeclf.measure.machine import describe_machine
from edgeclf.measure.report import BaselineResult, BenchData, BenchReport, ModelResult
from edgeclf.measure.speed import Speed
from edgeclf.measure.stopwatch import Percentiles
from edgeclf.measure.sustained import Sustained, SustainedModel

WIDTHS = (80, 100, 140)
LONG = "clothing-160px-prune50-cluster16-qat-int8"


def screen(width: int, render: Callable[[Console], object]) -> str:
    console = Console(width=width, file=io.StringIO(), highlight=False, emoji=False, markup=False)
    with console.capture() as capture:
        render(console)
    return capture.get()


def table_lines(text: str) -> list[str]:
    """Lines of tables: the head, from two lines above its rule, and all below it until an empty line."""
    lines, found, inside = text.splitlines(), [], False
    for above, line in zip(["", *lines[:-1]], lines, strict=True):
        if set(line.strip()) == {"─"}:
            inside = True
            found.append(above)
        inside = inside and bool(line.strip())
        if inside:
            found.append(line)
    return found


def first_column(text: str) -> str:
    """All of the first column, in one piece."""
    return "".join(line[1:].split("  ")[0].rstrip() for line in table_lines(text))


def speed(times: float) -> Speed:
    return Speed(12.3, 12.3 * times, times, (times - 0.01, times + 0.01), 900, 1, "litert", "2.3.0", "A CPU", 2, 0.0)


def compressed(recipe: str, times: float | None, **changes: Any) -> CompressedModel:
    made = CompressedModel(
        path=f"models/clothing-{recipe}.tflite", recipe=recipe, size_bytes=323_456, gzip_bytes=223_456, top1=0.8765,
        split="validation", sparsity=0.5, distinct_weights_max=255, float_top1=0.8888, images=1372,
        top1_interval=(0.8591, 0.8934), float_top1_interval=(0.8691, 0.9034), difference=-0.0123,
        difference_interval=(-0.0234, -0.0012), p_value=0.03, speed=None if times is None else speed(times),
        written_bytes=323_456,
    )  # fmt: skip
    return replace(made, **changes)


COMPRESSION = CompressReport(
    (compressed("int8", 1.62), compressed("float16", 1.0), compressed("prune50-cluster16-qat-int8", 0.77))
)


def bench_report() -> BenchReport:
    model = ModelResult(
        path=f"{LONG}.tflite", name=LONG, runtime="litert", runtime_version="2.3.0", threads=1, input_size=(160, 160),
        top1=0.8412, top1_interval=(0.8312, 0.8512), difference=-0.0051, difference_interval=(-0.0081, -0.0021),
        p_value=0.0012, size_bytes=395_000, gzip_bytes=280_000, parameters=278_000, macs=12_500_000,
        latency_ms=Percentiles(12.1, 13.2, 14.3), runs=1000, warm_up_runs=50, steady=True, spread=0.01, load_ms=1.5,
        preprocessing_ms=None, peak_memory_bytes=220_000_000, model_memory_bytes=1_000_000, memory_kind="anonymous",
        input_range=(0, 255), integrity="verified", notes=(),
    )  # fmt: skip
    hot = BoardReading(82.1, 600.0, ("under-voltage", "throttled", "soft temperature limit"), ("frequency capped",))
    worked = SustainedModel(LONG, 1, Percentiles(12, 13, 14), Percentiles(22.1, 23, 24), 1.83, 4000)
    return BenchReport(
        machine=replace(describe_machine(), load_average=0.0),
        data=BenchData("photos", "photos", "test", 1000, ("a", "b"), "f00d", 1),
        baseline=BaselineResult("m.keras", "CPU", 2, None, 0.845, (0.83, 0.86), Percentiles(1, 2, 3), 78_000, 400_000),
        models=(model, replace(model, name="int8", path="int8.tflite", threads=2)),
        comparisons=(),
        seed=0,
        seconds=1.0,
        board=BoardReadings(hot, hot),
        sustained=Sustained(10, 600, False, 60, hot, hot, 82.1, ("throttled",), (worked,)),
        written=("b/bench.json", "b/report.html"),
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_compress_keeps_recipes_and_figures_whole(width: int) -> None:
    text = screen(width, lambda console: render_compression(console, COMPRESSION))
    assert "prune50-cluster16-qat-int8" in first_column(text)
    for figure in ("87.65 %", "−1.23", "−2.34 to −0.12", "323 kB", "1.62×", "0.77×"):
        assert figure in text
    assert max(map(cell_len, table_lines(text))) <= width
    assert ("Left out in 80 columns: " in text) == (width == 80)
    assert text.splitlines()[-1].startswith("Wrote to models: clothing-int8.tflite, ")


def test_speed_is_claimed_where_it_was_measured_and_nowhere_else() -> None:
    text = screen(100, lambda console: render_compression(console, COMPRESSION))
    assert "on A CPU, 1 thread, litert 2.3.0" in text
    assert "Not measurably faster or slower than float32: float16." in text
    unknown = CompressReport((compressed("int8", None), compressed("dynamic", None)))
    text = screen(100, lambda console: render_compression(console, unknown))
    assert "Speed was not measured." in text
    assert not re.search("fast|slow|×", text)


def test_a_busy_machine_is_named() -> None:
    busy = replace(compressed("int8", 1.5), speed=replace(speed(1.5), load_average=7.25))
    text = screen(100, lambda console: render_compression(console, CompressReport((busy,))))
    assert "The machine was busy with other work (load 7.2) before they were made and timed" in text


def test_a_note_is_said_once_with_all_that_it_concerns() -> None:
    assumed, few = "pixels enter as 0 to 1: assumed", "72 calibration images are few"
    models = (
        compressed("int8", None, notes=(assumed, few)),
        compressed("int16x8", None, notes=(assumed, few, "slow")),
    )
    report = CompressReport(models, (assumed,))
    lines = screen(100, lambda console: render_compression(console, report)).splitlines()
    assert [line for line in lines if assumed in line] == [assumed]
    assert [line for line in lines if few in line] == [f"int8, int16x8: {few}"]
    assert "int16x8: slow" in lines
    bench = bench_report()
    models_of_bench = tuple(replace(model, notes=("near chance",)) for model in bench.models)
    lines = screen(100, lambda console: render_bench(console, replace(bench, models=models_of_bench))).splitlines()
    assert [line for line in lines if "near chance" in line] == [f"{LONG}, int8: near chance"]


def test_what_the_log_shows_on_the_same_screen_is_not_repeated() -> None:
    report = CompressReport((compressed("int8", None, notes=("few images", "own")),), ("the data lie in a/b",))

    def show(said: set[str]) -> list[str]:
        stream = io.StringIO()
        render_compression(Terminal(stream, width=100, said=said), report)
        return stream.getvalue().splitlines()

    everything = show(set())
    assert {"the data lie in a/b", "int8: few images", "int8: own"} <= set(everything)
    left = show({"the data lie in a/b", "few images"})
    assert [line for line in everything if line not in left] == ["the data lie in a/b", "int8: few images"]


def test_the_missing_baseline_is_named_beside_other_notes() -> None:
    alone = replace(bench_report(), baseline=None, notes=("the data lie in a/b, the only folder inside",))
    hint = "No float baseline, so no differences: name one with --baseline."
    assert hint in screen(100, lambda console: render_bench(console, alone))
    tried = replace(alone, notes=("m.keras: not compared with: TensorFlow is not installed",))
    assert hint not in screen(100, lambda console: render_bench(console, tried))


def test_both_sizes_of_an_encoded_model_are_named() -> None:
    encoded = compressed("cfile", None, size_bytes=9_870, gzip_bytes=8_000, written_bytes=61_200)
    text = screen(100, lambda console: render_compression(console, CompressReport((encoded,))))
    assert "the file that was written takes 61.2 kB, the model inside it 9.87 kB (8.00 kB as gzip)" in text


@pytest.mark.parametrize("width", WIDTHS)
def test_bench_keeps_names_and_figures_whole(width: int) -> None:
    text = screen(width, lambda console: render_bench(console, bench_report()))
    assert first_column(text).count(LONG) == 3
    for figure in ("84.12 %", "−0.51", "−0.81 to −0.21", "395 kB", "12.1 ms", "22.1 ms", "82.1 °C"):
        assert figure in text
    assert max(map(cell_len, table_lines(text))) <= width
    assert ("Left out in 80 columns: p (" in text) == (width == 80)
    assert text.splitlines()[-1] == "Wrote b/bench.json and b/report.html"


def test_audit_and_inspect_keep_names_whole(tmp_path: Path) -> None:
    long = "a-class-of-a-very-long-name-" * 4
    random = np.random.default_rng(0)
    for name in (long, "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(3):
            cv2.imwrite(str(tmp_path / "photos" / name / f"{index}.png"), random.integers(0, 255, (32, 32, 3)))
    audited = api.audit(tmp_path / "photos")
    weights, bias = random.normal(size=(10, 192)), random.normal(size=10)
    inspected = api.inspect(linear_models.write_int8_model(tmp_path / "model.tflite", weights, bias))
    for width in WIDTHS:
        text = screen(width, lambda console: render_audit(console, audited))
        assert long in first_column(text)
        text += screen(width, lambda console: render_inspection(console, inspected, verbose=True))
        text += screen(width, lambda console: render_activations(console, inspected))
        for heading in ("Operators", "Constant tensors", "Computed tensors"):
            assert heading in text
        assert max(map(cell_len, table_lines(text))) <= width
        assert "Left out" not in text


@given(
    st.lists(
        st.lists(st.text("abc-/019.紅é", min_size=1, max_size=30), min_size=5, max_size=5), min_size=1, max_size=4
    ),
    st.integers(70, 200),
    st.permutations([1, 2, 3]),
)
@settings(deadline=None, max_examples=60)
def test_any_table_fits_or_names_what_it_left_out(rows: list[list[str]], width: int, order: list[int]) -> None:
    rows = [[row[0], row[1][:10], *row[2:]] for row in rows]
    columns = [Column("first"), Column("stays"), *(Column(f"col{n}", drop=n) for n in order)]
    text = screen(width, lambda console: print_table(console, "A title", columns, rows))
    assert max(map(cell_len, table_lines(text))) <= width
    left_out = (
        {int(n) for n in re.findall(r"col(\d)", text.rpartition("Left out in")[2])} if "Left out" in text else set()
    )
    # what is more important is never left out where something less important stays
    assert left_out == set(range(1, len(left_out) + 1))
    shown = "\n".join(table_lines(text))
    for row in rows:
        kept = [cell for cell, n in zip(row[2:], order, strict=True) if n not in left_out]
        assert all(cell in shown for cell in [row[1], *kept])
    assert "".join(row[0] for row in rows) in first_column(text).replace("first", "", 1).replace("─", "")


def test_a_name_breaks_behind_its_hyphens() -> None:
    columns = [Column("model"), Column("number")]
    text = screen(40, lambda console: print_table(console, "T", columns, [[LONG, "12,345,678"]]))
    assert [line.split()[0] for line in table_lines(text)[2:]] == ["clothing-160px-prune50-", "cluster16-qat-int8"]
