"""`edgeclf audit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeclf import api
from edgeclf.cli.commands import Command
from edgeclf.cli.options import Option, Table, complete_data, complete_path
from edgeclf.cli.session import Outcome, Session

if TYPE_CHECKING:
    from rich.console import Console

OPTIONS = (
    Option(
        "data",
        "A folder of class folders, one with train/ validation/ test/, a CSV manifest, or a name.",
        metavar="DATA",
        complete=complete_data,
        argument=True,
    ),
    Option("deep", "Look at the photos, too: doubtful labels, odd ones, classes alike, a learning curve."),
    Option(
        "weights",
        "Network whose features --deep looks through; a .tflite file is fastest. Default: as train --quick.",
        metavar="FILE",
        complete=complete_path,
    ),
    Option(
        "out",
        "Write the page of --deep here, and its list as .csv beside it.",
        metavar="PAGE.html",
        complete=complete_path,
    ),
    Option("overwrite", "Replace an existing page and list."),
    Option("trust_model", "Load a network that runs code of its own, such as a Lambda."),
)


def audit(session: Session, values: dict[str, Any]) -> Outcome:
    """Examine a data set before training: counts, bad files, duplicates, leaks.

    With --deep the photos are looked at through the features of a pretrained network: labels that are probably wrong,
    photos that cost most loss, classes that are taken for each other, and whether more photos would help.

    Findings are no failure: the exit code is 0, and 2 when nothing is usable.
    """
    from edgeclf.cli.rendering import render_audit
    from edgeclf.cli.rendering_deep_audit import render_deep_audit

    report = api.audit(**values, progress=session.progress())

    def render(console: Console) -> None:
        render_audit(console, report)
        if report.deep is not None:
            render_deep_audit(console, report.deep)

    return Outcome(report.to_dict(), render)


COMMAND = Command(
    audit,
    (Table(lambda: api.audit, OPTIONS),),
    examples=(
        "edgeclf audit photos",
        "edgeclf audit photos.csv --json",
        "edgeclf audit photos --deep --weights mobilenet_v2.tflite --out doctor.html",
    ),
)
