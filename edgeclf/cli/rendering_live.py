"""Prints what `live` and `collected` have done, and the code that opens their page on a phone."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from edgeclf.printable import one_line

if TYPE_CHECKING:
    from rich.console import Console

    from edgeclf.progress import Progress
    from edgeclf.streaming.collection.serving import CollectedReport


def render_summary(console: Console, summary: dict[str, Any]) -> None:
    """Print the summary of a run in a few lines; last what was written."""
    ages = summary["frame_age_ms"]
    seconds, classified = summary["seconds"], summary["frames_classified"]
    rate = (
        f", {classified / seconds:.1f} a second" if seconds >= 1 else ""
    )  # over less than a second a rate means little
    console.print(f"{summary['ended']}: {classified} results in {seconds:.1f} s{rate}")
    console.print(
        f"frames: {summary['frames_captured']} captured, {summary['frames_dropped']} left out for newer ones, "
        f"{summary['reconnects']} reconnects"
    )
    if ages["median"] is not None:
        console.print(
            f"frame age: median {ages['median']:.1f} ms, p95 {ages['p95']:.1f} ms, maximum {ages['max']:.1f} ms"
        )
    for part, line in summary["problems"].items():
        console.print(f"{part}: {one_line(line)}")
    if summary["recording"] is not None:
        console.print(f"recording: {one_line(summary['recording'])}", soft_wrap=True)
    if (collected := summary["collected"]) is not None:
        folder = one_line(collected["folder"])
        console.print(
            f"collected: {collected['new']} new in {folder}; {_frames(collected['waiting'])} for a label "
            f"(edgeclf collected {shlex.quote(folder)} sorts them)",
            soft_wrap=True,
        )


def render_collected(console: Console, report: CollectedReport) -> None:
    """Print what a folder of collected frames holds."""
    folder = one_line(report.folder)
    sorted_ = sum(report.classes.values())
    classes = ", ".join(f"{one_line(label)} {count}" for label, count in report.classes.items())
    console.print(f"{folder}: {_frames(report.waiting)} for a label", soft_wrap=True)
    console.print(f"sorted: {sorted_}{f' ({classes})' if classes else ''}", soft_wrap=True)


def _frames(count: int) -> str:
    return "1 frame waits" if count == 1 else f"{count} frames wait"


def show_code(progress: Progress, url: str) -> None:
    """Draw the address of a page as a QR code on a terminal with room for it, where a phone would have to type a token.

    Without the package segno, nothing is drawn.
    """
    from rich.text import Text

    from edgeclf.cli.progress_bars import ConsoleProgress
    from edgeclf.streaming.page.qr_code import draw_code

    if "?token=" not in url or not isinstance(progress, ConsoleProgress):
        return
    console = progress.console
    rows = draw_code(url) if console.encoding.startswith("utf") and console.color_system else None
    if rows is not None and not console.no_color and len(rows[0]) <= console.width:
        for row in rows:
            console.print(Text(row, style="black on bright_white", no_wrap=True))
