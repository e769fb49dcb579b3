"""`edgeclf verify`."""

from __future__ import annotations

from typing import Any

from edgeclf import api
from edgeclf.cli.commands import Command
from edgeclf.cli.options import INPUT_RANGE, MODEL, NORMALIZE, TFLITE_RUNTIME, Table
from edgeclf.cli.session import Outcome, Session


def verify(session: Session, values: dict[str, Any]) -> Outcome:
    """Check that this device computes what the host computed, on samples inside the model.

    The exit code is 0 when all labels are equal and all values within the steps that the file accepts (one for most),
    else 1.
    """
    from edgeclf.cli.rendering import render_verification

    report = api.verify(**values)
    return Outcome(report.to_dict(), lambda console: render_verification(console, report), 0 if report.ok else 1)


COMMAND = Command(
    verify,
    (Table(lambda: api.verify, (MODEL, TFLITE_RUNTIME, NORMALIZE, INPUT_RANGE)),),
    examples=("edgeclf verify cifar10", "edgeclf verify model.tflite --runtime tflite-runtime"),
)
