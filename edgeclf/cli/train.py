"""`edgeclf train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeclf.cli.commands import register
from edgeclf.cli.options import complete_data, complete_path
from edgeclf.cli.session import Outcome, Session
from edgeclf.cli.values import parse_settings


def _choices(*names: str):  # type: ignore[no-untyped-def]
    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


def _complete_network(incomplete: str) -> list[str]:
    from edgeclf.training.networks import NETWORKS

    return [name for name in NETWORKS if name.startswith(incomplete)]


def train(
    session: Session,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA]",
            help="A folder of class folders, one with train/ validation/ test/, a CSV manifest, or a name. "
            "Default: digits, which needs no download.",
            autocompletion=complete_data,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Network. Default: chosen by the data.", autocompletion=_complete_network),
    ] = None,
    width: Annotated[
        float | None,
        typer.Option(metavar="X", help="Width multiplier, for networks that have one. Default: that of the network."),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(metavar="PIXELS", help="Side of the square input. Default: chosen by the data.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Passes over the training images.")] = None,
    batch_size: Annotated[int | None, typer.Option(metavar="N", help="Images a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(metavar="X", help="Peak of the schedule.")] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL",
            help="none, light, standard, strong or strongest.",
            autocompletion=_choices("none", "light", "standard", "strong", "strongest"),
        ),
    ] = None,
    balance: Annotated[
        str | None,
        typer.Option(
            metavar="MODE",
            help="Uneven classes: weights, over (sample rare ones more), under (frequent ones less) or none.",
            autocompletion=_choices("none", "weights", "over", "under"),
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Start from this .h5 or .keras network; auto or none.",
            autocompletion=complete_path,
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of initialization, order and augmentation.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run folder. Default: runs/NAME.", show_default=False)
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted run; reprint the report of a finished one.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing run folder.")] = False,
    trust_model: Annotated[
        bool, typer.Option("--trust-model", help="Load --weights that run code of their own, such as a Lambda.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any other setting, such as --set label_smoothing=0.1."),
    ] = None,
) -> Outcome:
    """Train a float Keras network into a run folder.

    Ctrl-C keeps the finished epochs: the same command with --resume continues.
    """
    from edgeclf import api
    from edgeclf.cli.rendering_host import render_training
    from edgeclf.training.config import TrainConfig

    named = {
        "model": model,
        "width": width,
        "image_size": image_size,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "augment": augment,
        "balance": balance,
        "weights": weights,
        "seed": seed,
    }
    chosen = {key: value for key, value in named.items() if value is not None}
    config = TrainConfig(**{**parse_settings(settings or [], TrainConfig), **chosen})
    report = api.train(
        data,
        config,
        out=out,
        resume=resume,
        overwrite=overwrite,
        trust_model=trust_model,
        progress=session.progress(),
    ).to_dict()
    return Outcome(report, lambda console: render_training(console, report))


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    examples = [
        "edgeclf train",
        "edgeclf train photos --epochs 30 --balance weights",
        "edgeclf train cifar10 --model resnet8 --out runs/cifar --resume",
    ]
    interrupted = "interrupted; finished epochs are saved: the same command with --resume continues"
    register(app, "train", train, examples=examples, interrupted=interrupted)
