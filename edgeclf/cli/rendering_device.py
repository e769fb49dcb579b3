"""Shows what `bench` adds on a device: its sensors, the comparison with another machine, sustained work."""

from __future__ import annotations

from rich.table import Table

from edgeclf.cli.rendering import table
from edgeclf.measure.board import BoardReading
from edgeclf.measure.formatting import (
    celsius,
    duration,
    megahertz,
    milliseconds,
    number,
    percent,
    points,
    ratio,
    size,
    throttling,
)
from edgeclf.measure.report import BenchReport, ReportComparison, board_readings
from edgeclf.measure.sustained import Sustained


def board_table(report: BenchReport) -> Table | None:
    """Make a table of the sensors before and after everything, and around sustained work; None without sensors."""
    readings = board_readings(report)
    if not readings:
        return None
    shown = table("Board", "when", "temperature", "clock", "slowed down by", "since its start")
    for when, reading in readings:
        shown.add_row(when, *_sensors(reading))
    return shown


def _sensors(reading: BoardReading) -> tuple[str, ...]:
    flags = (throttling(reading.throttled), throttling(reading.throttled_since_start))
    return celsius(reading.temperature_celsius), megahertz(reading.clock_mhz), *flags


def comparison_table(report: BenchReport, against: ReportComparison) -> Table:
    """Make a table with a row a model: what was measured there, and here."""
    own = {(model.name, model.threads): model for model in report.models}
    scored = any(pair.there.top1 is not None for pair in against.models)
    accuracy = ("top-1 there", "points there", "top-1 here") if scored else ()
    columns = ("model", "threads", *accuracy, "file there", "file here", "median there", "median here", "here / there")
    shown = table(f"There: {against.machine.cpu}; here: {report.machine.cpu}", *columns)
    for pair in against.models:
        here, there = own[pair.name, pair.threads], pair.there
        scores = [percent(there.top1), points(there.difference), percent(here.top1)]
        shown.add_row(
            pair.name,
            number(pair.threads),
            *(scores if scored else []),
            size(there.size_bytes),
            size(here.size_bytes),
            milliseconds(there.latency_ms.median),
            milliseconds(here.latency_ms.median),
            ratio(pair.ratio),
        )
    return shown


def sustained_table(sustained: Sustained) -> Table:
    """Make a table with a row a model: its first window of work and its last."""
    window, whole = duration(sustained.window_seconds), duration(sustained.seconds)
    columns = ("model", "threads", "median first", "median last", "last / first", "p99 first", "p99 last")
    shown = table(f"The first {window} and the last of {whole} without a pause", *columns)
    for model in sustained.models:
        shown.add_row(
            model.name,
            number(model.threads),
            milliseconds(model.first_ms.median),
            milliseconds(model.last_ms.median),
            ratio(model.ratio),
            milliseconds(model.first_ms.p99),
            milliseconds(model.last_ms.p99),
        )
    return shown


def device_remarks(report: BenchReport) -> list[str]:
    """List warnings that these tables do not show."""
    remarks: list[str] = []
    if report.against is not None:
        for pair in report.against.models:
            remarks.extend(f"{pair.name}: {note}." for note in pair.notes)
        remarks.extend(f"{name}: not in {report.against.path}." for name in report.against.missing)
    sustained = report.sustained
    if sustained is not None and sustained.interrupted:
        asked = duration(60 * sustained.minutes)
        remarks.append(f"Sustained work was interrupted after {duration(sustained.seconds)} of {asked}.")
    if sustained is not None and sustained.throttled:
        remarks.append(f"During sustained work the board was slowed down by: {throttling(sustained.throttled)}.")
    return remarks
