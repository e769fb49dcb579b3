"""The function `bench`, which measures models against their float network."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeclf.extras import extras, installed, require
from edgeclf.plugins import with_plugins
from edgeclf.progress import SILENT, Progress

if TYPE_CHECKING:
    from edgeclf.artifact.class_names import GivenLabels
    from edgeclf.artifact.ensemble_folder import Stacking
    from edgeclf.artifact.locate import Paths
    from edgeclf.artifact.normalization import Normalization
    from edgeclf.dataset import Dataset, Split
    from edgeclf.inference.ensemble import Probabilities
    from edgeclf.measure.accuracy import IntArray
    from edgeclf.measure.baseline import BaselineNetwork
    from edgeclf.measure.plan import BenchPlan
    from edgeclf.measure.report import BenchReport
    from edgeclf.measure.subjects import DatasetLoader
    from edgeclf.report.flip_maps import FlipMaps


@with_plugins
def bench(
    sources: Paths,
    *,
    data: str | Path | None = None,
    split: str = "test",
    baseline: str | Path | None = None,
    threads: int | Sequence[int] = (1,),
    runtime: str = "litert",
    runs: int | None = None,
    normalize: str | Normalization | None = None,
    input_range: tuple[float, float] | None = None,
    labels: GivenLabels | None = None,
    fit: str | None = None,
    trust_model: bool = False,
    report: str | Path | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    against: str | Path | None = None,
    sustain: float | None = None,
    fail_if: str | Sequence[str] = (),
    combine: str | None = None,
    progress: Progress = SILENT,
) -> BenchReport:
    """Measure accuracy, size, latency and memory of models on this machine, paired with the float network.

    Args:
        sources: `.tflite` files, zoo names, run folders (all their compressed models), ensembles (the folder of one, or
            paths with a plus sign between them: `runs/a+runs/b`); one or several.
        data: labelled images to measure accuracy on; None: no accuracy.
        split: which of its splits; `all`: every image that no run measured has used, to train or to choose its epoch,
            for photos that are there to judge models alone.
        baseline: a `.keras` or `.h5` network, or a float `.tflite` file; None: the `model.keras` of the first run
            folder.
        threads: thread counts to time, one or several.
        runtime: `litert`, `tflite-runtime`, `tensorflow`, or `onnxruntime` for `.onnx` files.
        runs: timed calls of each model; None: decided by its speed.
        normalize: how pixels enter models made elsewhere: "caffe", "torch", "tf", "0..1", "raw", mean and std; applied
            to those that do not know it.
        input_range: the same as a pair, such as (-1, 1).
        labels: class names in the order of the outputs, or a file with one a line, for models and a baseline without.
        fit: how pictures of another shape come to the input of models made elsewhere: "stretch" (None), "crop" or
            "pad"; applied to those that do not know it, and to a baseline that is of no run.
        trust_model: load a baseline even if that runs code from its file.
        report: HTML file to write.
        out: folder or `.json` file for the figures; None: a run folder's `bench/`, else nowhere.
        overwrite: replace existing output.
        against: the `bench.json` of another machine, to compare with.
        sustain: minutes for which the models are kept running at the end; the first and the last are compared.
        fail_if: conditions under which a model counts as failed, one or several: `"drop>1.0"`, `"latency>5ms"` (see
            `edgeclf.measure.conditions`). Nothing is raised where one does: see the report's `failed_conditions`.
        combine: how ensembles predict: "average", or "stack", a regression fitted on validation images; None: as
            recorded, else the average.
        progress: where bars are shown.

    Raises:
        InputError: a model, the data or an output cannot be used, or a condition is about what is not measured.
        MissingExtraError: the baseline or the report needs a package that is not installed.
    """
    from edgeclf.artifact.model_file import is_tflite_file
    from edgeclf.artifact.normalization import resolve_normalization

    given = resolve_normalization(normalize, input_range)
    if baseline is not None and not is_tflite_file(Path(baseline)):
        require("--baseline", "tensorflow", "tf_keras")
    if report is not None:
        require("--report", "matplotlib", "jinja2")
    from edgeclf.artifact.class_names import plain_labels
    from edgeclf.artifact.folder_lock import lock_folders
    from edgeclf.artifact.locate import list_paths
    from edgeclf.artifact.run_folder import RunFolder
    from edgeclf.measure.ensemble import StackingParts
    from edgeclf.measure.plan import BenchPlan
    from edgeclf.measure.run import HostParts, run_bench

    plan = BenchPlan(
        models=list_paths(sources, "a model"),
        data=None if data is None else str(data),
        split=split,
        baseline=None if baseline is None else str(baseline),
        threads=(threads,) if isinstance(threads, int) else tuple(threads),
        runtime=runtime,
        runs=runs,
        normalization=given,
        labels=None if labels is None else plain_labels(labels),
        fit=fit,
        trust_model=trust_model,
        sustain=sustain,
        out=None if out is None else str(out),
        report=None if report is None else str(report),
        overwrite=overwrite,
        against=None if against is None else str(against),
        fail_if=(fail_if,) if isinstance(fail_if, str) else tuple(fail_if),
        combine=combine,
    )
    host = HostParts(
        open_baseline=open_float_network if installed("tensorflow") else None,
        write_page=functools.partial(_write_page, plan) if installed("matplotlib") and installed("jinja2") else None,
        stacking=StackingParts(_fit_stacking, _cross_fit) if installed("sklearn") else None,
    )
    with extras("bench"), lock_folders(model for model in plan.models if RunFolder.is_one(model)):
        return run_bench(plan, host, progress=progress)


def open_float_network(
    path: Path, plan: BenchPlan, data: Dataset | DatasetLoader | None, progress: Progress
) -> BaselineNetwork:
    """Open a float network, after a look at what its file would run; TensorFlow is imported here."""
    from edgeclf.keras_files.loading import check_network_file

    check_network_file(path, trust_model=plan.trust_model)
    with progress.task("loading TensorFlow", None):
        from edgeclf.keras_files.baseline import open_baseline

    return open_baseline(path, plan, data, progress)


def _fit_stacking(probabilities: Probabilities, labels: IntArray) -> Stacking:
    from edgeclf.training.ensembles.stacking import fit_stacking

    return fit_stacking(probabilities, labels)


def _cross_fit(probabilities: Probabilities, labels: IntArray) -> Probabilities:
    from edgeclf.training.ensembles.stacking import cross_fit

    return cross_fit(probabilities, labels)


def _write_page(plan: BenchPlan, report: BenchReport, path: Path, images: Split | None) -> None:
    from edgeclf.report.html import write_report

    write_report(report, path, images=images, maps=_make_maps(plan, report) if report.baseline is not None else None)


def _make_maps(plan: BenchPlan, report: BenchReport) -> FlipMaps:
    """Make what draws where the float network and the models find evidence, on the images whose prediction changed."""
    from edgeclf.artifact.ensemble_folder import find_ensemble
    from edgeclf.artifact.input_fit import own_fit, run_fit
    from edgeclf.artifact.model_file import ModelFile, is_tflite_file
    from edgeclf.artifact.normalization import RAW
    from edgeclf.image.shape import STRETCH
    from edgeclf.inference.explaining import Explainer, ModelExplainer
    from edgeclf.measure.sources import find_sources
    from edgeclf.report.flip_maps import FLOAT_NETWORK, FlipMaps

    found = find_sources([name for name in plan.models if find_ensemble(name) is None]).keras_models
    baseline = Path(plan.baseline) if plan.baseline is not None else next(iter(found), None)

    # Pixels enter as they did in the measurement, which a map would else not be of; raw ones are recorded as None.
    measured = {model.path: model.normalization for model in report.models}
    of_baseline = (None if report.baseline is None else report.baseline.normalization) or RAW

    def open_baseline() -> Explainer:
        assert baseline is not None
        from edgeclf.keras_files.explaining import NetworkExplainer

        network = baseline.parent if plan.baseline is None else baseline
        given = of_baseline if plan.baseline else None
        return NetworkExplainer(network, normalization=given, trust_model=plan.trust_model)

    def open_model(path: Path) -> Explainer:
        file = ModelFile.read(path)
        own = file.provenance is not None
        explainer = ModelExplainer(file, normalize=None if own else plan.normalization, threshold=0.0)
        if explainer.knows_input_range or (found_range := measured.get(str(path))) is None:
            return explainer
        return ModelExplainer(file, normalize=found_range, threshold=0.0)

    usable = baseline is not None and not is_tflite_file(baseline)
    # the page has the pictures of the first model
    shown = report.models[0].fit or STRETCH
    fits = {model.path: model.fit or STRETCH for model in report.models}
    if usable and baseline is not None:
        fits[FLOAT_NETWORK] = plan.fit or run_fit(baseline) or own_fit(ModelFile.read(report.models[0].path)) or STRETCH
    others = {name: fit for name, fit in fits.items() if fit != shown}
    return FlipMaps(open_baseline if usable else None, open_model, others)
