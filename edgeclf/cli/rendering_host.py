"""How the reports of `train` and `compress` look on a screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from edgeclf.cli.rendering import interval, line, number, percent, size, table


def render_training(console: Console, report: Mapping[str, Any]) -> None:
    """Figures a split, and what to do next."""
    metrics = report["metrics"]
    head = f"{report['model']}, {number(report['parameters'])} parameters, {report['image_size']} px"
    shown = table(head, "split", "images", "top-1", "95 %", "top-5", "calibration error")
    for split, figures in metrics.items():
        if figures is None:
            shown.add_row(split, "none", "", "", "", "")
            continue
        shown.add_row(
            split,
            number(figures["images"]),
            percent(figures["top1"], 2),
            interval(figures.get("top1_interval")),
            percent(figures.get("top5"), 2),
            percent(figures.get("calibration_error")),
        )
    console.print(shown)
    for remark in report.get("notes") or ():
        line(console, str(remark))
    line(console, f"{report['run']} (after {duration(report['seconds'])}); next: edgeclf compress {report['run']}")


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, in the unit that suits."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def render_compression(console: Console, report: Mapping[str, Any]) -> None:
    """One row a model, then what a person should know about each."""
    models = report["models"]
    split = next((model["split"] for model in models if model["split"]), None)
    accuracy = f"top-1 ({split})" if split else "top-1"
    shown = table("Models", "recipe", accuracy, "float", "file", "gzip", "zeros", "distinct weights")
    for model in models:
        shown.add_row(
            model["recipe"],
            percent(model["top1"], 2),
            percent(model["float_top1"], 2),
            size(model["size_bytes"]),
            size(model["gzip_bytes"]),
            percent(model["sparsity"]),
            number(model["distinct_weights_max"]),
        )
    console.print(shown)
    for model in models:
        line(console, model["path"])
        for note in model["notes"]:
            line(console, note, indent="  ")
    for note in report["notes"]:
        line(console, note)
