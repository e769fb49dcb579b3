"""`edgeclf compress`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from edgeclf import api
from edgeclf.cli.commands import Command
from edgeclf.cli.fit_options import FIT
from edgeclf.cli.options import (
    INPUT_RANGE,
    LABELS,
    NORMALIZE,
    UNSET,
    Option,
    Table,
    complete_data,
    complete_from,
    complete_path,
    list_boards,
)
from edgeclf.cli.session import Outcome, Session
from edgeclf.cli.values import parse_milliseconds, parse_settings, parse_unit_bytes

_FORMATS = "Formats (one model each)"
_STEPS = "Steps (applied to all of them)"
_BUDGET = "A budget instead (searches for the recipe, and makes one model)"


def _io_types() -> Iterable[str]:
    from edgeclf.compression.export.tflite_format import IO_TYPES

    return IO_TYPES


def _formats() -> Iterable[str]:
    from edgeclf.compression.exporter import known_exporters
    from edgeclf.compression.recipe import parse_recipe  # noqa: F401  # fills the registry

    return known_exporters()


def _describe_boards() -> str:
    return f"Shrink until multiply-accumulates, int8 file and memory fit a board: {', '.join(list_boards())}."


def _settings() -> type:
    from edgeclf.compression.choice import settings_record

    return settings_record()


OPTIONS = (
    Option(
        "source",
        "A run folder, a .keras or .h5 file, a SavedModel, a float .tflite file.",
        metavar="SOURCE",
        complete=complete_path,
        argument=True,
    ),
    Option(
        "recipes",
        "Steps and format of one model, such as prune50-qat-int8; repeatable.",
        metavar="NAME",
        type=list[str],
        default=UNSET,
        flag="--recipe",
    ),
    Option("int8", "Full integer: weights and activations in int8.", panel=_FORMATS),
    Option("int4", "Weights in int4, activations in int8.", panel=_FORMATS),
    Option("float16", "Weights in float16; computes in float.", panel=_FORMATS),
    Option("dynamic", "Weights in int8; computes in float and int8.", panel=_FORMATS),
    Option("int16x8", "Weights in int8, activations in int16.", panel=_FORMATS),
    Option("float32", "Unchanged numbers, for comparison.", panel=_FORMATS),
    Option(
        "to",
        "Another format by its name, such as onnx; repeatable.",
        metavar="FORMAT",
        type=list[str],
        default=UNSET,
        complete=complete_from(_formats),
        panel=_FORMATS,
    ),
    Option("qat", "Train with quantization in the loop; implies --int8.", panel=_STEPS),
    Option(
        "shrink",
        "Remove whole filters with this fraction of the multiply-accumulates: 0.5 leaves half of them.",
        metavar="FRACTION",
        panel=_STEPS,
    ),
    Option("target_macs", "Shrink to so many multiply-accumulates.", metavar="N", minimum=1, panel=_STEPS),
    Option(
        "target_latency",
        "Shrink until the int8 model takes so long on this machine, one thread, such as 5ms.",
        metavar="TIME",
        type=str,
        parse=parse_milliseconds,
        panel=_STEPS,
    ),
    Option(
        "target_size",
        "Shrink until the int8 model's file is no larger, such as 500KB; goes with --target-macs.",
        metavar="SIZE",
        type=str,
        parse=parse_unit_bytes,
        panel=_STEPS,
    ),
    Option(
        "target_board",
        _describe_boards,
        metavar="BOARD",
        complete=complete_from(list_boards),
        panel=_STEPS,
        flag="--for",
    ),
    Option("prune", "Fraction of zero weights: 0.5, or 2:4.", metavar="FRACTION", panel=_STEPS),
    Option("cluster", "Distinct weights a tensor, such as 16.", metavar="N", panel=_STEPS),
    Option(
        "data",
        "For calibration and fine-tuning. Default: the run's.",
        metavar="DATA",
        type=str,
        complete=complete_data,
    ),
    Option("calibration", "Training images that set the quantization ranges.", metavar="N", minimum=1),
    Option(
        "io",
        "Input and output of int8 models: uint8, int8 (TFLite Micro) or float32.",
        metavar="TYPE",
        complete=complete_from(_io_types),
    ),
    NORMALIZE,
    INPUT_RANGE,
    dataclasses.replace(
        LABELS,
        help="Class names of a network from elsewhere, one a line in the order of its outputs. Default: labels.txt "
        "beside it, else the sorted classes of the data.",
    ),
    Option(
        "unlabelled",
        "Calibrate on photos of other classes than the network's, or without class folders; nothing is scored.",
    ),
    FIT,
    Option("out", "Where NAME-<recipe>.tflite go. Default: the run's compressed/.", metavar="DIR"),
    Option("trust_model", "Load a file that runs code of its own, such as a Lambda."),
    Option("seed", "Seed of the choice of calibration images and of fine-tuning.", metavar="N"),
    Option(
        "speed",
        "Time each model beside a float32 model of the network, on this machine.",
        flag="--speed/--no-speed",
    ),
    Option(
        "sensitivity", "Measure what each layer loses if it alone is in int8: a table, NAME-sensitivity.json, .png."
    ),
    Option(
        "fit_probabilities",
        "Fit temperature, threshold for «unknown» and a check of features on validation images.",
        flag="--fit-probabilities/--no-fit-probabilities",
    ),
    Option(
        "precision",
        "Choose that threshold such that this fraction of named photos is right. Default: it refuses about 5 % of "
        "known photos at most.",
        metavar="FRACTION",
    ),
    Option("overwrite", "Replace existing models."),
    Option(
        "settings",
        "Any other setting, such as --set qat_epochs=5.",
        metavar="KEY=VALUE",
        type=list[str],
        default=UNSET,
        parse=lambda pairs, option: parse_settings(pairs, _settings()),
        flag="--set",
    ),
)


BUDGET_OPTIONS = tuple(
    dataclasses.replace(option, default=UNSET, panel=_BUDGET)
    for option in (
        Option("max_drop", "Points of top-1 that may be lost against the float network.", metavar="POINTS", type=float),
        Option("max_size", "Largest file, such as 100KB.", metavar="SIZE", type=str, parse=parse_unit_bytes),
        Option(
            "max_latency",
            "Longest median time of a prediction on one thread, such as 5ms.",
            metavar="TIME",
            type=str,
            parse=parse_milliseconds,
        ),
        Option("board", "Estimate times from a report of edgeclf bench on the device.", metavar="FILE", type=str),
        Option("trials", "Recipes tried beyond the known ones. Default: 10.", metavar="N", type=int),
        Option("hours", "Begin no other recipe after so many hours.", metavar="H", type=float),
        Option("judge", "interval (default): the drop holds for new pictures; estimate.", metavar="NAME", type=str),
        Option("storage", "URL of a database that several machines share.", metavar="URL", type=str),
    )
)


def _budget() -> type:
    from edgeclf.compression.budget.limits import Budget

    return Budget


def compress(session: Session, values: dict[str, Any]) -> Outcome:
    """Turn a float network into TFLite models: quantized, shrunk, pruned, clustered.

    Without a format, a sensible set is made. Steps combine; zeros and clusters survive --qat. With a budget the recipe
    is searched for, the cheapest to make first; exit code 1: nothing holds it, and the nearest miss was written.
    """
    from edgeclf.cli.rendering_host import render_compression

    settings = values.pop("settings", {})
    report = api.compress(**values, **settings, progress=session.progress())
    missed = report.search is not None and not report.search.holds
    return Outcome(report.to_dict(), lambda console: render_compression(console, report), exit_code=int(missed))


COMMAND = Command(
    compress,
    (Table(lambda: api.compress, OPTIONS), Table(_budget, BUDGET_OPTIONS)),
    examples=(
        "edgeclf compress runs/digits",
        "edgeclf compress runs/photos --int8 --float16",
        "edgeclf compress runs/photos --qat --prune 0.5",
        "edgeclf compress runs/photos --shrink 0.5",
        "edgeclf compress runs/photos --for zero2",
        "edgeclf compress runs/photos --recipe int8 --recipe prune50-qat-int8",
        "edgeclf compress runs/photos --max-drop 1.0 --max-size 100KB --max-latency 5ms",
        "edgeclf compress network.h5 --int8 --data photos --out models",
    ),
    settings=_settings,
    interrupted="interrupted; finished models and steps are kept: the same command goes on",
    trains=True,
)
