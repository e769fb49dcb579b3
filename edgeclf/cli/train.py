"""`edgeclf train`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edgeclf import api
from edgeclf.cli.commands import Command
from edgeclf.cli.fit_options import IMAGE_SIZE, TRAINED_FIT, VIEWS
from edgeclf.cli.options import UNSET, Option, Table, complete_data, complete_from, complete_path, list_boards
from edgeclf.cli.session import Outcome, Session
from edgeclf.cli.values import parse_kilobytes, parse_milliseconds, parse_settings
from edgeclf.errors import InputError
from edgeclf.plugins import find_plugins


def config_record() -> type:
    """Import and return the record of the settings."""
    from edgeclf.training.config import TrainConfig

    return TrainConfig


def _networks() -> Iterable[str]:
    from edgeclf.training.networks import NETWORKS

    find_plugins()
    return NETWORKS


def _augment_levels() -> Iterable[str]:
    from edgeclf.training.config import AUGMENT_LEVELS

    return AUGMENT_LEVELS


def _balance_modes() -> Iterable[str]:
    from edgeclf.training.config import BALANCE_MODES

    return BALANCE_MODES


def _describe_boards() -> str:
    from edgeclf.training.budget.limits import BOARDS, DEFAULT_BOARD

    budgets = "; ".join(f"{name}: {limits.text}" for name, limits in BOARDS.items())
    return (
        f"Choose network, width and input size by what a board can carry ({budgets}: a heuristic), or the board's own "
        f"bench.json with --max-latency. Default: photos get the budget of {DEFAULT_BOARD}."
    )


DATA = Option(
    "data",
    "A folder of class folders, one with train/ validation/ test/, a CSV manifest, or a name. "
    "Default: what the run of --from, or with --resume the unfinished one in --out, had, else digits, which needs no "
    "download.",
    metavar="DATA",
    complete=complete_data,
    argument=True,
)
CONFIG = (
    Option(
        "model",
        lambda: f"Network: {', '.join(_networks())}. Default: chosen by the data.",
        metavar="NAME",
        default=UNSET,
        complete=complete_from(_networks),
    ),
    Option(
        "width",
        "Width multiplier, for networks that have one. Default: that of the network.",
        metavar="X",
        default=UNSET,
    ),
    IMAGE_SIZE,
    TRAINED_FIT,
    VIEWS,
    Option(
        "board", _describe_boards, metavar="BOARD", default=UNSET, complete=complete_from(list_boards), flag="--for"
    ),
    Option(
        "max_latency",
        "Choose a network whose int8 model takes at most so long for an image on one thread, such as 5ms: the median "
        "measured on this machine, or estimated from the bench.json given with --for.",
        metavar="TIME",
        default=UNSET,
        parse=parse_milliseconds,
    ),
    Option(
        "max_size",
        "Choose a network whose int8 file is at most so large, such as 400KB (an estimate until it is made).",
        metavar="SIZE",
        default=UNSET,
        parse=parse_kilobytes,
    ),
    Option("epochs", "Passes over the training images.", metavar="N", default=UNSET),
    Option("batch_size", "Images a step.", metavar="N", default=UNSET),
    Option("learning_rate", "Peak of the schedule.", metavar="X", default=UNSET),
    Option(
        "augment",
        "none, light, standard, strong or strongest (views: for two views of a photo, in pretrain).",
        metavar="LEVEL",
        default=UNSET,
        complete=complete_from(_augment_levels),
    ),
    Option(
        "balance",
        "Uneven classes: weights, over (sample rare ones more), under (frequent ones less) or none.",
        metavar="MODE",
        default=UNSET,
        complete=complete_from(_balance_modes),
    ),
    Option(
        "from_run",
        "Grow this earlier run: photos or classes were added. Takes over its weights and settings, and compares.",
        metavar="RUN",
        default=UNSET,
        complete=complete_path,
        flag="--from",
    ),
    Option(
        "weights",
        "Start from this .h5, .keras or .tflite file, or run folder; auto or none.",
        metavar="FILE",
        default=UNSET,
        complete=complete_path,
    ),
    Option(
        "teacher",
        "Learn from the predictions of this network too: a run folder, a .keras, .h5 or .tflite file of the same "
        "classes, an ensemble (its folder, or RUN+RUN), or recorded ones (.npz).",
        metavar="MODEL",
        default=UNSET,
        complete=complete_path,
    ),
    Option(
        "quick",
        "The first figures in a minute or two: fit the classifier on frozen pretrained features, train nothing else. "
        "That is the default of very few photos.",
        default=UNSET,
    ),
    Option("seed", "Seed of initialization, order and augmentation.", metavar="N", default=UNSET),
)
RUN = (
    Option("out", "The run folder. Default: runs/NAME.", metavar="DIR"),
    Option("resume", "Continue an interrupted run; reprint the report of a finished one."),
    Option("overwrite", "Replace an existing run folder."),
    Option("trust_model", "Load --weights or a --teacher that run code of their own, such as a Lambda."),
    Option(
        "settings",
        "Any other setting, such as --set label_smoothing=0.1.",
        metavar="KEY=VALUE",
        type=list[str],
        default=UNSET,
        parse=lambda pairs, option: parse_settings(pairs, config_record()),
        flag="--set",
    ),
)


def _combines() -> Iterable[str]:
    from edgeclf.artifact.ensemble_folder import COMBINES

    return COMBINES


ENSEMBLE = (
    Option(
        "members",
        "Train so many networks with the seeds N, N+1, ... into one folder: an ensemble, for predict, bench and "
        "--teacher.",
        metavar="N",
        default=UNSET,
    ),
    Option(
        "combine",
        "How an ensemble predicts: average, or stack (a regression fitted on validation images). Default: average.",
        metavar="WAY",
        default=UNSET,
        complete=complete_from(_combines),
    ),
)


def merge_settings(values: dict[str, Any]) -> dict[str, Any]:
    """Return the options with those of `--set` among them.

    Raises:
        InputError: a setting is given both ways.
    """
    settings = values.pop("settings", {})
    twice = next((name for name in settings if name in values), None)
    if twice is not None:
        raise InputError(f"--set {twice} and the option of its own both set it; leave one of the two out")
    return {**values, **settings}


def train(session: Session, values: dict[str, Any]) -> Outcome:
    """Train a float Keras network into a run folder, or several into the folder of an ensemble.

    Ctrl-C keeps the finished epochs: the same command with --resume continues.
    """
    from edgeclf.cli.rendering_host import render_training

    if "members" in values:
        return _train_ensemble(session, values)
    if "combine" in values:
        raise InputError("--combine is for ensembles; add --members N")
    report = api.train(**merge_settings(values), progress=session.progress())
    return Outcome(report.to_dict(), lambda console: render_training(console, report))


def _train_ensemble(session: Session, values: dict[str, Any]) -> Outcome:
    from edgeclf.cli.rendering_ensemble import render_ensemble

    report = api.train_ensemble(**merge_settings(values), progress=session.progress())
    return Outcome(report.to_dict(), lambda console: render_ensemble(console, report))


COMMAND = Command(
    train,
    (
        Table(lambda: api.train, (DATA,)),
        Table(config_record, CONFIG),
        Table(lambda: api.train_ensemble, ENSEMBLE),
        Table(lambda: api.train, RUN),
    ),
    examples=(
        "edgeclf train",
        "edgeclf train photos --epochs 30 --balance weights",
        "edgeclf train photos --for zero2",
        "edgeclf train photos --from runs/photos-mobilenet-v1",
        "edgeclf train photos --members 3 --out runs/teacher",
        "edgeclf train cifar10 --model resnet8 --out runs/cifar --resume",
    ),
    settings=config_record,
    trains=True,
    interrupted="interrupted; epochs that were finished are saved: the same command with --resume goes on",
)
