"""`edgeclf inspect`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeclf import api
from edgeclf.cli.commands import Command
from edgeclf.cli.options import MODEL, Table
from edgeclf.cli.session import Outcome, Session

if TYPE_CHECKING:
    from rich.console import Console


def inspect(session: Session, values: dict[str, Any]) -> Outcome:
    """Describe a model file without running it.

    Of a damaged file as much as can be read is shown; the exit code is then 2.
    """
    from edgeclf.cli.rendering import render_inspection
    from edgeclf.cli.rendering_activations import render_activations

    report = api.inspect(**values)
    damaged = report.integrity == "damaged"
    if damaged:
        session.warn(f"{report.path}: damaged: the file is not what was written; copy or make it again")
    for note in report.notes:
        session.warn(note)

    def render(console: Console) -> None:
        render_inspection(console, report, session.verbose)
        if session.verbose:
            render_activations(console, report)

    return Outcome(report.to_dict(), render, 2 if damaged else 0)


COMMAND = Command(
    inspect,
    (Table(lambda: api.inspect, (MODEL,)),),
    examples=("edgeclf inspect cifar10", "edgeclf inspect model.tflite --verbose", "edgeclf inspect cifar10 --json"),
)
