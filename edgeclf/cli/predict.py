"""`edgeclf predict`."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeclf.cli.commands import register
from edgeclf.cli.options import InputRange, Model, Runtime, complete_path
from edgeclf.cli.session import Outcome, Session
from edgeclf.cli.values import parse_range

Images = Annotated[
    list[str],
    typer.Argument(
        metavar="IMAGE", help="Image files, or folders of them (not searched deeper).", autocompletion=complete_path
    ),
]


def predict(
    session: Session,
    model: Model,
    images: Images,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="Labels an image.")] = 3,
    runtime: Runtime = "litert",
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="Threads of the interpreter.")] = 1,
    input_range: InputRange = None,
) -> Outcome:
    """Label images, one line each.

    The exit code is 0 if any image was read; those that were not are named on stderr.
    """
    from edgeclf import api
    from edgeclf.cli.rendering import render_predictions

    interval = parse_range(input_range)
    progress = session.progress()
    report = api.predict(
        model,
        images,
        top=top,
        runtime=runtime,
        threads=threads,
        input_range=interval,
        progress=progress,
    )
    for note in report.notes:
        progress.say(note)
    for unreadable in report.unreadable:
        session.warn(f"{unreadable.path}: {unreadable.reason}")
    document = report.to_dict()
    return Outcome(document, lambda console: render_predictions(console, document), 0 if report.predictions else 2)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    examples = [
        "edgeclf predict cifar10 cat.jpg",
        "edgeclf predict runs/photos new-photos --top 1",
        "edgeclf predict mobilenet.tflite cat.jpg dog.jpg --input-range=-1,1 --json",
    ]
    register(app, "predict", predict, examples=examples)
