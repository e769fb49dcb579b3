"""Shows the reports of `train` and `compress` on a screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from edgeclf.cli.rendering import line, table
from edgeclf.measure.formatting import duration, exact, interval, percent, size

if TYPE_CHECKING:
    from edgeclf.compression.compress_report import CompressReport
    from edgeclf.training.run_record import TrainReport


def render_training(console: Console, report: TrainReport) -> None:
    """Print figures by split, and what to do next."""
    head = f"{report.model}, {exact(report.parameters)} parameters, {report.image_size} px"
    shown = table(head, "split", "images", "top-1", "95 %", "top-5", "calibration error")
    for split, figures in report.metrics.items():
        if figures is None:
            shown.add_row(split, "none", "", "", "", "")
            continue
        shown.add_row(
            split,
            exact(figures.images),
            percent(figures.top1),
            interval(figures.top1_interval),
            percent(figures.top5),
            percent(figures.calibration_error, 1),
        )
    console.print(shown)
    for remark in report.notes:
        line(console, remark)
    line(console, f"{report.run} (after {duration(report.seconds)}); next: edgeclf compress {report.run}")


def render_compression(console: Console, report: CompressReport) -> None:
    """Print one row a model, then the warnings of each."""
    split = next((model.split for model in report.models if model.split), None)
    accuracy = f"top-1 ({split})" if split else "top-1"
    shown = table("Models", "recipe", accuracy, "float", "file", "gzip", "zeros", "distinct weights")
    for model in report.models:
        shown.add_row(
            model.recipe,
            percent(model.top1),
            percent(model.float_top1),
            size(model.size_bytes),
            size(model.gzip_bytes),
            percent(model.sparsity, 1),
            exact(model.distinct_weights_max),
        )
    console.print(shown)
    for model in report.models:
        line(console, model.path)
        for note in model.notes:
            line(console, note, indent="  ")
    for note in report.notes:
        line(console, note)
