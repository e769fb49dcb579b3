"""`report.html`: one file that needs no other, for somebody who wants to see what compression cost and bought."""

from __future__ import annotations

from pathlib import Path

import jinja2

from edgeclf import atomic
from edgeclf.dataset import Split
from edgeclf.measure import device_words
from edgeclf.measure.bench_report import BenchReport
from edgeclf.report import device, plots, wording
from edgeclf.report.gallery import make_gallery


def write_report(report: BenchReport, path: Path | str, *, images: Split | None = None) -> Path:
    """Write `report` as one HTML page, whole or not at all.

    Args:
        report: what `bench` gave.
        path: the file to write; an existing one is replaced.
        images: the split that was measured, for the pictures of changed images; None leaves their places empty.

    Raises:
        OutputError: the place cannot be written.
        RunFailedError: the disk is full.
    """
    atomic.write_text(path, render_report(report, images=images))
    return Path(path)


def render_report(report: BenchReport, *, images: Split | None = None) -> str:
    """The page as text; arguments as `write_report`."""
    order = {name: index for index, name in enumerate(dict.fromkeys(model.name for model in report.models))}
    judged = any(model.top1 is not None for model in report.models)
    paired = any(model.difference is not None for model in report.models)
    drawn = _drawings(report, order, judged)
    classes, left_out = plots.class_costs(report, order) if paired else ("", 0)
    galleries = [make_gallery(comparison, images) for comparison in report.comparisons if comparison.flips]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("edgeclf.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=wording.percent,
        points=wording.points,
        span=wording.span,
        size=wording.size,
        milliseconds=wording.milliseconds,
        number=wording.number,
        p_value=wording.p_value,
        threads=wording.threads,
        celsius=device_words.celsius,
        duration=device_words.duration,
        megahertz=device_words.megahertz,
        slowed=device_words.slowed,
    )
    return environment.get_template("report.html.j2").render(
        report=report,
        title=report.data.name if report.data else ", ".join(order),
        summary=wording.summary(report),
        cautions=[*wording.cautions(report), *device.cautions(report)],
        judged=judged,
        paired=paired,
        several_counts=len({model.threads for model in report.models}) > 1,
        colours={name: plots.series_colour(index) for name, index in order.items()},
        drawings=[jinja2.utils.markupsafe.Markup(text) for text in drawn],
        class_drawing=jinja2.utils.markupsafe.Markup(classes),
        classes_left_out=left_out,
        class_sentences=[s for s in map(wording.class_sentence, report.comparisons) if s] if paired else [],
        galleries=galleries,
        beside=device.pairs(report),
        judged_there=any(pair.there.top1 is not None for _, pair in device.pairs(report)),
        readings=device.readings(report),
        photos=next((m.preprocessing_ms for m in report.models if m.preprocessing_ms), None),
    )


def _drawings(report: BenchReport, order: dict[str, int], judged: bool) -> list[str]:
    if not judged:
        return [plots.latency_bars(report, order)]
    return [plots.accuracy_against_size(report, order), plots.accuracy_against_latency(report, order)]
