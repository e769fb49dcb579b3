"""How the report of `bench` looks on a screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from edgeclf.cli.rendering import interval, line, number, percent, points, size, table
from edgeclf.cli.rendering_device import beside, board_table, device_remarks, first_and_last, milliseconds

WIDEST = 1000  # columns: wider than any table
FLOAT = "float"  # the baseline's name in tables, whose own name is too long for them


def render_bench(console: Console, report: Mapping[str, Any]) -> None:
    """The machine, the baseline, one row a model and thread count, and what the figures do not say by themselves."""
    machine = report["machine"]
    line(console, "Measured on " + ", ".join(_machine(machine)))
    data = report.get("data")
    if data:
        line(console, f"Data: {data['name']}, {data['split']}, {data['images']:,} images")
    judged = any(model["top1"] is not None for model in report["models"])
    baseline = report.get("baseline")
    if baseline:
        threads = baseline.get("threads")
        how = f", {threads} thread{'s' if threads > 1 else ''}" if threads else ""
        line(console, f"Float baseline: {baseline['name']} on {baseline['device']}{how}")
    if judged:
        console.print(_accuracy(report))
    console.print(_cost(report, console))
    if report.get("against"):
        console.print(beside(report))
    if report.get("sustained"):
        console.print(first_and_last(report["sustained"]))
    sensors = board_table(report)
    if sensors is not None:
        console.print(sensors)
    for remark in _remarks(report, judged):
        line(console, remark)


def _machine(machine: Mapping[str, Any]) -> list[str]:
    known = [str(machine[name]) for name in ("cpu", "os") if machine.get(name)]
    facts = [*known, f"{machine['cores']} cores"]
    load = machine.get("load_average")
    if load is not None and load > 0.5:
        facts.append(f"busy with other work (load {load:.1f}): take latencies with a grain of salt")
    return facts


def _accuracy(report: Mapping[str, Any]) -> Table:
    paired = any(model["difference"] is not None for model in report["models"])
    shown = table("Accuracy", "model", "top-1", "95 %", *(["points", "95 %", "p"] if paired else []))
    baseline = report.get("baseline")
    if baseline:
        shown.add_row(FLOAT, percent(baseline["top1"], 2), interval(baseline["top1_interval"]))
    for model in {model["name"]: model for model in report["models"]}.values():
        p_value = "–" if model["p_value"] is None else f"{model['p_value']:.2g}"
        difference = [points(model["difference"]), interval(model["difference_interval"], sign=True), p_value]
        accuracy = [percent(model["top1"], 2), interval(model["top1_interval"])]
        shown.add_row(model["name"], *accuracy, *(difference if paired else []))
    return shown


def _cost(report: Mapping[str, Any], console: Console) -> Table:
    whole = _cost_table(report, ("parameters", "macs"))
    # Asked within the console's own width, a table answers that it fits by folding.
    wanted = console.measure(whole, options=console.options.update(max_width=WIDEST)).maximum
    return whole if wanted <= console.width else _cost_table(report, ())


def _cost_table(report: Mapping[str, Any], counts: Sequence[str]) -> Table:
    several = len({model["threads"] for model in report["models"]}) > 1
    second = "threads" if several else "gzip"
    titles = {"parameters": "parameters", "macs": "MACs"}
    columns = ("model", second, "file", *map(titles.__getitem__, counts), "median", "p90", "p99", "load", "memory")
    shown = table("Size, latency of one image, memory", *columns)
    baseline = report.get("baseline")
    if baseline:
        latency = baseline["latency_ms"] or {}
        times = (milliseconds(latency.get(key)) for key in ("median", "p90", "p99"))
        counted = (number(baseline.get(key)) for key in counts)
        shown.add_row(FLOAT, "", size(baseline["size_bytes"]), *counted, *times)
    for model in report["models"]:
        shown.add_row(
            model["name"],
            number(model["threads"]) if several else size(model["gzip_bytes"]),
            size(model["size_bytes"]),
            *(number(model[key]) for key in counts),
            *(milliseconds(model["latency_ms"][key]) for key in ("median", "p90", "p99")),
            milliseconds(model["load_ms"]),
            size(model["peak_memory_bytes"]),
        )
    return shown


def _remarks(report: Mapping[str, Any], judged: bool) -> list[str]:
    models = report["models"]
    remarks = [f"Runtime: {name}." for name in dict.fromkeys(_runtime(model) for model in models)]
    if not judged:
        remarks.append("No data, so no accuracy: name it with --data.")
    elif not report.get("baseline") and not report.get("notes"):
        remarks.append("No float baseline, so no differences: name one with --baseline.")
    remarks.extend(report.get("notes") or ())
    for model in models:
        if model.get("steady") is False:
            remarks.append(f"{model.get('name')}: calls were still getting faster when timing began.")
        remarks.extend(f"{model['name']}: {note}" for note in model.get("notes") or ())
        if model.get("integrity") == "unverified":
            remarks.append(f"{model.get('name')}: unverified, not made by edgeclf.")
    remarks.extend(device_remarks(report))
    return list(dict.fromkeys(remarks))


def _runtime(model: Mapping[str, Any]) -> str:
    return f"{model['runtime']} {model.get('runtime_version') or ''}".strip()
