"""`edgeclf compare`."""

from __future__ import annotations

import dataclasses
from typing import Any

from edgeclf import api
from edgeclf.cli.commands import Command
from edgeclf.cli.fit_options import FIT
from edgeclf.cli.options import (
    INPUT_RANGE,
    LABELS,
    MODEL,
    NORMALIZE,
    RUNTIME,
    Option,
    Table,
    complete_data,
)
from edgeclf.cli.session import Outcome, Session

_WHAT = "A run folder, a .keras network, a .tflite file or a zoo name"
OPTIONS = (
    dataclasses.replace(MODEL, name="first", help=f"{_WHAT}.", metavar="FIRST"),
    dataclasses.replace(MODEL, name="second", help=f"{_WHAT}; differences are this one minus FIRST.", metavar="SECOND"),
    Option(
        "data",
        "Labelled images. Default: those that the runs recorded.",
        metavar="DATA",
        complete=complete_data,
    ),
    Option("split", "test, or validation.", metavar="NAME"),
    RUNTIME,
    NORMALIZE,
    INPUT_RANGE,
    LABELS,
    FIT,
    Option("trust_model", "Load a network that runs code of its own, such as a Lambda."),
    Option("report", "Write a report with classes and flipped images.", metavar="FILE.html"),
    Option("out", "Write compare.json here (a folder, or FILE.json).", metavar="PATH"),
    Option("overwrite", "Replace existing output."),
)


def compare(session: Session, values: dict[str, Any]) -> Outcome:
    """Compare two trainings on the photos that neither used in training, paired.

    Top-1 of both, the difference with its interval and McNemar's p-value, class by class with corrected p-values, what
    each costs, and the settings in which they differ.
    """
    from edgeclf.cli.rendering_compare import render_compare

    report = api.compare(**values, progress=session.progress())
    return Outcome(report.to_dict(), lambda console: render_compare(console, report))


COMMAND = Command(
    compare,
    (Table(lambda: api.compare, OPTIONS),),
    examples=(
        "edgeclf compare runs/photos runs/photos-2",
        "edgeclf compare runs/photos runs/photos-2 --report compare.html",
        "edgeclf compare old.tflite new.tflite --data photos",
    ),
)
