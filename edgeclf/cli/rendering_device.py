"""Shows what `bench` adds on a device: its sensors, the comparison with another machine, sustained work."""

from __future__ import annotations

from rich.console import Console

from edgeclf.cli.rendering_tables import Column, print_table
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


def print_board(console: Console, report: BenchReport) -> None:
    """Print the sensors before and after everything, and around sustained work; nothing without sensors."""
    columns = (
        Column("when"),
        Column("temperature"),
        Column("clock"),
        Column("slowed down by", text=True, fold=True),
        Column("since its start", text=True, fold=True, drop=1),
    )
    readings = board_readings(report)
    if readings:
        print_table(console, "Board", columns, [[when, *_sensors(reading)] for when, reading in readings])


def _sensors(reading: BoardReading) -> tuple[str, ...]:
    flags = (throttling(reading.throttled), throttling(reading.throttled_since_start))
    return celsius(reading.temperature_celsius), megahertz(reading.clock_mhz), *flags


def print_comparison(console: Console, report: BenchReport, against: ReportComparison) -> None:
    """Print a row a model: what was measured there, and here."""
    own = {(model.name, model.threads): model for model in report.models}
    columns = (
        Column("model"),
        Column("threads"),
        Column("top-1 there", drop=5),
        Column("points there", drop=3),
        Column("top-1 here", drop=4),
        Column("file there", drop=2),
        Column("file here", drop=1),
        Column("median there"),
        Column("median here"),
        Column("here / there"),
    )
    scored = any(pair.there.top1 is not None for pair in against.models)
    rows = []
    for pair in against.models:
        here, there = own[pair.name, pair.threads], pair.there
        scores = [percent(there.top1), points(there.difference), percent(here.top1)]
        rows.append(
            [
                pair.name,
                number(pair.threads),
                *(scores if scored else [""] * len(scores)),
                size(there.size_bytes),
                size(here.size_bytes),
                milliseconds(there.latency_ms.median),
                milliseconds(here.latency_ms.median),
                ratio(pair.ratio),
            ]
        )
    print_table(console, f"There: {against.machine.processor}; here: {report.machine.processor}", columns, rows)


def print_sustained(console: Console, sustained: Sustained) -> None:
    """Print a row a model: its first window of work and its last."""
    window, whole = duration(sustained.window_seconds), duration(sustained.seconds)
    columns = (
        Column("model"),
        Column("threads"),
        Column("median first"),
        Column("median last"),
        Column("last / first"),
        Column("p99 first", drop=1),
        Column("p99 last", drop=2),
    )
    rows = [
        [
            model.name,
            number(model.threads),
            milliseconds(model.first_ms.median),
            milliseconds(model.last_ms.median),
            ratio(model.ratio),
            milliseconds(model.first_ms.p99),
            milliseconds(model.last_ms.p99),
        ]
        for model in sustained.models
    ]
    print_table(console, f"The first {window} and the last of {whole} without a pause", columns, rows)


def device_remarks(report: BenchReport) -> list[str]:
    """List warnings that these tables do not show."""
    remarks: list[str] = []
    if report.board is not None and report.board.slowed_by:
        slowed = throttling(report.board.slowed_by)
        remarks.append(f"The board was slowed down while it was measured: {slowed}; latencies may be higher.")
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
