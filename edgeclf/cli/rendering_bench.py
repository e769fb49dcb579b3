"""Shows the report of `bench` on a screen."""

from __future__ import annotations

from rich.console import Console

from edgeclf.cli.rendering import line, show_notes
from edgeclf.cli.rendering_device import device_remarks, print_board, print_comparison, print_sustained
from edgeclf.cli.rendering_ensemble import print_ensemble
from edgeclf.cli.rendering_tables import Column, print_table
from edgeclf.measure.conditions import parse_condition, write_value
from edgeclf.measure.formatting import counted, interval, milliseconds, number, p_value, percent, points, size, threads
from edgeclf.measure.machine import Machine
from edgeclf.measure.report import BenchReport
from edgeclf.measure.run import NOT_COMPARED

FLOAT = "float"  # the baseline's name in tables, whose own name is too long for them


def render_bench(console: Console, report: BenchReport) -> None:
    """Print the machine, the baseline, one row a model and thread count, warnings, and last what was written."""
    line(console, "Measured on " + ", ".join(_describe(report.machine)))
    if report.data:
        line(console, f"Data: {report.data.name}, {report.data.split}, {counted(report.data.images, 'image')}")
    scored = any(model.top1 is not None for model in report.models)
    baseline = report.baseline
    if baseline:
        how = f", {threads(baseline.threads)}" if baseline.threads else ""
        line(console, f"Float baseline: {baseline.name} on {baseline.device}{how}")
    if scored:
        _print_accuracy(console, report)
    flips = {one.name: one.flip_counts for one in report.comparisons if one.flip_counts is not None}
    if flips:
        shown = "; ".join(f"{name}: {counts.text}" for name, counts in flips.items())
        line(console, f"Images whose label flipped (lost: only the baseline was right): {shown}")
    for text in describe_calibrations(report):
        line(console, text)
    if report.models:
        _print_cost(console, report)
    for one in report.ensembles:
        print_ensemble(console, one)
    if report.against:
        print_comparison(console, report, report.against)
    if report.sustained:
        print_sustained(console, report.sustained)
    print_board(console, report)
    if report.conditions:
        _print_conditions(console, report)
    show_notes(console, _remarks(report, scored), _notes_of_models(report))
    show_notes(console, device_remarks(report))
    if report.written:
        line(console, f"Wrote {' and '.join(report.written)}")


def describe_calibrations(report: BenchReport) -> list[str]:
    """Describe the calibration error of each model in a sentence; nothing without data."""
    found = []
    for model in {model.name: model for model in report.models}.values():
        if (one := model.calibration) is not None:
            before = f"; {percent(one.before)} ({interval(one.before_interval)}) before what was fitted"
            error = f"{percent(one.error)} (95 %: {interval(one.interval)}){'' if one.before is None else before}"
            found.append(f"Calibration error of {model.name}: {error}")
    return found


def _describe(machine: Machine) -> list[str]:
    facts = [*filter(None, (machine.processor, machine.os)), counted(machine.cores, "core")]
    if machine.is_busy:
        load = f"load {machine.load_average:.1f}"
        facts.append(f"busy with other work ({load}): latencies may be higher than on an idle machine")
    return facts


def _print_accuracy(console: Console, report: BenchReport) -> None:
    columns = (
        Column("model"),
        Column("top-1"),
        Column("95 %", drop=2, name="the interval of top-1"),
        Column("points"),
        Column("95 %", name="the interval of the difference"),
        # the interval of the difference excludes zero where p is below 0.05
        Column("p", drop=1),
    )
    paired = any(model.difference is not None for model in report.models)
    rows = []
    if report.baseline:
        rows.append([FLOAT, percent(report.baseline.top1), interval(report.baseline.top1_interval), "", "", ""])
    for model in {model.name: model for model in report.models}.values():
        difference = [
            points(model.difference),
            interval(model.difference_interval, signed=True),
            p_value(model.p_value),
        ]
        accuracy = [percent(model.top1), interval(model.top1_interval)]
        rows.append([model.name, *accuracy, *(difference if paired else [""] * 3)])
    print_table(console, "Accuracy", columns, rows)


def _print_cost(console: Console, report: BenchReport) -> None:
    several = len({model.threads for model in report.models}) > 1
    columns = (
        Column("model"),
        Column("threads") if several else Column("gzip", drop=3),
        Column("file"),
        Column("parameters", drop=2),
        Column("MACs", drop=1),
        Column("median"),
        Column("p90", drop=5),
        Column("p99", drop=7),
        Column("load", drop=4),
        Column("memory", drop=6),
    )
    baseline, rows = report.baseline, []
    if baseline:
        latency = baseline.latency_ms
        times = (latency.median, latency.p90, latency.p99) if latency else (None, None, None)
        sizes = [size(baseline.size_bytes), number(baseline.parameters), ""]
        rows.append([FLOAT, "", *sizes, *map(milliseconds, times), "", ""])
    for model in report.models:
        latency = model.latency_ms
        rows.append(
            [
                model.name,
                number(model.threads) if several else size(model.gzip_bytes),
                size(model.size_bytes),
                number(model.parameters),
                number(model.macs),
                *map(milliseconds, (latency.median, latency.p90, latency.p99)),
                milliseconds(model.load_ms),
                size(model.peak_memory_bytes),
            ]
        )
    print_table(console, "Size, latency of one image, memory", columns, rows)


def _print_conditions(console: Console, report: BenchReport) -> None:
    columns = (Column("model"), Column("fail if", text=True, fold=True), Column("measured"), Column("", text=True))
    rows = []
    for one in report.conditions:
        measured = write_value(parse_condition(one.condition).quantity, one.value)
        at = "" if one.threads is None or len({m.threads for m in report.models}) == 1 else f", {threads(one.threads)}"
        measured += "" if one.label is None else f" ({one.label})"
        rows.append([f"{one.model}{at}", one.condition, measured, "failed" if one.failed else "ok"])
    print_table(console, "Conditions", columns, rows)


def _remarks(report: BenchReport, scored: bool) -> list[str]:
    runtimes = dict.fromkeys(f"{model.runtime} {model.runtime_version}".strip() for model in report.models)
    remarks = [f"Runtime: {name}." for name in runtimes]
    if report.data is None:
        remarks.append("No data, so no accuracy: name it with --data.")
    elif scored and not report.baseline and not any(NOT_COMPARED in note for note in report.notes):
        remarks.append("No float baseline, so no differences: name one with --baseline.")
    return [*remarks, *report.notes]


def _notes_of_models(report: BenchReport) -> dict[str, list[str]]:
    """List the notes by model; one that was timed at several thread counts has them once."""
    found: dict[str, list[str]] = {}
    for model in report.models:
        notes = found.setdefault(model.name, [])
        if not model.steady:
            notes.append("calls were still getting faster when timing began.")
        if drift := model.describe_drift():
            notes.append(f"at {threads(model.threads)} {drift}")
        notes.extend(model.notes)
        if model.integrity == "unverified":
            notes.append("unverified, not made by edgeclf.")
    return found
