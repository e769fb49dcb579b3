"""Shows the report of `tune` on a screen."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.console import Console

from edgeclf.cli.rendering import line, show_notes
from edgeclf.cli.rendering_tables import Column, print_table
from edgeclf.measure.formatting import milliseconds, number, percent, size
from edgeclf.training.tuning.report import BEST, Trial, TuneReport
from edgeclf.training.tuning.wording import describe_network, describe_state, describe_values, summarize

SHOWN = 10


def render_tune(console: Console, report: TuneReport) -> None:
    """Print the best trials, the frontier under limits, and what to do next."""
    ranked = sorted(report.trials, key=lambda one: (one.rank, -one.number), reverse=True)
    more = f", the best {SHOWN}" if len(ranked) > SHOWN else ""
    _print_trials(console, f"Trials on {report.data}{more}", ranked[:SHOWN], report)
    if report.frontier:
        found = [one for number in report.frontier if (one := report.trial(number)) is not None]
        _print_trials(console, f"Frontier under {report.limits}", found, report)
        line(console, f"Sizes and times are of int8 models before training. Times: {report.costs_from}.")
    for sentence in summarize(report):
        line(console, sentence)
    show_notes(console, report.notes)
    if report.written:
        line(console, f"Wrote {' and '.join(report.written)}")
    if report.best_run is None or not Path(report.best_run).is_dir():
        return  # none, or it lies on another machine, as a note says
    best = Path(report.out) / BEST
    run = best if best.exists() else Path(report.best_run)
    line(console, f"Best run: {report.best_run}" + (f" ({best} leads there)" if run == best else ""))
    line(console, f"Next: edgeclf compress {shlex.quote(str(run))}")


def _print_trials(console: Console, title: str, trials: list[Trial], report: TuneReport) -> None:
    columns = (
        Column("trial"),
        Column("validation"),
        Column("loss", drop=3),
        Column("network", text=True),
        Column("parameters", drop=2),
        Column("int8"),
        Column("latency"),
        Column("settings", drop=1, text=True),
        Column("ended", drop=4, text=True, fold=True),
    )
    print_table(console, title, columns, [_row(one, report.best) for one in trials])


def _row(one: Trial, best: int | None) -> list[str]:
    name = f"{one.number} (best)" if one.number == best else str(one.number)
    found = one.trained
    if found is None:
        return [name, "", "", "", "", "", "", describe_values(one), describe_state(one)]
    return [
        name,
        percent(found.validation_top1),
        f"{found.validation_loss:.3f}",
        describe_network(found),
        number(found.parameters),
        "" if found.size_bytes is None else size(found.size_bytes),
        "" if found.latency_ms is None else milliseconds(found.latency_ms),
        describe_values(one),
        describe_state(one),
    ]
