"""`edgeclf pretrain`."""

from __future__ import annotations

from typing import Any

from edgeclf import api
from edgeclf.cli.commands import Command
from edgeclf.cli.fit_options import IMAGE_SIZE, TRAINED_FIT
from edgeclf.cli.options import UNSET, Option, Table, complete_data, complete_from, complete_path
from edgeclf.cli.session import Outcome, Session
from edgeclf.cli.train import CONFIG as TRAIN_OPTIONS
from edgeclf.cli.train import RUN, merge_settings
from edgeclf.cli.values import parse_settings
from edgeclf.plugins import find_plugins


def _config() -> type:
    from edgeclf.training.pretraining.config import PretrainConfig

    return PretrainConfig


def _load_methods() -> dict[str, Any]:
    from edgeclf.training.pretraining import METHODS

    find_plugins()
    return dict(METHODS)


def _describe_methods() -> str:
    methods = "; ".join(f"{name}, {method.paper}" for name, method in _load_methods().items())
    return f"How: {methods}. Default: {_config()().method}."


PHOTOS = Option(
    "photos",
    "A folder of images, nested or not; folders are not looked at as classes. Or a CSV manifest, or a name.",
    metavar="PHOTOS",
    complete=complete_data,
    argument=True,
)
METHOD = Option("method", _describe_methods, metavar="NAME", default=UNSET, complete=complete_from(_load_methods))
WEIGHTS = Option(
    "weights",
    "Go on from this .h5, .keras or .tflite file, or run folder; none, which is the default: from scratch.",
    metavar="FILE",
    default=UNSET,
    complete=complete_path,
)
_SAME = ("model", "width", "epochs", "batch_size", "learning_rate", "augment", "seed")
_OPTIONS = {option.name: option for option in TRAIN_OPTIONS}
CONFIG = (
    METHOD,
    *(_OPTIONS[name] for name in _SAME[:2]),
    IMAGE_SIZE,
    TRAINED_FIT,
    *(_OPTIONS[name] for name in _SAME[2:-1]),
    WEIGHTS,
    _OPTIONS["seed"],
)
_SETTINGS = Option(
    "settings",
    "Any other setting, such as --set early_stopping=5.",
    metavar="KEY=VALUE",
    type=list[str],
    default=UNSET,
    parse=lambda pairs, option: parse_settings(pairs, _config()),
    flag="--set",
)


def pretrain(session: Session, values: dict[str, Any]) -> Outcome:
    """Learn from photos without labels; train starts from the run, where few labelled photos then go further.

    What train keeps for validation and test of the same photos is not learned from. Ctrl-C keeps the finished epochs:
    the same command with --resume continues.
    """
    from edgeclf.cli.rendering_pretraining import render_pretraining

    report = api.pretrain(**merge_settings(values), progress=session.progress())
    return Outcome(report.to_dict(), lambda console: render_pretraining(console, report))


COMMAND = Command(
    pretrain,
    (
        Table(lambda: api.pretrain, (PHOTOS,)),
        Table(_config, CONFIG),
        Table(lambda: api.pretrain, (*(option for option in RUN if option.name != "settings"), _SETTINGS)),
    ),
    examples=(
        "edgeclf pretrain unsorted --out runs/start",
        "edgeclf pretrain parts-from-above --method barlow-twins --image-size 64",
        "edgeclf train photos --weights runs/start",
    ),
    settings=_config,
    trains=True,
    interrupted="interrupted; epochs that were finished are saved: the same command with --resume goes on",
)
