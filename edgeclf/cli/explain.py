"""`edgeclf explain`."""

from __future__ import annotations

import dataclasses
from typing import Any

from edgeclf import api
from edgeclf.cli.commands import Command
from edgeclf.cli.fit_options import FIT
from edgeclf.cli.options import INPUT_RANGE, LABELS, MODEL, NORMALIZE, TFLITE_RUNTIME, Option, Table, complete_path
from edgeclf.cli.session import Outcome, Session

OPTIONS = (
    dataclasses.replace(
        MODEL, help="A .tflite file, a zoo name, a .keras network, or a run folder: both of its kinds."
    ),
    Option(
        "photos",
        "Image files, folders of them, or http addresses.",
        metavar="PHOTOS",
        type=list[str],
        complete=complete_path,
        argument=True,
    ),
    Option(
        "out",
        "Write pictures and a page here. Default: the run's explained/, else ./explained.",
        metavar="FOLDER",
        complete=complete_path,
    ),
    Option(
        "class_name", "Show the evidence for this class. Default: each photo's best.", metavar="NAME", flag="--class"
    ),
    Option("recursive", "Search subfolders of folders too."),
    Option("overwrite", "Write into an --out that is not empty."),
    TFLITE_RUNTIME,
    Option("threads", "Threads of the interpreter.", metavar="N", minimum=1),
    NORMALIZE,
    INPUT_RANGE,
    LABELS,
    FIT,
    Option("trust_model", "Load a network that runs code of its own, such as a Lambda."),
)


def explain(session: Session, values: dict[str, Any]) -> Outcome:
    """Draw where in photos the evidence for a class lies.

    Of a .tflite file its class activation map, on the device, without gradients; of a float network Grad-CAM; of a run
    folder both, side by side, with their correlation. Pictures (PNG) and a page.
    """
    from edgeclf.cli.rendering_explain import render_explanations

    report = api.explain(**values, progress=session.progress())
    for unreadable in report.unreadable:
        session.warn(f"{unreadable.path}: {unreadable.reason}")
    return Outcome(report.to_dict(), lambda console: render_explanations(console, report))


COMMAND = Command(
    explain,
    (Table(lambda: api.explain, OPTIONS),),
    examples=(
        "edgeclf explain runs/photos new-photos --out why",
        "edgeclf explain photos-int8.tflite cat.jpg --class dog",
    ),
)
