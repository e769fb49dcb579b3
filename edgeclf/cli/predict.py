"""`edgeclf predict`."""

from __future__ import annotations

import dataclasses
from typing import Any

from edgeclf import api
from edgeclf.cli.commands import Command
from edgeclf.cli.fit_options import FIT
from edgeclf.cli.options import INPUT_RANGE, LABELS, MODEL, NORMALIZE, RUNTIME, UNSET, Option, Table, complete_path
from edgeclf.cli.session import Outcome, Session

OPTIONS = (
    dataclasses.replace(
        MODEL, help="A .tflite file, a run folder, a zoo name, or an ensemble: its folder, or several with + between."
    ),
    Option(
        "images",
        "Image files, folders of them, or http addresses.",
        metavar="IMAGE",
        type=list[str],
        complete=complete_path,
        argument=True,
    ),
    Option("recursive", "Search subfolders of folders too."),
    Option("save", "Save copies here, with the prediction drawn below.", metavar="FOLDER", complete=complete_path),
    Option("overwrite", "Write into a --save that is not empty."),
    Option("top", "Labels an image.", metavar="N", default=3, minimum=1),
    Option(
        "threshold",
        "Below this probability the label is «unknown»; 0: always name a class. Default: the model's own.",
        metavar="P",
    ),
    Option(
        "combine",
        "How an ensemble predicts: average or stack. Default: as recorded.",
        metavar="WAY",
        default=UNSET,
    ),
    RUNTIME,
    Option("threads", "Threads of the interpreter.", metavar="N", minimum=1),
    NORMALIZE,
    INPUT_RANGE,
    LABELS,
    FIT,
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
    if report.predictions or len(report.unreadable) > 1:
        for unreadable in report.unreadable:
            session.warn(f"{unreadable.path}: {unreadable.reason}")
    if report.predictions:
        return Outcome(report.to_dict(), lambda console: render_predictions(console, report))
    count = len(report.unreadable)
    first = report.unreadable[0] if report.unreadable else None
    message = "there is no image" if first is None else f"{first.path}: {first.reason}"
    if count > 1:
        message = f"none of {count} can be read; the first: {message}"
    session.warn(f"edgeclf: {message}")
    # A script finds the error where every failed command has it, and beside it what was tried.
    return Outcome({"error": message, "exit_code": 2, **report.to_dict()}, lambda console: None, 2)


COMMAND = Command(
    predict,
    (Table(lambda: api.predict, OPTIONS),),
    examples=(
        "edgeclf predict cifar10 cat.jpg",
        "edgeclf predict runs/photos new-photos --recursive --top 1 --save labelled",
        "edgeclf predict teachable.tflite cat.jpg --labels labels.txt",
        "edgeclf predict mobilenet.tflite cat.jpg dog.jpg --input-range=-1,1 --json",
    ),
)
