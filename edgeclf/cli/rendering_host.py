"""Shows the reports of `train` and `compress` on a screen."""

from __future__ import annotations

import shlex
import statistics
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from edgeclf.cli.rendering import line, show_notes
from edgeclf.cli.rendering_growth import render_growth
from edgeclf.cli.rendering_probabilities import describe_fit
from edgeclf.cli.rendering_sensitivity import render_sensitivity
from edgeclf.cli.rendering_tables import Column, print_table
from edgeclf.image.shape import STRETCH, show_size
from edgeclf.measure.formatting import counted, duration, exact, interval, milliseconds, percent, points, size, threads

if TYPE_CHECKING:
    from edgeclf.compression.compress_report import CompressedModel, CompressReport
    from edgeclf.training.run_record import TrainReport


def _input(report: TrainReport) -> str:
    """Write the input: the side of a square, else width and height; and the fit, unless it is the usual one."""
    size = report.image_size if isinstance(report.image_size, int) else show_size(report.image_size)
    return f"{size} px" if report.fit == STRETCH else f"{size} px, {report.fit}"


def render_training(console: Console, report: TrainReport) -> None:
    """Print figures by split, remarks, what was written, and what to do next."""
    head = f"{report.model}, {exact(report.parameters)} parameters, {_input(report)}"
    columns = (
        Column("split"),
        Column("images"),
        Column("top-1"),
        Column("95 % interval"),
        Column("top-5", drop=2),
        Column("calibration error", drop=1),
    )
    rows = []
    for split, figures in report.metrics.items():
        if figures is None:
            rows.append([split, "none", "", "", "", ""])
            continue
        top1 = [percent(figures.top1), interval(figures.top1_interval)]
        others = [percent(figures.top5), percent(figures.calibration_error, 1)]
        rows.append([split, exact(figures.images), *top1, *others])
    print_table(console, head, columns, rows)
    if report.growth is not None:
        render_growth(console, report.growth, noted=bool(report.in_training.get("test")))
    show_notes(console, report.notes)
    folder = Path(report.run)
    line(console, f"Plots: {folder / 'plots'}")
    line(console, f"History: {folder / 'history.csv'}")
    line(console, f"Logs: {folder / 'logs'} (tensorboard --logdir {shlex.quote(str(folder / 'logs'))})")
    kept = f"the network of epoch {report.kept_epoch}" if report.kept_epoch else "the classifier on frozen features"
    line(console, f"Run folder: {folder}, with {kept} in {folder / 'model.keras'}")
    line(console, _end(report))
    line(console, f"Next: edgeclf compress {shlex.quote(report.run)}")


def _end(report: TrainReport) -> str:
    """Write how long it took, and when it ended."""
    took = f"{counted(report.epochs, 'epoch')} in {duration(report.seconds)} on {report.device}"
    if report.ended is None or report.elapsed_seconds is None:
        return f"{took}."
    try:
        ended = datetime.fromisoformat(report.ended)
    except ValueError:  # run.json is a file like any other
        return f"{took}."
    return f"{took}; ended {ended:%Y-%m-%d %H:%M:%S}, {duration(report.elapsed_seconds)} after the command began."


def render_compression(console: Console, report: CompressReport) -> None:
    """Print one row a model, how its speed was measured, the remarks on each, and last what was written."""
    if report.search is not None:
        from edgeclf.cli.rendering_search import render_search

        render_search(console, report.search)
        if not report.models:
            return
    columns = (
        Column("recipe"),
        Column("top-1"),
        Column("95 %", drop=5, name="the interval of top-1"),
        Column("points"),
        Column("95 %", drop=7, name="the interval of the difference"),
        Column("file"),
        Column("gzip", drop=3),
        Column("one image", drop=6),
        Column("speed"),
        Column("95 %", drop=4, name="the interval of the speed"),
        Column("zeros", drop=2),
        Column("distinct", drop=1, name="distinct weights"),
    )
    print_table(console, _compression_title(report), columns, [*_float_row(report), *map(_model_row, report.models)])
    for remark in _speed_remarks(report):
        line(console, remark)
    show_notes(
        console,
        report.notes,
        {model.recipe: [*describe_fit(model.probabilities), *model.notes, *_encoded(model)] for model in report.models},
    )
    if report.sensitivity is not None:
        render_sensitivity(console, report.sensitivity)
    line(console, f"Wrote {_written(report)}")


def _compression_title(report: CompressReport) -> str:
    scored = next((model for model in report.models if model.split), None)
    if scored is None:
        return "Models"
    count = f"{exact(scored.images)} {scored.split} images" if scored.images else f"{scored.split} images"
    return f"Models; top-1 on {count}" + ("" if scored.difference is None else ", points against the float network")


def _float_row(report: CompressReport) -> list[list[str]]:
    """Make the row of the float network; its time is that of its float32 model."""
    first = next((model for model in report.models if model.float_top1 is not None), None)
    if first is None:
        return []
    speeds = [model.speed.float32_median_ms for model in report.models if model.speed is not None]
    time = milliseconds(statistics.median(speeds)) if speeds else ""
    top1 = [percent(first.float_top1), interval(first.float_top1_interval)]
    return [["float", *top1, "", "", "", "", time, "", "", "", ""]]


def _model_row(model: CompressedModel) -> list[str]:
    speed = model.speed
    return [
        model.recipe,
        percent(model.top1),
        interval(model.top1_interval),
        points(model.difference),
        interval(model.difference_interval, signed=True),
        size(model.written_bytes or model.size_bytes),
        size(model.gzip_bytes),
        milliseconds(speed.median_ms) if speed else "",
        f"{speed.times_as_fast:.2f}×" if speed else "",
        " to ".join(f"{bound:.2f}" for bound in speed.times_as_fast_interval) if speed else "",
        percent(model.sparsity, 1),
        exact(model.distinct_weights_max),
    ]


def _speed_remarks(report: CompressReport) -> list[str]:
    """Name the machine that speed was measured on; where it was not measured nothing is claimed."""
    speeds = {model.recipe: model.speed for model in report.models if model.speed is not None}
    if not speeds:
        return ["Speed was not measured."]
    found = []
    for speed in speeds.values():
        runtime = f"{speed.runtime} {speed.runtime_version}".strip()
        found.append(
            "Speed: how many times as fast as the float32 model of the same network, in turns, on "
            f"{speed.cpu}, {threads(speed.threads)}, {runtime}. On another machine, measure with edgeclf bench."
        )
    busy = [speed.load_average for speed in speeds.values() if speed.was_busy]
    if busy:
        load = max(filter(None, busy))
        found.append(f"The machine was busy with other work (load {load:.1f}) before they were made and timed.")
    bounds = {name: speed.times_as_fast_interval for name, speed in speeds.items() if name != "float32"}
    alike = [name for name, (low, high) in bounds.items() if low <= 1 <= high]
    if alike:
        found.append(f"Not measurably faster or slower than float32: {', '.join(alike)}.")
    return list(dict.fromkeys(found))


def _encoded(model: CompressedModel) -> list[str]:
    written = model.written_bytes
    if written is None or written == model.size_bytes:
        return []
    inside = f"{size(model.size_bytes)} ({size(model.gzip_bytes)} as gzip)"
    return [f"the file that was written takes {size(written)}, the model inside it {inside}"]


def _written(report: CompressReport) -> str:
    """Name the files, their folder once where all lie in one."""
    paths = [Path(model.path) for model in report.models]
    folders = {path.parent for path in paths}
    if len(paths) > 1 and len(folders) == 1:
        return f"to {folders.pop()}: {', '.join(path.name for path in paths)}"
    return ", ".join(map(str, paths))
