"""Shows the reports of `train` and `compress` on a screen."""

from __future__ import annotations

import shlex
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from edgeclf.cli.rendering import line, table
from edgeclf.measure.formatting import counted, duration, exact, interval, percent, size

if TYPE_CHECKING:
    from edgeclf.compression.compress_report import CompressReport
    from edgeclf.training.run_record import TrainReport


def render_training(console: Console, report: TrainReport) -> None:
    """Print figures by split, remarks, what was written, and what to do next."""
    head = f"{report.model}, {exact(report.parameters)} parameters, {report.image_size} px"
    shown = table(head, "split", "images", "top-1", "95 % interval", "top-5", "calibration error")
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
    folder = Path(report.run)
    line(console, f"Plots: {folder / 'plots'}")
    line(console, f"History: {folder / 'history.csv'}")
    line(console, f"Logs: {folder / 'logs'} (tensorboard --logdir {shlex.quote(str(folder / 'logs'))})")
    line(console, f"Run folder: {folder}, with the network of epoch {report.kept_epoch} in {folder / 'model.keras'}")
    line(console, _end(report))
    line(console, f"Next: edgeclf compress {shlex.quote(report.run)}")


def _end(report: TrainReport) -> str:
    """Write how long it took, and when it ended."""
    took = f"{counted(report.epochs, 'epoch')} in {duration(report.seconds)} on {report.device}"
    if report.ended is None or report.elapsed_seconds is None:
        return f"{took}."
    ended = datetime.fromisoformat(report.ended)
    return f"{took}; ended {ended:%Y-%m-%d %H:%M:%S}, {duration(report.elapsed_seconds)} after the command began."


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
