"""The function `bench`, which measures models against their float network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeclf.extras import extras, installed, require
from edgeclf.plugins import with_plugins
from edgeclf.progress import SILENT, Progress

if TYPE_CHECKING:
    from edgeclf.artifact.normalization import Normalization
    from edgeclf.dataset import Dataset, Split
    from edgeclf.measure.baseline import BaselineNetwork
    from edgeclf.measure.plan import BenchPlan
    from edgeclf.measure.report import BenchReport
    from edgeclf.measure.subjects import DatasetLoader


@with_plugins
def bench(
    sources: str | Path | Sequence[str | Path],
    *,
    data: str | Path | None = None,
    split: str = "test",
    baseline: str | Path | None = None,
    threads: Sequence[int] = (1,),
    runtime: str = "litert",
    runs: int | None = None,
    normalize: str | Normalization | None = None,
    input_range: tuple[float, float] | None = None,
    trust_model: bool = False,
    report: str | Path | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    against: str | Path | None = None,
    sustain: float | None = None,
    progress: Progress = SILENT,
) -> BenchReport:
    """Measure accuracy, size, latency and memory of models on this machine, paired with the float network.

    Args:
        sources: `.tflite` files, zoo names, run folders (all their compressed models).
        data: labelled images to measure accuracy on; None: no accuracy.
        split: which of its splits.
        baseline: a `.keras` or `.h5` network; None: the `model.keras` of the first run folder.
        threads: thread counts to time.
        runtime: `litert`, `tflite-runtime` or `tensorflow`.
        runs: timed calls of each model; None: decided by its speed.
        normalize: how pixels enter models made elsewhere: "caffe", "torch", "tf", "0..1", "raw", mean and std; applied
            to those that do not know it.
        input_range: the same as a pair, such as (-1, 1).
        trust_model: load a baseline even if that runs code from its file.
        report: HTML file to write.
        out: folder or `.json` file for the figures; None: a run folder's `bench/`, else nowhere.
        overwrite: replace existing output.
        against: the `bench.json` of another machine, to compare with.
        sustain: minutes for which the models are kept running at the end; the first and the last are compared.
        progress: where bars are shown.

    Raises:
        InputError: a model, the data or an output cannot be used.
        MissingExtraError: the baseline or the report needs a package that is not installed.
    """
    from edgeclf.artifact.normalization import resolve_normalization

    given = resolve_normalization(normalize, input_range)
    if baseline is not None:
        require("--baseline", "tensorflow", "tf_keras")
    if report is not None:
        require("--report", "matplotlib", "jinja2")
    from edgeclf.measure.plan import BenchPlan
    from edgeclf.measure.run import HostParts, run_bench

    plan = BenchPlan(
        models=(str(sources),) if isinstance(sources, (str, Path)) else tuple(map(str, sources)),
        data=None if data is None else str(data),
        split=split,
        baseline=None if baseline is None else str(baseline),
        threads=tuple(threads),
        runtime=runtime,
        runs=runs,
        normalization=given,
        trust_model=trust_model,
        sustain=sustain,
        out=None if out is None else str(out),
        report=None if report is None else str(report),
        overwrite=overwrite,
        against=None if against is None else str(against),
    )
    host = HostParts(
        open_baseline=_open_baseline if installed("tensorflow") else None,
        write_page=_write_page if installed("matplotlib") and installed("jinja2") else None,
    )
    with extras("bench"):
        return run_bench(plan, host, progress=progress)


def _open_baseline(
    path: Path, plan: BenchPlan, data: Dataset | DatasetLoader | None, progress: Progress
) -> BaselineNetwork:
    with progress.task("loading TensorFlow", None):
        from edgeclf.keras_files.baseline import open_baseline

    return open_baseline(path, plan, data, progress)


def _write_page(report: BenchReport, path: Path, images: Split | None) -> None:
    from edgeclf.report.html import write_report

    write_report(report, path, images=images)
