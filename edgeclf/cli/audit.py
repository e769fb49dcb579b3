"""`edgeclf audit`."""

from __future__ import annotations

from typing import Any

from edgeclf import api
from edgeclf.cli.commands import Command
from edgeclf.cli.options import Option, Table, complete_data
from edgeclf.cli.session import Outcome, Session

OPTIONS = (
    Option(
        "data",
        "A folder of class folders, one with train/ validation/ test/, a CSV manifest, or a name.",
        metavar="DATA",
        complete=complete_data,
        argument=True,
    ),
)


def audit(session: Session, values: dict[str, Any]) -> Outcome:
    """Examine a data set before training: counts, bad files, duplicates, leaks.

    Findings are no failure: the exit code is 0, and 2 when nothing is usable.
    """
    from edgeclf.cli.rendering import render_audit

    report = api.audit(**values, progress=session.progress())
    return Outcome(report.to_dict(), lambda console: render_audit(console, report))


COMMAND = Command(
    audit,
    (Table(lambda: api.audit, OPTIONS),),
    examples=("edgeclf audit photos", "edgeclf audit photos.csv --json"),
)
