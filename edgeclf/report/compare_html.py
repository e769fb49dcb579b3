"""Writes the page of `compare`: one file that needs no other."""

from __future__ import annotations

from pathlib import Path

from edgeclf import atomic
from edgeclf.dataset import Split
from edgeclf.measure.changes import SIGNIFICANT
from edgeclf.measure.compare_report import CompareReport, describe_use, write_int8_size, write_setting
from edgeclf.measure.formatting import p_value, percent
from edgeclf.measure.report import Comparison
from edgeclf.printable import printable
from edgeclf.report.class_rows import make_class_rows
from edgeclf.report.gallery import make_gallery
from edgeclf.report.templating import make_environment
from edgeclf.report.wording import class_sentence


def write_comparison(report: CompareReport, path: Path | str, *, images: Split | None = None) -> Path:
    """Write `report` as one HTML page, atomically.

    Args:
        report: of `compare`.
        path: the file to write; an existing one is replaced.
        images: those compared, for the pictures of changed images; None leaves their places empty.

    Raises:
        OutputError: the place cannot be written.
        RunFailedError: the disk is full.
    """
    atomic.write_text(path, render_comparison(report, images=images))
    return Path(path)


def render_comparison(report: CompareReport, *, images: Split | None = None) -> str:
    """Render the page as text; arguments as `write_comparison`."""
    first, second = report.first, report.second
    comparison = Comparison(second.name, second.path, report.per_class, report.flips)
    headings = {
        "lost": f"Lost: right in {first.name}, wrong in {second.name}",
        "gained": f"Gained: wrong in {first.name}, right in {second.name}",
        "changed": "Changed: both are wrong, in different ways",
    }
    environment = make_environment()
    environment.filters.update({"int8_size": write_int8_size, "setting": write_setting})
    page = environment.get_template("compare.html.j2").render(
        report=report,
        summary=[summarize(report)],
        use=describe_use(report),
        warnings=[
            *(f"{note}." for note in report.notes),
            *(f"{one.name}: {note}." for one in (first, second) for note in one.notes),
        ],
        class_sentence=class_sentence(comparison),
        class_rows=make_class_rows(second.name, report.per_class),
        gallery=make_gallery(comparison, images, headings),
    )
    return printable(page, keep="\n")


def summarize(report: CompareReport) -> str:
    """Sum the comparison up in a sentence."""
    first, second, p = report.first, report.second, p_value(report.p_value)
    start = f"{second.name} gets {percent(second.top1)} of {report.data.images:,} images right, {first.name} "
    if report.difference == 0:
        return f"{start}{percent(first.top1)}: as many."
    more = "more" if report.difference > 0 else "fewer"
    remark = "more than chance explains" if report.p_value < SIGNIFICANT else "a difference that chance can explain"
    return (
        f"{start}{percent(first.top1)}: {abs(100 * report.difference):.2f} points {more}, {remark} "
        f"(p {p if p.startswith('<') else '= ' + p})."
    )
