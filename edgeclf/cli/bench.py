"""`edgeclf bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeclf.cli.commands import register
from edgeclf.cli.options import InputRange, Runtime, complete_data, complete_model, complete_path
from edgeclf.cli.session import Outcome, Session
from edgeclf.cli.values import parse_counts, parse_range


def bench(
    session: Session,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Models (.tflite files, zoo names) and run folders.",
            autocompletion=complete_model,
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", help="Images to be right about. Without: no accuracy.", autocompletion=complete_data
        ),
    ] = None,
    split: Annotated[str, typer.Option(metavar="NAME", help="train, validation or test.")] = "test",
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="The float network to compare to. Default: the run folder's model.keras.",
            autocompletion=complete_path,
        ),
    ] = None,
    threads: Annotated[str, typer.Option(metavar="N,...", help="Thread counts to time, such as 1,2,4.")] = "1",
    runtime: Runtime = "litert",
    runs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Timed calls a model. Default: by its speed.")
    ] = None,
    input_range: InputRange = None,
    trust_model: Annotated[
        bool, typer.Option("--trust-model", help="Load a baseline that runs code of its own, such as a Lambda.")
    ] = False,
    against: Annotated[
        Path | None,
        typer.Option(metavar="bench.json", help="Another machine's figures of these models, to put beside this one's."),
    ] = None,
    sustain: Annotated[
        float | None,
        typer.Option(metavar="MINUTES", help="Keep the models running; compare the first minute with the last."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a report with plots and flipped images.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Write bench.json here (a folder, or FILE.json). Default: a run's bench/."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing output.")] = False,
) -> Outcome:
    """Measure accuracy, size, latency and memory, against the float network.

    Differences are model minus baseline on the same images. Latencies are taken in turns over all models. Ctrl-C ends
    --sustain early, with what was measured until then (exit code 130).
    """
    from edgeclf import api
    from edgeclf.cli.rendering_bench import render_bench

    measured = api.bench(
        sources,
        data=data,
        split=split,
        baseline=baseline,
        threads=parse_counts(threads, "--threads"),
        runtime=runtime,
        runs=runs,
        input_range=parse_range(input_range),
        trust_model=trust_model,
        report=report,
        out=out,
        overwrite=overwrite,
        against=against,
        sustain=sustain,
        progress=session.progress(),
    )
    document = measured.to_dict()
    return Outcome(document, lambda console: render_bench(console, document), 130 if measured.interrupted else 0)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    examples = [
        "edgeclf bench runs/digits --data digits",
        "edgeclf bench cifar10 other.tflite --threads 1,2 --runs 1000",
        "edgeclf bench runs/photos --data photos --report report.html",
        "edgeclf bench photos-int8.tflite --against bench.json --sustain 10",
    ]
    register(app, "bench", bench, examples=examples)
