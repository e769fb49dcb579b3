"""Shows what a search for a budget found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from edgeclf.cli.rendering import line, show_list
from edgeclf.cli.rendering_tables import Column, print_table
from edgeclf.measure.formatting import MISSING, counted, exact, milliseconds, percent, size

if TYPE_CHECKING:
    from edgeclf.compression.budget.judging import Judged
    from edgeclf.compression.budget.report import SearchReport

_SHORT = {"max_drop": "drop", "max_size": "file", "max_latency": "time"}
_FIRST = "not measured: the search ended with the first that holds; a smaller limit goes on from here"
_OPTION = {"max_drop": "--max-drop", "max_size": "--max-size", "max_latency": "--max-latency"}


def render_search(console: Console, report: SearchReport) -> None:
    """Print the frontier, which model was picked, what bound, what the next point costs, and the test split."""
    columns = (
        Column("recipe"),
        Column("calibration", drop=1, name="calibration images"),
        Column("drop", name="points of top-1 that are lost"),
        Column("95 %", drop=3, name="the interval of the drop"),
        Column("judged by", drop=2, name="the bound of the drop that is judged"),
        Column("file"),
        Column("one image"),
        Column("made in", drop=4),
        Column("", text=True),
    )
    shown = [report.candidates[index] for index in dict.fromkeys((*report.frontier, *report.nearest))]
    rows = [_row(one, one == report.picked, report.holds) for one in shown]
    tried = counted(len(report.candidates), "candidate")
    title = f"Frontier of {tried} for {report.budget.text}"
    if report.validation_images is not None:
        title += f"; points on {exact(report.validation_images)} validation images"
    print_table(console, title, columns, rows)
    if report.latency_from:
        line(console, f"Times: {report.latency_from}.")
    for note in report.notes:
        line(console, f"{note[:1].upper()}{note[1:]}.")
    _render_choice(console, report)
    show_list(console, "Left out", [f"{one.name}: {one.reason}" for one in report.refused])
    if report.test is not None:
        test = report.test
        low, high = (_points(bound) for bound in test.drop_interval)
        line(
            console,
            f"Test split, looked at for this model alone: {percent(test.top1)} on {exact(test.images)} images, float "
            f"{percent(test.float_top1)}: a drop of {_points(test.drop)} points ({low} to {high}).",
        )


def _render_choice(console: Console, report: SearchReport) -> None:
    picked = report.picked
    if picked is None:
        return
    bound = " and ".join(_OPTION[name] for name in report.binding)
    if report.holds:
        line(console, f"Picked: {picked.candidate.label}, the first that holds {report.budget.text}.", "bold")
        line(console, f"What bound: {bound}.")
        for text in report.next_points or (_FIRST,):
            line(console, f"Next point, {text}.")
        return
    nothing = "Nothing" if report.exhausted else "Nothing yet"
    line(console, f"{nothing} holds {report.budget.text}; what bound: {bound}. The nearest misses:", "bold")
    for text in report.misses:
        line(console, text, indent="  ")
    written = "was written: it" if report.path else "is not written here: it was made on another machine, and"
    line(console, f"The nearest, {picked.candidate.label}, {written} does not hold the budget.")


def _row(one: Judged, picked: bool, holds: bool) -> list[str]:
    found, interval = one.candidate, one.drop_interval
    broken = [_SHORT[name] for name in one.breaks]
    state = "holds" if one.holds else f"too much: {', '.join(broken)}"
    return [
        found.label,
        exact(found.calibration) if found.calibration else MISSING,
        _points(one.drop),
        MISSING if interval is None else " to ".join(map(_points, interval)),
        MISSING if one.level is None else _points(one.drop_bound),
        size(found.size_bytes),
        milliseconds(found.latency_ms),
        f"{found.seconds:.0f} s",
        ("picked" if holds else f"nearest; {state}") if picked else state,
    ]


def _points(fraction: float | None) -> str:
    return MISSING if fraction is None else f"{100 * fraction:.2f}".replace("-", "−")
