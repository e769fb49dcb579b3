"""What a device adds to a bench: its sensors, another machine's figures, minutes of work."""

from __future__ import annotations

from edgeclf.measure.bench_report import BenchReport, Counterpart, ModelResult
from edgeclf.measure.board import BoardReading
from edgeclf.measure.device_words import duration
from edgeclf.report.wording import threads


def readings(report: BenchReport) -> list[tuple[str, BoardReading]]:
    """The sensors before and after everything, and around sustained work; empty where the board has none."""
    found: list[tuple[str, BoardReading | None]] = []
    board, sustained = report.board, report.sustained
    if board is not None:
        found.append(("before", board.before))
    if sustained is not None:
        found.append((f"after {duration(sustained.window_seconds)} of work", sustained.board_first))
        found.append((f"after {duration(sustained.seconds)} of work", sustained.board_last))
    if board is not None:
        found.append(("after", board.after))
    return [(when, reading) for when, reading in found if reading is not None]


def pairs(report: BenchReport) -> list[tuple[ModelResult, Counterpart]]:
    """Each model that another machine measured too, and what it measured."""
    own = {(model.name, model.threads): model for model in report.models}
    return [(own[pair.name, pair.threads], pair) for pair in report.against.models] if report.against else []


def cautions(report: BenchReport) -> list[str]:
    """Why a figure of a device might mislead."""
    found = []
    slowed_by = dict.fromkeys(flag for _, reading in readings(report) for flag in reading.throttled or ())
    if report.sustained is not None:
        slowed_by.update(dict.fromkeys(report.sustained.throttled))
    if slowed_by:
        found.append(f"The board was slowed down while it was measured: {', '.join(slowed_by)}.")
    for model, pair in pairs(report):
        found.extend(f"{model.name} at {threads(model.threads)}: {note}." for note in pair.notes)
    if report.against is not None:
        found.extend(f"{name}: not in {report.against.path}." for name in report.against.missing)
    if report.sustained is not None and report.sustained.interrupted:
        wanted = f"{report.sustained.minutes:g} minutes"
        found.append(f"The sustained work was interrupted after {duration(report.sustained.seconds)} of {wanted}.")
    return list(dict.fromkeys(found))
