"""`edgeclf compress`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeclf.cli.commands import register
from edgeclf.cli.options import InputRange, complete_data, complete_path
from edgeclf.cli.session import Outcome, Session
from edgeclf.cli.values import parse_range, parse_settings

_FORMATS = "Formats (one model each)"
_CHANGES = "Changes (to all of them)"


def _complete_io(incomplete: str) -> list[str]:
    return [name for name in ("uint8", "int8", "float32") if name.startswith(incomplete)]


def compress(
    session: Session,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="A run folder, a .keras or .h5 file, a SavedModel.", autocompletion=complete_path
        ),
    ],
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A recipe such as int8 or prune50-qat-int8, instead of the options below; repeat it for more models.",
        ),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Full integer: small and fast.", rich_help_panel=_FORMATS)
    ] = False,
    float16: Annotated[
        bool, typer.Option("--float16", help="Half the size; computes in float.", rich_help_panel=_FORMATS)
    ] = False,
    dynamic: Annotated[
        bool, typer.Option("--dynamic", help="int8 weights; slower than float here.", rich_help_panel=_FORMATS)
    ] = False,
    int16x8: Annotated[
        bool, typer.Option("--int16x8", help="int16 activations; precise, very slow.", rich_help_panel=_FORMATS)
    ] = False,
    float32: Annotated[
        bool, typer.Option("--float32", help="Unchanged numbers, for comparison.", rich_help_panel=_FORMATS)
    ] = False,
    qat: Annotated[
        bool,
        typer.Option("--qat", help="Train with quantization in the loop; implies --int8.", rich_help_panel=_CHANGES),
    ] = False,
    prune: Annotated[
        str | None,
        typer.Option(metavar="FRACTION", help="Zeros among the weights: 0.5, or 2:4.", rich_help_panel=_CHANGES),
    ] = None,
    cluster: Annotated[
        int | None,
        typer.Option(metavar="N", help="Distinct weights a tensor, such as 16.", rich_help_panel=_CHANGES),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", help="For calibration and fine-tuning. Default: the run's.", autocompletion=complete_data
        ),
    ] = None,
    calibration: Annotated[
        int, typer.Option(min=1, metavar="N", help="Training images that set the quantization ranges.")
    ] = 500,
    io: Annotated[
        str,
        typer.Option(
            metavar="TYPE",
            help="Input and output of int8 models: uint8, int8 (TFLite Micro) or float32.",
            autocompletion=_complete_io,
        ),
    ] = "uint8",
    input_range: InputRange = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where NAME-<recipe>.tflite go. Default: the run's compressed/."),
    ] = None,
    trust_model: Annotated[
        bool, typer.Option("--trust-model", help="Load a file that runs code of its own, such as a Lambda.")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the calibration draw and of fine-tuning.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing models.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any other setting, such as --set qat_epochs=5."),
    ] = None,
) -> Outcome:
    """Turn a float network into TFLite models: quantized, pruned, clustered.

    Without a format, a sensible set is made. Changes combine; zeros and clusters survive --qat.
    """
    from edgeclf import api
    from edgeclf.cli.rendering_host import render_compression
    from edgeclf.compression.choice import settings_record

    interval = parse_range(input_range)
    report = api.compress(
        source,
        recipes=recipe or None,
        float32=float32,
        float16=float16,
        dynamic=dynamic,
        int8=int8,
        int16x8=int16x8,
        qat=qat,
        prune=prune,
        cluster=cluster,
        data=data,
        calibration=calibration,
        io=io,
        input_range=interval,
        out=out,
        trust_model=trust_model,
        seed=seed,
        overwrite=overwrite,
        progress=session.progress(),
        **parse_settings(settings or [], settings_record()),
    ).to_dict()
    return Outcome(report, lambda console: render_compression(console, report))


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    examples = [
        "edgeclf compress runs/digits",
        "edgeclf compress runs/photos --int8 --float16",
        "edgeclf compress runs/photos --qat --prune 0.5",
        "edgeclf compress runs/photos --recipe int8 --recipe prune50-qat-int8",
        "edgeclf compress network.h5 --int8 --data photos --out models",
    ]
    register(app, "compress", compress, examples=examples)
