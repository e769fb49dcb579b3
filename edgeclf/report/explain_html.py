"""Writes the page of `explain`: photos beside the maps of evidence that lie in the same folder."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from edgeclf import atomic
from edgeclf.inference.explaining import Explanations
from edgeclf.printable import printable
from edgeclf.report.gallery import photo_uri
from edgeclf.report.templating import make_environment


@dataclass(frozen=True)
class Panel:
    """One picture of a row: its source, its title, and the line below it."""

    source: str
    title: str
    below: str


def write_explanations(found: Explanations, path: Path) -> Path:
    """Write the page atomically, beside the pictures that it shows.

    Args:
        found: the report, and small copies of the photos.
        path: the file to write; an existing one is replaced.

    Raises:
        OutputError: the place cannot be written.
        RunFailedError: the disk is full.
    """
    atomic.write_text(path, render_explanations(found))
    return path


def render_explanations(found: Explanations) -> str:
    """Render the page as text."""
    report = found.report
    rows = []
    for photo in report.photos:
        if photo.path not in found.pictures:
            continue
        panels = [Panel(photo_uri(found.pictures[photo.path]), "photo", photo.path)]
        for source, one in zip(report.sources, photo.maps, strict=True):
            below = f"{photo.label} {100 * one.probability:.1f} %"
            below += "" if one.label == photo.label else f"; best: {one.label}"
            link = "" if one.saved is None else urllib.parse.quote(Path(one.saved).name)
            panels.append(Panel(link, f"{source.kind}: {source.method}", below))
        rows.append((photo, panels))
    page = make_environment().get_template("explain.html.j2").render(report=report, rows=rows)
    return printable(page, keep="\n")
