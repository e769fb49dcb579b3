"""How the report of `bench` looks on a screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from edgeclf.cli.rendering import interval, line, number, percent, points, size, table


def render_bench(console: Console, report: Mapping[str, Any]) -> None:
    """The machine, the baseline, one row a model and thread count, and what the figures do not say by themselves."""
    machine = report["machine"]
    line(console, "Measured on " + ", ".join(_machine(machine)))
    data = report.get("data")
    if data:
        line(console, f"Data: {data['name']}, {data['split']}, {data['images']:,} images")
    judged = any(model["top1"] is not None for model in report["models"])
    paired = any(model["difference"] is not None for model in report["models"])
    columns = ["top-1", "95 %", *(["points", "95 %", "p"] if paired else [])] if judged else []
    shown = table("", "model", *columns, "file", "gzip", "params", "median", "p90", "p99", "load", "memory")
    shown.title = None
    baseline = report.get("baseline")
    if baseline:
        shown.add_row(*_baseline(baseline, judged, paired))
    several = len({model["threads"] for model in report["models"]}) > 1
    for model in report["models"]:
        shown.add_row(*_model(model, judged, paired, several))
    console.print(shown)
    for remark in _remarks(report, judged):
        line(console, remark)


def _machine(machine: Mapping[str, Any]) -> list[str]:
    known = [str(machine[name]) for name in ("cpu", "os") if machine.get(name)]
    facts = [*known, f"{machine['cores']} cores"]
    load = machine.get("load_average")
    if load is not None and load > 0.5:
        facts.append(f"busy with other work (load {load:.1f}): take latencies with a grain of salt")
    return facts


def _baseline(baseline: Mapping[str, Any], judged: bool, paired: bool) -> list[str]:
    latency = baseline.get("latency_ms") or {}
    accuracy = [percent(baseline["top1"], 2), interval(baseline.get("top1_interval"))] if judged else []
    return [
        f"{baseline['name']} (float, {baseline['device']})",
        *accuracy,
        *([""] * 3 if paired else []),
        size(baseline.get("size_bytes")),
        "",
        number(baseline.get("parameters")),
        *(milliseconds(latency.get(key)) for key in ("median", "p90", "p99")),
        "",
        "",
    ]


def _model(model: Mapping[str, Any], judged: bool, paired: bool, several: bool) -> list[str]:
    latency = model["latency_ms"]
    name = str(model.get("name") or model["path"])
    accuracy = [percent(model["top1"], 2), interval(model["top1_interval"])]
    difference = [
        points(model["difference"]),
        interval(model["difference_interval"], sign=True),
        "–" if model["p_value"] is None else f"{model['p_value']:.2g}",
    ]
    return [
        f"{name}, {model['threads']} threads" if several else name,
        *(accuracy if judged else []),
        *(difference if paired else []),
        size(model["size_bytes"]),
        size(model["gzip_bytes"]),
        number(model["parameters"]),
        *(milliseconds(latency[key]) for key in ("median", "p90", "p99")),
        milliseconds(model["load_ms"]),
        size(model["peak_memory_bytes"]),
    ]


def milliseconds(value: float | None) -> str:
    """Three significant digits, in microseconds below one millisecond."""
    if value is None:
        return "–"
    return f"{1000 * value:.0f} µs" if value < 1 else f"{value:.3g} ms"


def _remarks(report: Mapping[str, Any], judged: bool) -> list[str]:
    models = report["models"]
    remarks = [f"Runtime: {name}." for name in dict.fromkeys(_runtime(model) for model in models)]
    if not judged:
        remarks.append("No data, so no accuracy: name it with --data.")
    elif not report.get("baseline"):
        remarks.append("No float baseline, so no differences: name one with --baseline.")
    for model in models:
        if model.get("steady") is False:
            remarks.append(f"{model.get('name')}: calls were still getting faster when timing began.")
        remarks.extend(f"{model['name']}: {note}" for note in model.get("notes") or ())
        if model.get("integrity") == "unverified":
            remarks.append(f"{model.get('name')}: unverified, not made by edgeclf.")
    return list(dict.fromkeys(remarks))


def _runtime(model: Mapping[str, Any]) -> str:
    return f"{model['runtime']} {model.get('runtime_version') or ''}".strip()
