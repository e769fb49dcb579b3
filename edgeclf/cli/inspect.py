"""`edgeclf inspect`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgeclf import api
from edgeclf.cli.commands import Command
from edgeclf.cli.fit_options import FIT
from edgeclf.cli.options import INPUT_RANGE, MODEL, NORMALIZE, Option, Table, complete_data, complete_path
from edgeclf.cli.session import Outcome, Session
from edgeclf.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

_DOCTOR = "With --doctor"
_DOCTOR_OPTIONS = (
    Option(
        "data",
        "Labelled images, to look for clipped ranges and an input larger than needed.",
        metavar="DATA",
        default=None,
        complete=complete_data,
        panel=_DOCTOR,
    ),
    Option(
        "baseline",
        "A float .tflite of the same network, or a run folder with one, to look for a layer that carries the loss.",
        metavar="FILE",
        default=None,
        complete=complete_path,
        panel=_DOCTOR,
    ),
    Option("threads", "Threads that it is timed with.", metavar="N", minimum=1, panel=_DOCTOR),
    *(replace(option, panel=_DOCTOR) for option in (NORMALIZE, INPUT_RANGE, FIT)),
)


def inspect(session: Session, values: dict[str, Any]) -> Outcome:
    """Describe a model file without running it; with --doctor, find out why it is not faster, smaller or as accurate.

    Of a damaged file as much as can be read is shown; the exit code is then 2.

    --doctor runs the model on this machine: it times each operator alone and beside the same in float, counts what is
    cut off at the ends of ranges, and names with each finding the measured share and the command that mends it.
    """
    if values.pop("doctor"):
        return _diagnose(session, values)
    model = values.pop("model")
    given = [name for name, value in values.items() if value not in (None, 1)]
    if given:
        option = "--" + given[0].replace("_", "-")
        raise InputError(f"{option} is for --doctor, which runs the model; add --doctor, or leave {option} out")
    from edgeclf.cli.rendering import render_inspection
    from edgeclf.cli.rendering_activations import render_activations

    report = api.inspect(model)
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


def _diagnose(session: Session, values: dict[str, Any]) -> Outcome:
    from edgeclf.cli.rendering_doctor import render_diagnosis

    report = api.diagnose(**values, progress=session.progress())
    for note in report.notes:
        session.warn(note)
    return Outcome(report.to_dict(), lambda console: render_diagnosis(console, report, session.verbose))


COMMAND = Command(
    inspect,
    (
        Table(lambda: api.inspect, (MODEL,)),
        Table(
            lambda: api.diagnose,
            (
                Option("doctor", "Why is it not faster, smaller or as accurate?", type=bool, default=False),
                *_DOCTOR_OPTIONS,
            ),
        ),
    ),
    examples=(
        "edgeclf inspect cifar10",
        "edgeclf inspect model.tflite --verbose",
        "edgeclf inspect cifar10 --json",
        "edgeclf inspect cifar10 --doctor",
        "edgeclf inspect photos-int8.tflite --doctor --data photos --baseline photos-float32.tflite",
    ),
)
