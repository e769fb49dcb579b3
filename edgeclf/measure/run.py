"""Runs `bench` from end to end: what to measure, compared with what, on which images, and where the results go."""

from __future__ import annotations

import functools
import os
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeclf.artifact.ensemble_folder import EnsembleSource, find_ensemble
from edgeclf.artifact.input_fit import own_fit, run_fit
from edgeclf.artifact.model_file import ModelFile, is_tflite_file
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.dataset import ALL, NAMED, Dataset, Split, check_classes, list_source, load_dataset
from edgeclf.dataset.sources import display
from edgeclf.dataset.splitting import SPLIT_SEED
from edgeclf.dataset.used_images import read_used
from edgeclf.image.shape import STRETCH, InputShape
from edgeclf.inference.engine import find_engine
from edgeclf.measure.baseline import Baseline, OpenBaseline, measure_baseline
from edgeclf.measure.bench import bench, find_photos, report_without_models
from edgeclf.measure.conditions import parse_conditions
from edgeclf.measure.ensemble import EnsembleParts, StackingParts, check_ensemble_plan, measure_ensemble
from edgeclf.measure.gate import check_conditions, check_own_baseline, hold_conditions
from edgeclf.measure.machine import describe_machine
from edgeclf.measure.outputs import Written, find_outputs
from edgeclf.measure.plan import BenchPlan
from edgeclf.measure.report import BenchReport, ModelResult
from edgeclf.measure.report_comparison import check_comparable, compare_reports
from edgeclf.measure.report_file import load_report, save_report
from edgeclf.measure.sources import BenchSources, find_other_run, find_sources
from edgeclf.measure.subjects import DatasetLoader
from edgeclf.measure.target import Local, Target
from edgeclf.measure.tflite_baseline import open_tflite_baseline
from edgeclf.measure.unseen_images import UnseenImages, find_runs
from edgeclf.progress import SILENT, Progress

NOT_COMPARED = "not compared with"
"""In a note on a float network that was left out as the baseline."""
NO_TENSORFLOW = 'TensorFlow is not installed; run: pip install "edgeclf[train]"'


@dataclass(frozen=True)
class HostParts:
    """What `bench` takes from the host side, which measuring itself never imports.

    Attributes:
        open_baseline: opens a float network; None where TensorFlow is not installed.
        write_page: writes the HTML page, with the split that was measured; None where its packages are not installed.
        stacking: fits how the members of an ensemble are combined; None where scikit-learn is not installed.
    """

    open_baseline: OpenBaseline | None = None
    write_page: Callable[[BenchReport, Path, Split | None], object] | None = None
    stacking: StackingParts | None = None


def run_bench(
    plan: BenchPlan,
    host: HostParts | None = None,
    *,
    target: Target | None = None,
    progress: Progress = SILENT,
) -> BenchReport:
    """Measure what `plan` names, and write what it asks for.

    Args:
        plan: what to do.
        host: what to take from the host side; None: neither a baseline nor a page.
        target: the machine; None: this one.
        progress: where bars and remarks go.

    Raises:
        InputError: a model, the data or an output cannot be used.
    """
    began, host = time.monotonic(), host or HostParts()
    conditions = parse_conditions(plan.fail_if)
    ensembles, singles = _find_ensembles(plan)
    found = find_sources(singles)
    check_ensemble_plan(plan, ensembles, len(found.models))
    outputs = find_outputs(plan, found.run_folders, page=host.write_page is not None)
    files = [ModelFile.read(path) for path in found.models]
    check_conditions(conditions, files, plan.data, _find_lack(plan, found, host))
    if plan.baseline is None and found.keras_models:
        check_own_baseline(conditions, files, found.keras_models[0])
    other = None
    if plan.against is not None:
        other = load_report(plan.against)
        check_comparable(other, plan.against, files)
    load = None if plan.data is None else _loader(plan, plan.data, found, _members(ensembles), progress)
    find_engine(plan.runtime)
    # before the ensembles work, whose load is not another program's
    if files:
        target = target or Local(find_photos(load, plan.split))
    else:
        machine = describe_machine()
    parts = EnsembleParts(host.open_baseline, host.stacking)
    together = tuple(measure_ensemble(one, plan, load, parts, progress) for one in ensembles)
    if files:
        baseline, notes = _baseline(plan, found, files, load, host, progress)
        notes = (*_own_data(plan, found), *notes)
        report = bench(plan, files, dataset=load, baseline=baseline, target=target, notes=notes, progress=progress)
    else:
        first = together[0].members[0]
        data = None if load is None else load(InputShape(*first.input_size, first.fit))
        report = report_without_models(plan, data, machine, began)
    report = replace(report, ensembles=together)
    if other is not None and plan.against is not None:
        report = replace(report, against=compare_reports(report, other, plan.against))
    report = replace(report, conditions=hold_conditions(report, conditions))

    def save(path: Path, written: Written) -> None:
        save_report(replace(report, written=written), path)

    return replace(report, written=outputs.write(save, _page_writer(plan, report, load, host)))


def _page_writer(
    plan: BenchPlan, report: BenchReport, load: DatasetLoader | None, host: HostParts
) -> Callable[[Path], object] | None:
    write_page = host.write_page
    if write_page is None:
        return None

    def write(path: Path) -> None:
        images = None if load is None else load(_shape(report.models[0])).splits[plan.split]
        write_page(report, path, images)

    return write


def _find_ensembles(plan: BenchPlan) -> tuple[tuple[EnsembleSource, ...], tuple[str, ...]]:
    """Return the ensembles that are named, and what else is."""
    found = {model: find_ensemble(model) for model in plan.models}
    return tuple(one for one in found.values() if one), tuple(model for model in plan.models if not found[model])


def _members(ensembles: Sequence[EnsembleSource]) -> list[Path]:
    return [path for one in ensembles for path in one.members]


def _find_lack(plan: BenchPlan, found: BenchSources, host: HostParts) -> str:
    """Return why there will be no baseline, and what helps; empty where there will be one."""
    if plan.baseline is None and not found.keras_models:
        return "name one with --baseline"
    if plan.baseline is not None and is_tflite_file(Path(plan.baseline)):
        return ""
    return "" if host.open_baseline is not None else NO_TENSORFLOW


def _loader(
    plan: BenchPlan, data: str, found: BenchSources, members: Sequence[Path], progress: Progress
) -> DatasetLoader:
    folders = [*found.run_folders, *filter(RunFolder.is_one, members)]
    baseline = [] if plan.baseline is None else [Path(plan.baseline)]
    files = [*found.models, *baseline, *(path for path in members if not RunFolder.is_one(path))]
    # Images that a run trained on must not be scored: its own split is used, whatever edgeclf's default has become.
    seed = SPLIT_SEED
    if folders:
        seed = (RunFolder(folders[0]).run_json.get("data") or {}).get("split_seed", SPLIT_SEED)
    listing = list_source(data, progress)
    check_classes(listing)
    unseen = UnseenImages(listing, folders, files) if plan.split == ALL else None
    # what a run has seen of other data, too, as where its photos were sorted anew since
    used, doubts = read_used([] if plan.split == ALL else find_runs(folders, files).values())

    @functools.cache
    def load(shape: InputShape) -> Dataset:
        if unseen is not None:
            return unseen.load(shape, progress)
        data = load_dataset(listing, image_size=shape.size, fit=shape.fit, split_seed=seed, progress=progress)
        return replace(data, used=used, notes=(*data.notes, *doubts))

    return load


def _own_data(plan: BenchPlan, found: BenchSources) -> tuple[str, ...]:
    """Return a note on the photos of a run that is measured without any: accuracy is never measured unasked."""
    if plan.data is not None or not found.run_folders:
        return ()
    run = RunFolder(found.run_folders[0])
    data = run.run_json.get("data") or {}
    source = data.get("source")
    if not isinstance(source, str) or "test" not in (data.get("splits") or ()):
        return ()
    if source not in NAMED and not os.path.exists(source):
        return ()
    named = display(source)
    return (f"{run.path.name} was trained on {named}: --data {shlex.quote(named)} measures its test split",)


def _shape(result: ModelResult) -> InputShape:
    return InputShape(*result.input_size, result.fit or STRETCH)


def _baseline(
    plan: BenchPlan,
    found: BenchSources,
    files: Sequence[ModelFile],
    load: DatasetLoader | None,
    host: HostParts,
    progress: Progress,
) -> tuple[Baseline | None, tuple[str, ...]]:
    path = Path(plan.baseline) if plan.baseline is not None else next(iter(found.keras_models), None)
    if path is None:
        return None, ()
    tflite = is_tflite_file(path)
    if host.open_baseline is None and not tflite:
        return None, (f"{path}: {NOT_COMPARED}: {NO_TENSORFLOW}",)
    given = plan.fit or run_fit(path)
    # A network that states none is taken for the one that the first model was made of.
    fit = given or own_fit(files[0])
    if tflite:
        network = open_tflite_baseline(path, replace(plan, fit=fit), load)
    else:
        assert host.open_baseline is not None
        network = host.open_baseline(path, replace(plan, fit=fit), load, progress)
    if given is None and fit not in (None, STRETCH):
        note = f"float baseline: pictures enter it by the fit {fit}, as they enter {files[0].name}: assumed"
        network = replace(network, notes=(*network.notes, note))
    baseline = measure_baseline(network, dataset=load, split=plan.split, progress=progress)
    others = () if plan.baseline is not None or load is None else _describe_other_runs(path, found.models)
    return baseline, (*baseline.notes, *others)


def _describe_other_runs(baseline: Path, models: Sequence[Path]) -> tuple[str, ...]:
    """Describe in a line the runs whose models are not compared with their own network; empty: there are none."""
    runs = [run for run in (find_other_run(model, baseline) for model in models) if run is not None]
    others = dict.fromkeys(run.name for run in runs)
    if not others:
        return ()
    return (
        f"models of {', '.join(others)} are compared with {baseline}, the network of another training: their "
        "differences are not what compression costs",
    )
