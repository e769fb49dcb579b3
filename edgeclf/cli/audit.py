"""`edgeclf audit`."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeclf.cli.commands import register
from edgeclf.cli.options import complete_data
from edgeclf.cli.session import Outcome, Session

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A folder of class folders, one with train/ validation/ test/, a CSV manifest, or the name of a data set.",
        autocompletion=complete_data,
    ),
]


def audit(session: Session, data: Data) -> Outcome:
    """Look a data set over before training: counts, bad files, duplicates, leaks.

    Findings are not a failure: the exit code is 0, and 2 when nothing is usable.
    """
    from edgeclf import api
    from edgeclf.cli.rendering import render_audit

    report = api.audit(data, progress=session.progress()).to_dict()
    return Outcome(report, lambda console: render_audit(console, report))


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    register(app, "audit", audit, examples=["edgeclf audit photos", "edgeclf audit photos.csv --json"])
