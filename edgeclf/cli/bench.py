"""`edgeclf bench`."""

from __future__ import annotations

from typing import Any

from edgeclf import api
from edgeclf.cli.commands import Command
from edgeclf.cli.fit_options import FIT
from edgeclf.cli.options import (
    INPUT_RANGE,
    LABELS,
    NORMALIZE,
    RUNTIME,
    UNSET,
    Option,
    Table,
    complete_data,
    complete_model,
    complete_path,
)
from edgeclf.cli.session import Outcome, Session
from edgeclf.cli.values import parse_counts, show_counts

OPTIONS = (
    Option(
        "sources",
        "Models (.tflite files, zoo names), run folders, ensembles (RUN+RUN, or the folder of one).",
        metavar="SOURCE",
        type=list[str],
        complete=complete_model,
        argument=True,
    ),
    Option(
        "data", "Labelled images to measure accuracy on. Without: no accuracy.", metavar="DATA", complete=complete_data
    ),
    Option(
        "split",
        "train, validation, test, or all: all images that no run measured has used in training.",
        metavar="NAME",
    ),
    Option(
        "baseline",
        "The float network to compare to, such as a float .tflite. Default: the run folder's model.keras.",
        metavar="FILE",
        complete=complete_path,
    ),
    Option("threads", "Thread counts to time, such as 1,2,4.", metavar="N,...", parse=parse_counts, show=show_counts),
    RUNTIME,
    Option("runs", "Timed calls a model. Default: by its speed.", metavar="N", minimum=1),
    NORMALIZE,
    INPUT_RANGE,
    LABELS,
    FIT,
    Option("trust_model", "Load a baseline that runs code of its own, such as a Lambda."),
    Option("against", "Another machine's figures of these models, to compare with.", metavar="bench.json"),
    Option("sustain", "Keep the models running; compare the first minute with the last.", metavar="MINUTES"),
    Option(
        "fail_if",
        "Exit with 1 where a model is so, such as 'drop>1.0' (points of top-1 against the baseline) or 'latency>5ms'; "
        "repeatable. Also .upper and .lower ends of intervals, and MODEL: in front.",
        metavar="EXPR",
        type=list[str],
        default=UNSET,
    ),
    Option(
        "combine",
        "How ensembles predict: average, or stack (a regression fitted on validation images). Default: as recorded.",
        metavar="WAY",
        default=UNSET,
    ),
    Option("report", "Write a report with plots and flipped images.", metavar="FILE.html"),
    Option("out", "Write bench.json here (a folder, or FILE.json). Default: a run's bench/.", metavar="PATH"),
    Option("overwrite", "Replace existing output."),
)


def bench(session: Session, values: dict[str, Any]) -> Outcome:
    """Measure accuracy, size, latency and memory, against the float network.

    Differences are model minus baseline on the same images. Latencies are taken in turns over all models. Ctrl-C ends
    --sustain early, with what was measured until then (exit code 130). Exit code 1: a model has failed by --fail-if.
    """
    from edgeclf.cli.rendering_bench import render_bench
    from edgeclf.measure.conditions import describe_result

    report = api.bench(**values, progress=session.progress())
    for result in report.failed_conditions:
        session.warn(f"failed: {describe_result(result)}")
    code = 130 if report.interrupted else 1 if report.failed_conditions else 0
    return Outcome(report.to_dict(), lambda console: render_bench(console, report), code)


COMMAND = Command(
    bench,
    (Table(lambda: api.bench, OPTIONS),),
    examples=(
        "edgeclf bench runs/digits --data digits",
        "edgeclf bench cifar10 other.tflite --threads 1,2 --runs 1000",
        "edgeclf bench runs/photos --data photos --report report.html",
        "edgeclf bench runs/a+runs/b --data photos --combine stack",
        "edgeclf bench runs/photos --data photos --fail-if 'drop>1.0' --fail-if 'latency>5ms'",
        "edgeclf bench photos-int8.tflite --against bench.json --sustain 10",
    ),
)
