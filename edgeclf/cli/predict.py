"""`edgeclf predict`."""

from __future__ import annotations

from typing import Any

from edgeclf import api
from edgeclf.cli.commands import Command
from edgeclf.cli.options import INPUT_RANGE, MODEL, NORMALIZE, RUNTIME, Option, Table, complete_path
from edgeclf.cli.session import Outcome, Session

OPTIONS = (
    MODEL,
    Option(
        "images",
        "Image files, or folders of them (not searched deeper).",
        metavar="IMAGE",
        complete=complete_path,
        argument=True,
    ),
    Option("top", "Labels an image.", metavar="N", default=3, minimum=1),
    RUNTIME,
    Option("threads", "Threads of the interpreter.", metavar="N", minimum=1),
    NORMALIZE,
    INPUT_RANGE,
)


def predict(session: Session, values: dict[str, Any]) -> Outcome:
    """Label images, one line each.

    The exit code is 0 if any image was read; those that were not are named on stderr.
    """
    from edgeclf.cli.rendering import render_predictions

    progress = session.progress()
    report = api.predict(**values, progress=progress)
    for note in report.notes:
        progress.info(note)
    for unreadable in report.unreadable:
        session.warn(f"{unreadable.path}: {unreadable.reason}")
    exit_code = 0 if report.predictions else 2
    return Outcome(report.to_dict(), lambda console: render_predictions(console, report), exit_code)


COMMAND = Command(
    predict,
    (Table(lambda: api.predict, OPTIONS),),
    examples=(
        "edgeclf predict cifar10 cat.jpg",
        "edgeclf predict runs/photos new-photos --top 1",
        "edgeclf predict mobilenet.tflite cat.jpg dog.jpg --input-range=-1,1 --json",
    ),
)
