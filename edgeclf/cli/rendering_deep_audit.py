"""Shows what `audit --deep` found on a screen."""

from __future__ import annotations

from rich.console import Console

from edgeclf.cli.rendering import line, show_list, show_notes
from edgeclf.cli.rendering_tables import Column, print_table
from edgeclf.dataset.deep_audit import DeepAudit
from edgeclf.measure.formatting import counted, duration, exact, interval, percent, points


def render_deep_audit(console: Console, report: DeepAudit) -> None:
    """Print doubtful labels, odd photos, classes that are alike, the learning curve, and what was written."""
    looked = f"Looked at {counted(report.images, 'photo')} through the features of {report.features_of}"
    line(console, f"{looked}: heads that have not seen a photo get {percent(report.top1, 1)} right.")
    show_notes(console, report.notes)
    line(console, f"About {report.label_errors:.0f} labels are wrong by that estimate, or their photos hard.")
    show_list(
        console,
        "Doubtful labels, the most doubtful first",
        [
            f"{doubt.path}: {doubt.label} ({percent(doubt.label_probability, 1)}), rather {doubt.suggested} "
            f"({percent(doubt.suggested_probability, 1)})"
            for doubt in report.doubtful
        ],
    )
    show_list(
        console,
        "Tiny or stretched photos (a rule of thumb)",
        [f"{odd.path}: {odd.width}×{odd.height}, {odd.kind} {odd.factor:.1f} times" for odd in report.odd_shapes],
    )
    show_list(
        console,
        "Classes that are taken for each other",
        [
            f"{pair.first} / {pair.second}: {percent(pair.fraction, 1)} of their photos "
            f"({pair.first_as_second} and {pair.second_as_first})"
            for pair in report.neighbours
        ],
    )
    _print_curves(console, report)
    line(console, report.more_photos)
    line(console, f"Took {duration(report.seconds)}.")
    if report.written:
        line(console, f"Wrote {' and '.join(report.written)}")


def _print_curves(console: Console, report: DeepAudit) -> None:
    if report.curve is None:
        return
    columns = (
        Column("class"),
        Column("photos"),
        Column("error"),
        Column("with twice the photos"),
        Column("95 %", drop=1, name="the interval of the forecast"),
        Column("fewer errors, points"),
    )
    rows = [
        [
            curve.label or "all",
            exact(curve.images),
            percent(curve.error_now, 1),
            percent(curve.error_twice, 1),
            interval(curve.interval_twice),
            points(curve.gain, 1),
        ]
        for curve in (*report.class_curves, report.curve)
    ]
    title = "Learning curve: errors of heads on frozen features, forecast by a power law"
    print_table(console, title, columns, rows[:-1], total=rows[-1])
