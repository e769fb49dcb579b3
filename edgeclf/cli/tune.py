"""`edgeclf tune`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from edgeclf import api
from edgeclf.cli.commands import Command
from edgeclf.cli.options import UNSET, Option, Table, complete_from
from edgeclf.cli.session import Outcome, Session
from edgeclf.cli.train import CONFIG, DATA, RUN, config_record, merge_settings

_SEARCH = "Search"


def _methods() -> Iterable[str]:
    from edgeclf.search.sampling import METHODS

    return METHODS


def _pruners() -> Iterable[str]:
    from edgeclf.search.sampling import PRUNERS

    return PRUNERS


def _parse_space(pairs: list[str], option: str) -> dict[str, str]:
    from edgeclf.training.tuning.space import parse_pairs

    return parse_pairs(pairs)


OPTIONS = tuple(
    dataclasses.replace(option, panel=_SEARCH)
    for option in (
        Option("trials", "Trainings in the whole search, that of the defaults included.", metavar="N", minimum=1),
        Option("hours", "Begin no other trial after so many hours.", metavar="H"),
        Option(
            "search",
            "tpe (learns from the trials), random or grid.",
            metavar="WAY",
            complete=complete_from(_methods),
        ),
        Option(
            "pruner",
            "Give trials up early by their validation: median, hyperband or none.",
            metavar="NAME",
            complete=complete_from(_pruners),
        ),
        Option(
            "space",
            "What is tried of a setting, such as learning_rate=1e-4..1e-2 or image_size=96,128; repeatable. Settings "
            "that have an option or a --set are not searched.",
            metavar="SETTING=VALUES",
            type=list[str],
            default=UNSET,
            parse=_parse_space,
        ),
        Option("storage", "URL of a database through which several machines share the search.", metavar="URL"),
    )
)
_NOT_HERE = ("from_run",)
_RUN = {option.name: option for option in RUN}
FOLDER = (
    Option(
        "out", "Folder of the search: the trials, tune.json, tune.html, best. Default: runs/NAME-tune.", metavar="DIR"
    ),
    Option("overwrite", "Replace an earlier search in the folder."),
    _RUN["trust_model"],
    dataclasses.replace(_RUN["settings"], help="Any other setting of all trials, such as --set optimizer=adamw."),
)


def tune(session: Session, values: dict[str, Any]) -> Outcome:
    """Search for learning rate, augmentation, regularization, network, width and input size.

    Each trial is a run folder; the best by validation is FOLDER/best, ready for compress. The first trial has the
    defaults. The same command, without --overwrite, goes on after Ctrl-C or a crash. With --for, --max-latency or
    --max-size only networks that hold it are tried, and the frontier is printed.
    """
    from edgeclf.cli.rendering_tune import render_tune

    report = api.tune(**merge_settings(values), progress=session.progress())
    return Outcome(report.to_dict(), lambda console: render_tune(console, report))


COMMAND = Command(
    tune,
    (
        Table(lambda: api.tune, (dataclasses.replace(DATA, help="As for train. Default: digits."),)),
        Table(lambda: api.tune, OPTIONS),
        Table(config_record, tuple(option for option in CONFIG if option.name not in _NOT_HERE)),
        Table(lambda: api.tune, FOLDER),
    ),
    examples=(
        "edgeclf tune photos --trials 50 --hours 2",
        "edgeclf tune digits --search random --space model=resnet8,cnn",
        "edgeclf tune photos --quick --trials 20",
        "edgeclf tune photos --max-latency 5ms --space image_size=96,128 --space learning_rate=1e-3..1e-2",
    ),
    settings=config_record,
    trains=True,
    interrupted="interrupted; finished trials are kept: the same command, without --overwrite, goes on",
)
