"""Shows what `inspect --doctor` found on a screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from edgeclf.cli.rendering import line
from edgeclf.cli.rendering_tables import Column, print_table
from edgeclf.measure.formatting import counted, milliseconds, number, percent, threads

if TYPE_CHECKING:
    from edgeclf.doctor.report import DoctorReport, OperatorTime

_SHOWN = 8  # operators; with --verbose all
_STYLES = {"high": "red", "medium": "yellow", "low": "default"}


def render_diagnosis(console: Console, report: DoctorReport, verbose: bool) -> None:
    """Print where the time goes, then each finding with its command."""
    _print_operators(console, report, verbose)
    at = ", ".join(f"{threads(t.threads)} {milliseconds(t.milliseconds)}" for t in report.thread_times)
    line(console, f"The whole model, median: {at} ({report.cpu}, {report.cores} cores).")
    if report.whole_ms > 0:
        more = report.sum_ms / report.whole_ms - 1
        line(
            console,
            f"Its operators one by one take {milliseconds(report.sum_ms)}, the whole {milliseconds(report.whole_ms)}, "
            f"each at least: {percent(abs(more), 0)} {'more' if more >= 0 else 'less'} alone.",
        )
    line(console, "")
    if not report.findings:
        looked = {"data": f"on {counted(report.images, 'image')}", "samples": "without photos (--data)"}
        line(console, f"Nothing found, {looked.get(report.image_source, 'without images')}.", "green")
        _print_unchecked(console, report)
        return
    rows = [
        [f.cause, f.severity, f.costs, percent(f.fraction, 0), "yes" if f.measured else "heuristic"]
        for f in report.findings
    ]
    columns = (
        Column("finding"),
        Column("severity", text=True),
        Column("costs", text=True),
        Column("share"),
        Column("measured", text=True, drop=1),
    )
    print_table(console, counted(len(rows), "finding"), columns, rows)
    for finding in report.findings:
        line(console, f"{finding.cause}: {finding.sentence}", _STYLES[finding.severity])
        line(console, finding.command, indent="    ")
    _print_unchecked(console, report)


def _print_unchecked(console: Console, report: DoctorReport) -> None:
    if report.unchecked:
        listed = ", ".join(f"{name} ({options})" for name, options in report.unchecked.items())
        line(console, f"Not looked for: {listed}.")


def _print_operators(console: Console, report: DoctorReport, verbose: bool) -> None:
    timed = sorted(report.operators, key=lambda operator: -(operator.fraction or 0.0))
    shown = timed if verbose else timed[:_SHOWN]
    columns = (
        Column("operator"),
        Column("number", drop=2),
        Column("input", text=True),
        Column("MACs", drop=1),
        Column("time alone"),
        Column("share"),
        Column("by", text=True, drop=3),
    )
    title = f"{report.path}: operators by time, alone, at {threads(report.threads)}"
    print_table(console, title, columns, [_row(operator) for operator in shown])
    if len(shown) < len(timed):
        line(console, f"... and {len(timed) - len(shown)} more operators (--verbose)")


def _row(operator: OperatorTime) -> list[str]:
    return [
        operator.name,
        str(operator.number),
        operator.dtype,
        number(operator.macs) if operator.macs else "",
        milliseconds(None if operator.microseconds is None else operator.microseconds / 1e3),
        percent(operator.fraction, 1),
        "XNNPACK" if operator.delegated else "plain kernels",
    ]
