"""Shows the report of `explain` on a screen."""

from __future__ import annotations

from rich.console import Console

from edgeclf.cli.rendering import line, show_notes
from edgeclf.cli.rendering_tables import Column, print_table
from edgeclf.inference.explain_report import ExplainReport
from edgeclf.measure.formatting import counted, percent


def render_explanations(console: Console, report: ExplainReport) -> None:
    """Print a row a photo, what the maps are, and what was written."""
    several = len(report.sources) > 1
    columns = (
        Column("photo"),
        Column("class of the map", text=True),
        *(Column(source.kind, name=f"probability by the {source.kind}") for source in report.sources),
        Column("correlation", drop=1),
    )
    rows = [
        [
            photo.path,
            photo.label,
            *(f"{percent(found.probability, 1)}{_best(found.label, photo.label)}" for found in photo.maps),
            "" if photo.correlation is None else f"{photo.correlation:.2f}",
        ]
        for photo in report.photos
    ]
    print_table(console, "Evidence maps", columns, rows)
    for source in report.sources:
        height, width = source.map_size
        line(console, f"{source.method} of the {source.kind} {source.path}: {width}×{height} places")
    if several and report.correlation is not None:
        line(console, f"Median correlation of the two maps: {report.correlation:.3f}")
    show_notes(console, report.notes)
    line(console, f"Wrote {counted(sum(len(photo.maps) for photo in report.photos), 'picture')} to {report.out}")
    if report.page is not None:
        line(console, f"Page: {report.page}")


def _best(best: str, label: str) -> str:
    return "" if best == label else f" ({best})"
