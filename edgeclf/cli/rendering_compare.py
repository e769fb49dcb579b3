"""Shows the report of `compare` on a screen."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from edgeclf.cli.rendering import line, show_notes
from edgeclf.cli.rendering_tables import Column, print_table
from edgeclf.measure.changes import SIGNIFICANT, judge_class
from edgeclf.measure.compare_report import ComparedModel, CompareReport, describe_use, write_int8_size, write_setting
from edgeclf.measure.formatting import counted, exact, interval, number, p_value, percent, points, size


def render_compare(console: Console, report: CompareReport) -> None:
    """Print both, the classes, what changed, the settings that differ, and last what was written."""
    first, second, data = report.first, report.second, report.data
    line(console, f"{second.name} compared with {first.name}: differences are {second.name} minus {first.name}")
    images = counted(data.images, f"{data.split} image")
    line(console, f"Data: {data.name}, {images} {describe_use(report)}")
    columns = (
        Column("model"),
        Column("top-1"),
        Column("95 %", drop=1),
        Column("parameters", drop=3),
        Column("MACs", drop=4),
        Column("file", drop=2),
        Column("as int8", drop=5),
    )
    print_table(console, "Top-1 and cost", columns, [_row(first), _row(second)])
    p = p_value(report.p_value)
    bounds = interval(report.difference_interval, signed=True)
    chance = "" if report.p_value < SIGNIFICANT else ": within chance"
    line(console, f"Difference: {points(report.difference)} points (95 %: {bounds}; McNemar's p {p}){chance}")
    _print_classes(console, report)
    flips = report.flip_counts
    line(console, f"Images whose label flipped (lost: only {first.name} is right): {flips.text}")
    _print_settings(console, report)
    show_notes(console, report.notes, {one.name: one.notes for one in (first, second)})
    if report.written:
        line(console, f"Wrote {' and '.join(report.written)}")


def _row(one: ComparedModel) -> Sequence[str]:
    return [
        one.name,
        percent(one.top1),
        interval(one.top1_interval),
        number(one.parameters),
        number(one.macs),
        size(one.size_bytes),
        "" if one.kind == "model file" else write_int8_size(one),
    ]


def _print_classes(console: Console, report: CompareReport) -> None:
    columns = (
        Column("class"),
        Column("images", drop=3),
        Column(report.first.name, drop=4),
        Column(report.second.name, drop=5),
        Column("points"),
        Column("interval", drop=1, name="the corrected interval of the difference"),
        Column("p", drop=2),
        Column("", text=True),
    )
    rows = [
        [
            cost.label,
            exact(cost.images),
            percent(cost.baseline_top1),
            percent(cost.top1),
            points(cost.difference),
            interval(cost.difference_interval, signed=True),
            p_value(cost.p_value),
            judge_class(cost),
        ]
        for cost in report.per_class
        if cost.images
    ]
    print_table(console, "By class (p-values and intervals corrected by Holm)", columns, rows)


def _print_settings(console: Console, report: CompareReport) -> None:
    if not report.settings:
        return
    columns = (Column("setting"), Column(report.first.name), Column(report.second.name))
    rows = [[one.name, write_setting(one.first), write_setting(one.second)] for one in report.settings]
    print_table(console, "Settings that differ", columns, rows)
