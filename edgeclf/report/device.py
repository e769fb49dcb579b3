"""Words for what a device adds to a bench: its sensors, the comparison with another machine, sustained work."""

from __future__ import annotations

from edgeclf.measure.formatting import duration, threads
from edgeclf.measure.report import BenchReport, Counterpart, ModelResult, board_readings


def pairs(report: BenchReport) -> list[tuple[ModelResult, Counterpart]]:
    """List each model that another machine measured too, with what it measured."""
    own = {(model.name, model.threads): model for model in report.models}
    return [(own[pair.name, pair.threads], pair) for pair in report.against.models] if report.against else []


def device_warnings(report: BenchReport) -> list[str]:
    """List why a figure of a device might mislead."""
    found = []
    slowed_by = dict.fromkeys(flag for _, reading in board_readings(report) for flag in reading.throttled or ())
    if report.board is not None:
        slowed_by.update(dict.fromkeys(report.board.slowed_by))
    if report.sustained is not None:
        slowed_by.update(dict.fromkeys(report.sustained.throttled))
    if slowed_by:
        found.append(f"The board was slowed down while it was measured: {', '.join(slowed_by)}.")
    for model, pair in pairs(report):
        found.extend(f"{model.name} at {threads(model.threads)}: {note}." for note in pair.notes)
    if report.against is not None:
        found.extend(f"{name}: not in {report.against.path}." for name in report.against.missing)
    if report.sustained is not None and report.sustained.interrupted:
        asked = duration(60 * report.sustained.minutes)
        found.append(f"The sustained work was interrupted after {duration(report.sustained.seconds)} of {asked}.")
    return list(dict.fromkeys(found))
