"""Writes `report.html`: one file that needs no other, on what compression costs and gains."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from edgeclf import atomic
from edgeclf.dataset import Split
from edgeclf.measure.conditions import parse_condition, write_value
from edgeclf.measure.report import BenchReport, board_readings
from edgeclf.printable import printable
from edgeclf.report import device, plots, wording
from edgeclf.report.class_rows import make_class_rows
from edgeclf.report.confusion import make_matrices
from edgeclf.report.flip_maps import FlipMaps
from edgeclf.report.gallery import make_gallery
from edgeclf.report.templating import make_environment


def write_report(
    report: BenchReport, path: Path | str, *, images: Split | None = None, maps: FlipMaps | None = None
) -> Path:
    """Write `report` as one HTML page, atomically.

    Args:
        report: of `bench`.
        path: the file to write; an existing one is replaced.
        images: the split that was measured, for the pictures of changed images; None leaves their places empty.
        maps: draws where evidence lies, beside these pictures; None: it is not shown.

    Raises:
        OutputError: the place cannot be written.
        RunFailedError: the disk is full.
    """
    atomic.write_text(path, render_report(report, images=images, maps=maps))
    return Path(path)


def render_report(report: BenchReport, *, images: Split | None = None, maps: FlipMaps | None = None) -> str:
    """Render the page as text; arguments as `write_report`."""
    order = {name: index for index, name in enumerate(dict.fromkeys(model.name for model in report.models))}
    scored = any(model.top1 is not None for model in report.models)
    paired = any(model.difference is not None for model in report.models)
    kinds = [plots.accuracy_against_size, plots.accuracy_against_latency] if scored else [plots.latency_bars]
    drawn = [plots.for_both_screens(kind, report, order) for kind in kinds]
    classes = plots.for_both_screens(plots.class_costs, report, order) if paired else ""
    named = {cost.label for one in report.comparisons for cost in one.per_class if cost.difference is not None}
    galleries = [make_gallery(one, images, maps=maps) for one in report.comparisons if one.flips]
    page = (
        make_environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            title=report.data.name if report.data else ", ".join(order),
            summary=wording.summary(report),
            warnings=[*wording.list_warnings(report), *device.device_warnings(report)],
            scored=scored,
            paired=paired,
            several_counts=len({model.threads for model in report.models}) > 1,
            colours={name: plots.series_colour(index) for name, index in order.items()},
            drawings=[Markup(text) for text in drawn],
            class_drawing=Markup(classes),
            classes_left_out=max(0, len(named) - plots.SHOWN_CLASSES),
            class_sentences=[s for s in map(wording.class_sentence, report.comparisons) if s] if paired else [],
            galleries=galleries,
            has_maps=any(picture.maps for one in galleries for group in one.groups for picture in group.pictures),
            map_notes=[] if maps is None else maps.notes,
            class_tables=[make_class_rows(one.name, one.per_class) for one in report.comparisons] if paired else [],
            conditions=[(c, write_value(parse_condition(c.condition).quantity, c.value)) for c in report.conditions],
            inputs=wording.describe_inputs(report),
            calibrated=list({m.name: m for m in report.models if m.calibration is not None}.values()),
            matrices=make_matrices(report),
            pairs=device.pairs(report),
            scored_there=any(pair.there.top1 is not None for _, pair in device.pairs(report)),
            readings=board_readings(report),
            photos=next((m.preprocessing_ms for m in report.models if m.preprocessing_ms), None),
        )
    )
    return printable(page, keep="\n")
