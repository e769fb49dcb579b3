"""Options and arguments that several commands share, with their shell completion."""

from __future__ import annotations

from typing import Annotated, Optional

import typer


def complete_runtime(incomplete: str) -> list[str]:
    """Names of runtimes."""
    from edgeclf.inference.engine import ENGINES

    return [name for name in ENGINES if name.startswith(incomplete)]


def complete_model(context: typer.Context, arguments: list[str], incomplete: str) -> list[str]:
    """Zoo names, and files and folders that begin so."""
    from edgeclf.artifact.locate import list_zoo

    return [*(name for name in list_zoo() if name.startswith(incomplete)), *_files(incomplete)]


def complete_path(context: typer.Context, arguments: list[str], incomplete: str) -> list[str]:
    """Files and folders."""
    return _files(incomplete)


def complete_data(context: typer.Context, arguments: list[str], incomplete: str) -> list[str]:
    """Named data sets, and files and folders that begin so."""
    names = ("digits", "cifar10", "cifar100", "mnist", "fashion_mnist")
    return [*(name for name in names if name.startswith(incomplete)), *_files(incomplete)]


def _files(incomplete: str) -> list[str]:
    import glob
    import os

    found = sorted(glob.glob(glob.escape(incomplete) + "*"))
    return [path + "/" if os.path.isdir(path) else path for path in found]


Runtime = Annotated[
    str,
    typer.Option(
        help="litert, tflite-runtime or tensorflow. Results differ between runtimes.",
        metavar="NAME",
        autocompletion=complete_runtime,
    ),
]
InputRange = Annotated[
    Optional[str],  # noqa: UP045 - typer evaluates this at run time
    typer.Option(
        metavar="LO,HI",
        help="Input values that the network expects, such as 0,1 or -1,1. Default: its metadata, or a measurement. "
        "A model that knows its range refuses another.",
    ),
]
Model = Annotated[
    str,
    typer.Argument(help="A .tflite file, a run folder, or a zoo name.", metavar="MODEL", autocompletion=complete_model),
]
