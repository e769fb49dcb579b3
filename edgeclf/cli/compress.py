"""`edgeclf compress`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edgeclf import api
from edgeclf.cli.commands import Command
from edgeclf.cli.options import (
    INPUT_RANGE,
    NORMALIZE,
    UNSET,
    Option,
    Table,
    complete_data,
    complete_from,
    complete_path,
)
from edgeclf.cli.session import Outcome, Session
from edgeclf.cli.values import parse_settings

_FORMATS = "Formats (one model each)"
_STEPS = "Steps (applied to all of them)"


def _io_types() -> Iterable[str]:
    from edgeclf.compression.export.tflite_format import IO_TYPES

    return IO_TYPES


def _parse_settings(pairs: list[str], option: str) -> dict[str, Any]:
    from edgeclf.compression.choice import settings_record

    return parse_settings(pairs, settings_record())


OPTIONS = (
    Option(
        "source",
        "A run folder, a .keras or .h5 file, a SavedModel.",
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
    Option("int8", "Full integer: small and fast.", panel=_FORMATS),
    Option("float16", "Half the size; computes in float.", panel=_FORMATS),
    Option("dynamic", "int8 weights; slower than float here.", panel=_FORMATS),
    Option("int16x8", "int16 activations; precise, very slow.", panel=_FORMATS),
    Option("float32", "Unchanged numbers, for comparison.", panel=_FORMATS),
    Option("qat", "Train with quantization in the loop; implies --int8.", panel=_STEPS),
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
    Option("out", "Where NAME-<recipe>.tflite go. Default: the run's compressed/.", metavar="DIR"),
    Option("trust_model", "Load a file that runs code of its own, such as a Lambda."),
    Option("seed", "Seed of the choice of calibration images and of fine-tuning.", metavar="N"),
    Option("overwrite", "Replace existing models."),
    Option(
        "settings",
        "Any other setting, such as --set qat_epochs=5.",
        metavar="KEY=VALUE",
        type=list[str],
        default=UNSET,
        parse=_parse_settings,
        flag="--set",
    ),
)


def compress(session: Session, values: dict[str, Any]) -> Outcome:
    """Turn a float network into TFLite models: quantized, pruned, clustered.

    Without a format, a sensible set is made. Steps combine; zeros and clusters survive --qat.
    """
    from edgeclf.cli.rendering_host import render_compression

    settings = values.pop("settings", {})
    report = api.compress(**values, **settings, progress=session.progress())
    return Outcome(report.to_dict(), lambda console: render_compression(console, report))


COMMAND = Command(
    compress,
    (Table(lambda: api.compress, OPTIONS),),
    examples=(
        "edgeclf compress runs/digits",
        "edgeclf compress runs/photos --int8 --float16",
        "edgeclf compress runs/photos --qat --prune 0.5",
        "edgeclf compress runs/photos --recipe int8 --recipe prune50-qat-int8",
        "edgeclf compress network.h5 --int8 --data photos --out models",
    ),
)
