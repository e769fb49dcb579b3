"""Draws the report's plots as SVG text. Colours are CSS variables, so that one drawing serves light and dark pages."""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from edgeclf.measure.changes import is_significant
from edgeclf.measure.formatting import milliseconds, size, threads
from edgeclf.measure.report import BaselineResult, BenchReport, ClassCost, ModelResult
from edgeclf.printable import printable

# Stand-ins that matplotlib accepts; each is replaced by the CSS variable of the same meaning.
INK, FAINT, GRID = "#010203", "#040506", "#070809"
_VARIABLES = {INK: "var(--ink)", FAINT: "var(--faint)", GRID: "var(--grid)"}
SERIES = 8
_MARKERS = "osD^vPX*"
SHOWN_CLASSES = 20
NARROW = 3.6  # inches: at the width of a phone its letters are as large as those of the text


def series_colour(index: int) -> str:
    """Name the CSS colour of the model with this number."""
    return f"var(--series-{index % SERIES})"


Drawing = Callable[[BenchReport, Mapping[str, int], bool], str]


def for_both_screens(draw: Drawing, report: BenchReport, order: Mapping[str, int]) -> str:
    """Draw once for a desktop and once for a phone, whose letters would else shrink with the drawing.

    Style sheets show one of the two (`.wide` and `.narrow`).
    """
    wide, narrow = draw(report, order, False), draw(report, order, True)
    return f'<div class="wide">{wide}</div><div class="narrow">{narrow}</div>'


def accuracy_against_size(report: BenchReport, order: Mapping[str, int], narrow: bool = False) -> str:
    """Plot top-1 with 95 % intervals over file size in bytes, logarithmic."""
    figure, axes = make_canvas(5.6, 3.7, narrow)
    _baseline_band(axes, report.baseline)
    for name, index in order.items():
        model = next(m for m in report.models if m.name == name)
        _point(axes, model, model.size_bytes, index, "o")
    _logarithmic(axes, [m.size_bytes for m in report.models], lambda value, _: _tick(size(round(value))), narrow)
    axes.set_xlabel("file size")
    axes.set_ylabel("top-1 accuracy, %")
    return write_svg(figure, name_drawing("size", narrow), "Accuracy against file size")


def accuracy_against_latency(report: BenchReport, order: Mapping[str, int], narrow: bool = False) -> str:
    """Plot top-1 with 95 % intervals over the median latency, logarithmic; a whisker runs to the 90th percentile."""
    figure, axes = make_canvas(5.6, 3.7, narrow)
    _baseline_band(axes, report.baseline)
    counts = list(dict.fromkeys(m.threads for m in report.models))
    for model in report.models:
        marker = _MARKERS[counts.index(model.threads) % len(_MARKERS)]
        _point(axes, model, model.latency_ms.median, order[model.name], marker, tail=model.latency_ms.p90)
    if len(counts) > 1:
        for position, count in enumerate(counts):
            axes.plot([], [], _MARKERS[position % len(_MARKERS)], color=FAINT, label=threads(count), markersize=6)
        axes.legend(frameon=False, labelcolor=INK, fontsize=9, loc="best")
    ends = [m.latency_ms.median for m in report.models] + [m.latency_ms.p90 for m in report.models]
    _logarithmic(axes, ends, lambda value, _: milliseconds(value), narrow)
    axes.set_xlabel(_wrapped("median latency of one image (whisker: 90th percentile)", narrow))
    axes.set_ylabel("top-1 accuracy, %")
    return write_svg(figure, name_drawing("latency", narrow), "Accuracy against latency")


def latency_bars(report: BenchReport, order: Mapping[str, int], narrow: bool = False) -> str:
    """Plot median, 90th and 99th percentile of each model and thread count, where accuracy is unknown."""
    figure, axes = make_canvas(11.4, 0.8 + 0.36 * len(report.models), narrow)
    for row, model in enumerate(report.models):
        colour, times = _colour(order[model.name]), model.latency_ms
        axes.plot([times.median, times.p99], [row, row], color=colour, linewidth=1.5, alpha=0.5)
        axes.plot([times.median], [row], "o", color=colour, markersize=8)
        axes.plot([times.p90, times.p99], [row, row], "|", color=colour, markersize=9, markeredgewidth=1.8)
    limit, between = (18, "\n") if narrow else (40, ", ")
    names = [f"{_shortened(m.name, limit)}{between}{threads(m.threads)}" for m in report.models]
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_ylim(len(names) - 0.5, -0.5)
    ends = [v for m in report.models for v in (m.latency_ms.median, m.latency_ms.p99)]
    _logarithmic(axes, ends, lambda value, _: milliseconds(value), narrow)
    axes.set_xlabel(_wrapped("latency: median (dot), 90th and 99th percentile (ticks)", narrow))
    return write_svg(figure, name_drawing("bars", narrow), "Latency of each model")


def class_costs(report: BenchReport, order: Mapping[str, int], narrow: bool = False) -> str:
    """Plot differences by class with intervals, those that lose most first, `SHOWN_CLASSES` at most."""
    by_class: dict[str, list[tuple[int, ClassCost]]] = {}
    for comparison in report.comparisons:
        for cost in comparison.per_class:
            if cost.difference is not None:
                by_class.setdefault(cost.label, []).append((order[comparison.name], cost))
    if not by_class:
        return ""
    shown = sorted(by_class, key=lambda label: min(c.difference or 0.0 for _, c in by_class[label]))[:SHOWN_CLASSES]
    per_row = max(len(costs) for costs in by_class.values())
    figure, axes = make_canvas(11.4, 0.8 + len(shown) * (0.2 + 0.12 * per_row), narrow)
    axes.axvline(0, color=FAINT, linewidth=1.2)
    for row, label in enumerate(shown):
        for index, cost in by_class[label]:
            offset = (index - (per_row - 1) / 2) * 0.72 / per_row
            _cost(axes, cost, row + offset, _colour(index))
        if row % 2:
            axes.axhspan(row - 0.5, row + 0.5, color=GRID, alpha=0.35, linewidth=0)
    axes.set_yticks(range(len(shown)), [_shortened(label, 14 if narrow else 28) for label in shown], parse_math=False)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(_wrapped("difference to the float network, percentage points (filled: beyond chance)", narrow))
    return write_svg(figure, name_drawing("classes", narrow), "Difference by class")


def _cost(axes: Axes, cost: ClassCost, height: float, colour: str) -> None:
    low, high = cost.difference_interval or (cost.difference, cost.difference)
    axes.plot([100 * (low or 0), 100 * (high or 0)], [height, height], color=colour, linewidth=1.6, alpha=0.65)
    axes.plot(
        [100 * (cost.difference or 0)], [height], "o", color=colour, markersize=5.5, markeredgewidth=1.4,
        markerfacecolor=colour if is_significant(cost) else "none",
    )  # fmt: skip


def _point(axes: Axes, model: ModelResult, x: float, index: int, marker: str, tail: float | None = None) -> None:
    if model.top1 is None or model.top1_interval is None:
        return
    low, high = model.top1_interval
    top, colour = 100 * model.top1, _colour(index)
    axes.plot([x, x], [100 * low, 100 * high], color=colour, linewidth=1.5, alpha=0.6)
    if tail is not None:
        axes.plot([x, tail], [top, top], color=colour, linewidth=1.5, alpha=0.6)
    axes.plot([x], [top], marker, color=colour, markersize=8)


def _baseline_band(axes: Axes, baseline: BaselineResult | None) -> None:
    if baseline is None or baseline.top1 is None or baseline.top1_interval is None:
        return
    low, high = baseline.top1_interval
    axes.axhspan(100 * low, 100 * high, color=FAINT, alpha=0.13, linewidth=0)
    axes.axhline(100 * baseline.top1, color=FAINT, linewidth=1.2, linestyle=(0, (5, 3)))
    axes.annotate(
        "float network", (1, 100 * baseline.top1), xycoords=("axes fraction", "data"), xytext=(-4, 4),
        textcoords="offset points", ha="right", va="bottom", color=FAINT, fontsize=9,
    )  # fmt: skip


def _logarithmic(axes: Axes, values: Sequence[float], label: Any, narrow: bool) -> None:
    low, high = min(values), max(values)
    axes.set_xscale("log")
    # Half an octave of air at either end, so that a single model does not stand on the frame.
    axes.set_xlim(low / 1.5, high * 1.5)
    subs: tuple[float, ...] = (1.0, 2.0, 5.0)
    if high / low >= (8 if narrow else 300):
        subs = (1.0, 3.0) if high / low < 300 else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=subs))
    axes.xaxis.set_major_formatter(FuncFormatter(label))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _tick(text: str) -> str:
    """Drop zeros behind the decimal point, which in a table show how exact a figure is."""
    return re.sub(r"(\.\d*?)0+ ", r"\1 ", text).replace(". ", " ")


def name_drawing(name: str, narrow: bool) -> str:
    """Name a drawing that there are two of, one for each kind of screen."""
    return f"{name}-narrow" if narrow else name


def _wrapped(label: str, narrow: bool) -> str:
    return textwrap.fill(label, 30) if narrow else label


def make_canvas(width: float, height: float, narrow: bool) -> tuple[Figure, Axes]:
    """Make a drawing of a size in inches, in the colours of the page."""
    figure = Figure(figsize=(min(width, NARROW) if narrow else width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor("none")
    axes.tick_params(colors=INK, labelsize=9.5, length=0)
    axes.tick_params(which="minor", length=0)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure, axes


def _colour(index: int) -> str:
    return f"#0a0b{0x10 + index % SERIES:02x}"


def _shortened(label: str, limit: int) -> str:
    shown = printable(label)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def write_svg(figure: Figure, name: str, title: str) -> str:
    """Write a drawing as SVG text; `name` keeps it apart from others on the page."""
    stream = io.StringIO()
    # Text stays text: it can be read aloud, searched, and takes the page's font. The salt keeps the identifiers of
    # several drawings on one page apart, and the same from run to run.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": f"edgeclf-{name}"}), warnings.catch_warnings():
        # The reader's browser brings the letters that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', rf'\1 role="img" aria-label="{title}"', text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r"font: ([0-9.]+px)[^;\"]*", r"font-size: \1", text)
    for stand_in, variable in _VARIABLES.items():
        text = text.replace(stand_in, variable)
    return re.sub(r"#0a0b1([0-7])", r"var(--series-\1)", text)
