"""Shows ensembles on a screen: as `bench` measured them, and as `train` made them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from rich.console import Console

from edgeclf.cli.rendering import line, show_notes
from edgeclf.cli.rendering_tables import Column, print_table
from edgeclf.measure.changes import SIGNIFICANT
from edgeclf.measure.ensemble_report import EnsembleResult
from edgeclf.measure.formatting import exact, interval, milliseconds, p_value, percent, points

if TYPE_CHECKING:
    from edgeclf.training.ensembles.report import EnsembleReport

_WAYS = {"average": "averaged", "stack": "stacked"}


def print_ensemble(console: Console, result: EnsembleResult) -> None:
    """Print the members, what they reach together, and the difference to the best of them."""
    columns = (Column("member"), Column("top-1"), Column("95 %", drop=1), Column("median"), Column("", text=True))
    rows = [
        [one.name, percent(one.top1) if one.top1 is not None else "", interval(one.top1_interval),
         milliseconds(one.latency_ms), f"float {one.kind}" if one.kind == "network" else one.kind]
        for one in result.members
    ]  # fmt: skip
    found, way = result.accuracy, _WAYS[result.combine]
    together = ["", ""] if found is None else [percent(found.top1), interval(found.top1_interval)]
    total = ["together", *together, milliseconds(result.latency_ms), way]
    print_table(console, f"Ensemble {result.name}", columns, rows, total=total)
    if found is not None:
        on = f", the best member by {found.chosen_on}" if found.chosen_on else ""
        _print_difference(console, f"{found.best_member}{on}", found.difference, found.difference_interval,
                          found.p_value)  # fmt: skip
    show_notes(console, result.notes)


def render_ensemble(console: Console, report: EnsembleReport) -> None:
    """Print the members that were trained, what they reach together, and what to do next."""
    columns = (Column("member"), Column("seed"), Column("validation"), Column("test"))
    rows = []
    for member in report.members:
        test = "" if member.test_top1 is None else percent(member.test_top1)
        rows.append([member.run, exact(member.seed), percent(member.validation_top1), test])
    figures = {split: "" if found is None else percent(found.top1) for split, found in report.metrics.items()}
    total = [f"together, {_WAYS[report.combine]}", "", figures["validation"], figures["test"]]
    print_table(console, f"Ensemble of {len(report.members)}", columns, rows, total=total)
    if report.average_top1:
        shown = ", ".join(f"{percent(top1)} on {split}" for split, top1 in report.average_top1.items())
        line(console, f"The mean of the probabilities: {shown}.")
    _print_difference(console, f"{report.best_member}, the best member by validation, on {report.split}",
                      report.difference, report.difference_interval, report.p_value)  # fmt: skip
    show_notes(console, report.notes)
    line(console, f"Ensemble: {report.out}")
    line(console, f"Next: edgeclf train DATA --teacher {shlex.quote(report.out)} trains one small network from it")


def _print_difference(console: Console, best: str, difference: float, bounds: tuple[float, float], p: float) -> None:
    chance = "" if p < SIGNIFICANT else ": within chance"
    shown = f"{points(difference)} points (95 %: {interval(bounds, signed=True)}; McNemar's p {p_value(p)}){chance}"
    line(console, f"Against {best}: {shown}")
