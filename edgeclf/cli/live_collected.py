"""`edgeclf collected`."""

from __future__ import annotations

from typing import Any

from edgeclf import api
from edgeclf.cli.commands import Command
from edgeclf.cli.live import TOKEN, read_token, stop_on_signals
from edgeclf.cli.options import MODEL, Option, Table, complete_path
from edgeclf.cli.session import Outcome, Session

OPTIONS = (
    Option(
        "folder",
        "The folder that edgeclf live --collect fills.",
        metavar="FOLDER",
        complete=complete_path,
        argument=True,
    ),
    Option("model", "Model whose class names can be chosen.", metavar="MODEL", complete=MODEL.complete),
    Option(
        "web",
        "Serve the page here. Other hosts than 127.0.0.1 ask for a token, which is printed.",
        metavar="[HOST:]PORT",
        type=str,
    ),
    TOKEN,
)


def collected(session: Session, values: dict[str, Any]) -> Outcome:
    """Sort collected frames into classes on a page, without a camera.

    Sorting and deleting can be undone there. Ctrl-C ends it (exit code 0). With --json it counts what is there, and
    serves no page unless --web is given.
    """
    from edgeclf.cli.rendering_live import render_collected, show_code

    values["token"] = read_token(values)
    progress = session.progress()
    with stop_on_signals() as stop:
        report = api.collected(
            **values,
            serve=not session.json or values["web"] is not None,
            stop=stop,
            progress=progress,
            at_start=lambda url: show_code(progress, url),
        )
    return Outcome(report.to_dict(), lambda console: render_collected(console, report))


COMMAND = Command(
    collected,
    (Table(lambda: api.collected, OPTIONS),),
    examples=(
        "edgeclf collected seen",
        "edgeclf collected seen --model runs/photos --web 0.0.0.0:8765",
        "edgeclf collected seen --json",
    ),
)
