"""`edgeclf refit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeclf import api
from edgeclf.cli.commands import Command
from edgeclf.cli.options import MODEL, Option, Table, complete_data, complete_path
from edgeclf.cli.session import Outcome, Session

if TYPE_CHECKING:
    from rich.console import Console

OPTIONS = (
    MODEL,
    Option(
        "data",
        "Labelled images with a validation split that did not train the model.",
        metavar="DATA",
        type=str,
        complete=complete_data,
    ),
    Option(
        "out",
        "The new file. Default: the model itself, with --overwrite.",
        metavar="FILE",
        type=str,
        complete=complete_path,
    ),
    Option(
        "precision",
        "Fraction of named images that must be right, however many are then called unknown. "
        "Default: about 5 % of known images at most are called unknown.",
        metavar="FRACTION",
    ),
    Option("overwrite", "Replace the file."),
)


def refit(session: Session, values: dict[str, Any]) -> Outcome:
    """Fit the probabilities of a finished model on validation images, without compressing its network again.

    Written are a temperature, the probability below which an image is unknown, and a check of features for what was
    never seen. Graph, weights and labels stay as they are.
    """
    from edgeclf.cli.rendering import line
    from edgeclf.cli.rendering_probabilities import describe_probabilities

    report = api.refit(**values, progress=session.progress())

    def render(console: Console) -> None:
        for name, text in describe_probabilities(report.probabilities.to_dict()):
            line(console, f"{name[:1].upper()}{name[1:]}: {text}" if name else text)
        line(console, f"Wrote {report.path}")

    return Outcome(report.to_dict(), render)


COMMAND = Command(
    refit,
    (Table(lambda: api.refit, OPTIONS),),
    examples=(
        "edgeclf refit photos-int8.tflite --data photos --out photos-fitted.tflite",
        "edgeclf refit photos-int8.tflite --data photos --overwrite --precision 0.95",
    ),
)
