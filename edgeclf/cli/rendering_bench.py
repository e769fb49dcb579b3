"""Shows the report of `bench` on a screen."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from edgeclf.cli.rendering import line, table
from edgeclf.cli.rendering_device import board_table, comparison_table, device_remarks, sustained_table
from edgeclf.measure.formatting import counted, interval, milliseconds, number, p_value, percent, points, size, threads
from edgeclf.measure.machine import Machine
from edgeclf.measure.report import BenchReport

WIDEST = 1000  # columns: wider than any table
FLOAT = "float"  # the baseline's name in tables, whose own name is too long for them


def render_bench(console: Console, report: BenchReport) -> None:
    """Print the machine, the baseline, one row a model and thread count, and warnings."""
    line(console, "Measured on " + ", ".join(_describe(report.machine)))
    if report.data:
        line(console, f"Data: {report.data.name}, {report.data.split}, {counted(report.data.images, 'image')}")
    scored = any(model.top1 is not None for model in report.models)
    baseline = report.baseline
    if baseline:
        how = f", {threads(baseline.threads)}" if baseline.threads else ""
        line(console, f"Float baseline: {baseline.name} on {baseline.device}{how}")
    if scored:
        console.print(_accuracy(report))
    console.print(_cost(report, console))
    if report.against:
        console.print(comparison_table(report, report.against))
    if report.sustained:
        console.print(sustained_table(report.sustained))
    sensors = board_table(report)
    if sensors is not None:
        console.print(sensors)
    for remark in _remarks(report, scored):
        line(console, remark)


def _describe(machine: Machine) -> list[str]:
    facts = [*filter(None, (machine.cpu, machine.os)), counted(machine.cores, "core")]
    load = machine.load_average
    if load is not None and load > 0.5:
        facts.append(f"busy with other work (load {load:.1f}): latencies may be higher than on an idle machine")
    return facts


def _accuracy(report: BenchReport) -> Table:
    paired = any(model.difference is not None for model in report.models)
    shown = table("Accuracy", "model", "top-1", "95 %", *(["points", "95 %", "p"] if paired else []))
    if report.baseline:
        shown.add_row(FLOAT, percent(report.baseline.top1), interval(report.baseline.top1_interval))
    for model in {model.name: model for model in report.models}.values():
        difference = [
            points(model.difference),
            interval(model.difference_interval, signed=True),
            p_value(model.p_value),
        ]
        accuracy = [percent(model.top1), interval(model.top1_interval)]
        shown.add_row(model.name, *accuracy, *(difference if paired else []))
    return shown


def _cost(report: BenchReport, console: Console) -> Table:
    whole = _cost_table(report, ("parameters", "macs"))
    # Within the console's own width a table is measured as if it were folded.
    needed = console.measure(whole, options=console.options.update(max_width=WIDEST)).maximum
    return whole if needed <= console.width else _cost_table(report, ())


def _cost_table(report: BenchReport, counts: Sequence[str]) -> Table:
    several = len({model.threads for model in report.models}) > 1
    second = "threads" if several else "gzip"
    titles = {"parameters": "parameters", "macs": "MACs"}
    columns = ("model", second, "file", *map(titles.__getitem__, counts), "median", "p90", "p99", "load", "memory")
    shown = table("Size, latency of one image, memory", *columns)
    baseline = report.baseline
    if baseline:
        latency = baseline.latency_ms
        times = (latency.median, latency.p90, latency.p99) if latency else (None, None, None)
        counted = (number(getattr(baseline, key, None)) for key in counts)
        shown.add_row(FLOAT, "", size(baseline.size_bytes), *counted, *map(milliseconds, times))
    for model in report.models:
        latency = model.latency_ms
        shown.add_row(
            model.name,
            number(model.threads) if several else size(model.gzip_bytes),
            size(model.size_bytes),
            *(number(getattr(model, key)) for key in counts),
            *map(milliseconds, (latency.median, latency.p90, latency.p99)),
            milliseconds(model.load_ms),
            size(model.peak_memory_bytes),
        )
    return shown


def _remarks(report: BenchReport, scored: bool) -> list[str]:
    runtimes = dict.fromkeys(f"{model.runtime} {model.runtime_version}".strip() for model in report.models)
    remarks = [f"Runtime: {name}." for name in runtimes]
    if not scored:
        remarks.append("No data, so no accuracy: name it with --data.")
    elif not report.baseline and not report.notes:
        remarks.append("No float baseline, so no differences: name one with --baseline.")
    remarks.extend(report.notes)
    for model in report.models:
        if not model.steady:
            remarks.append(f"{model.name}: calls were still getting faster when timing began.")
        remarks.extend(f"{model.name}: {note}" for note in model.notes)
        if model.integrity == "unverified":
            remarks.append(f"{model.name}: unverified, not made by edgeclf.")
    remarks.extend(device_remarks(report))
    return list(dict.fromkeys(remarks))
