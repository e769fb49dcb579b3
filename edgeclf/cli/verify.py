"""`edgeclf verify`."""

from __future__ import annotations

import typer

from edgeclf.cli.commands import register
from edgeclf.cli.options import Model, Runtime
from edgeclf.cli.session import Outcome, Session


def verify(session: Session, model: Model, runtime: Runtime = "litert") -> Outcome:
    """Check that this device computes what the host computed, on samples inside the model.

    The exit code is 0 when all labels are equal and all values within one step, else 1.
    """
    from edgeclf import api
    from edgeclf.cli.rendering import render_verification

    report = api.verify(model, runtime=runtime)
    document = report.to_dict()
    return Outcome(document, lambda console: render_verification(console, document), 0 if report.ok else 1)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    examples = ["edgeclf verify cifar10", "edgeclf verify model.tflite --runtime tflite-runtime"]
    register(app, "verify", verify, examples=examples)
