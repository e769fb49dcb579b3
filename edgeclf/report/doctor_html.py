"""Writes the page of `audit --deep`: one file that needs no other, with the photos that are worth a look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from edgeclf import atomic
from edgeclf.dataset.auditing import AuditReport
from edgeclf.printable import printable
from edgeclf.report.curve_plot import draw_curve
from edgeclf.report.gallery import data_uri, photo_uri
from edgeclf.report.templating import make_environment

if TYPE_CHECKING:
    from edgeclf.training.data_doctor.examine import Examination

SHOWN_DOUBTS, SHOWN_COSTLY, SHOWN_ODD = 60, 24, 24
_SMALL = 64
"""Pixels up to which a photo is shown as PNG, which JPEG would blur."""


@dataclass(frozen=True)
class Shot:
    """One photo with what is said of it."""

    source: str
    path: str
    label: str
    remark: str


def write_doctor_page(examination: Examination, audited: AuditReport, path: Path) -> Path:
    """Write the page atomically.

    Args:
        examination: what was found, and the photos.
        audited: the audit of the same data.
        path: the file to write; an existing one is replaced.

    Raises:
        OutputError: the place cannot be written.
        RunFailedError: the disk is full.
    """
    atomic.write_text(path, render_doctor_page(examination, audited))
    return path


def render_doctor_page(examination: Examination, audited: AuditReport) -> str:
    """Render the page as text."""
    report = examination.report
    doubts = [
        (doubt.path, f"{doubt.label} {100 * doubt.label_probability:.0f} %",
         f"rather {doubt.suggested} {100 * doubt.suggested_probability:.0f} % ({doubt.split})")
        for doubt in report.doubtful[:SHOWN_DOUBTS]
    ]  # fmt: skip
    costly = [
        (photo.path, photo.label, f"predicted {photo.predicted}, loss {photo.loss:.1f} ({photo.split})")
        for photo in report.costly[:SHOWN_COSTLY]
    ]
    odd = [
        (one.path, one.label, f"{one.width}×{one.height}, {one.kind} {one.factor:.1f} times")
        for one in report.odd_shapes[:SHOWN_ODD]
    ]
    sections = [
        ("Doubtful labels, the most doubtful first", len(report.doubtful), _shots(examination, doubts)),
        ("Photos that cost most loss", len(report.costly), _shots(examination, costly)),
        ("Tiny or stretched photos", len(report.odd_shapes), _shots(examination, odd)),
    ]
    page = (
        make_environment()
        .get_template("doctor.html.j2")
        .render(
            report=report,
            audited=audited,
            curves=() if report.curve is None else (report.curve, *report.class_curves),
            sections=[section for section in sections if section[1]],
            drawing=Markup(draw_curve(report.curve)) if report.curve is not None else "",
        )
    )
    return printable(page, keep="\n")


def _shots(examination: Examination, rows: Sequence[tuple[str, str, str]]) -> list[Shot]:
    numbers = examination.photos.numbers_of(_paths(rows))
    return [Shot(_source(examination, numbers.get(path)), path, label, remark) for path, label, remark in rows]


def _paths(rows: Iterable[tuple[str, str, str]]) -> list[str]:
    return [path for path, _, _ in rows]


def _source(examination: Examination, number: int | None) -> str:
    if number is None:
        return ""
    image = examination.photos.image(number)
    return data_uri(image) if max(image.shape[:2]) <= _SMALL else photo_uri(image)
