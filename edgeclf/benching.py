"""`bench` from end to end: what to measure, against what, on which images, and where the results go."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeclf.artifact.run_folder import RunFolder
from edgeclf.atomic import check_writable
from edgeclf.dataset import Dataset, load_dataset
from edgeclf.dataset.splitting import SPLIT_SEED
from edgeclf.errors import OutputError
from edgeclf.extras import installed
from edgeclf.inference.engine import find_engine
from edgeclf.measure.against import check_against, put_beside
from edgeclf.measure.baseline import Baseline
from edgeclf.measure.bench import bench
from edgeclf.measure.bench_report import BenchReport, load_report, save_report
from edgeclf.measure.sources import BenchSources, find_sources
from edgeclf.progress import Progress

Loader = Callable[[int, int], Dataset]


@dataclass(frozen=True)
class Places:
    """Where `bench.json` and `report.html` go; None: nowhere."""

    json: Path | None
    html: Path | None


def run_bench(
    sources: Sequence[str | Path],
    *,
    data: str | Path | None,
    split: str,
    baseline: str | Path | None,
    threads: Sequence[int],
    runtime: str,
    runs: int | None,
    input_range: tuple[float, float] | None,
    trust_model: bool,
    report: Path | None,
    out: Path | None,
    overwrite: bool,
    against: Path | None,
    sustain: float | None,
    progress: Progress,
) -> BenchReport:
    """Measure `sources` and write what was asked for; see `edgeclf.bench` for the arguments."""
    found = find_sources(sources)
    places = find_places(found.run_folders, out=out, report=report, overwrite=overwrite)
    other = None
    if against is not None:
        other = load_report(against)
        check_against(other, against, found.models)
    load = None if data is None else _loader(data, found, progress)
    find_engine(runtime)
    compared, notes = _baseline(baseline, found, load, split, input_range, trust_model, progress)
    measured = bench(
        found.models,
        dataset=load,
        split=split,
        baseline=compared,
        threads=threads,
        runtime=runtime,
        runs=runs,
        input_range=input_range,
        sustain=sustain,
        notes=notes,
        progress=progress,
    )
    if other is not None and against is not None:
        measured = replace(measured, against=put_beside(measured, other, against))
    if places.json is not None:
        save_report(measured, places.json)
        progress.say(f"wrote {places.json}")
    if places.html is not None:
        from edgeclf.report.html import write_report

        images = None if load is None else load(*measured.models[0].input_size).splits[split]
        write_report(measured, places.html, images=images)
        progress.say(f"wrote {places.html}")
    return measured


def find_places(run_folders: Sequence[Path], *, out: Path | None, report: Path | None, overwrite: bool) -> Places:
    """Where results go, checked before anything is measured.

    A run folder keeps its results in `bench/`, under the next free number where there are some already. Elsewhere
    nothing is written unless `out` or `report` says so.

    Raises:
        OutputError: a named file exists and `overwrite` is not given, or its folder cannot be written.
    """
    json, html = out, report
    if out is not None and out.suffix != ".json":
        json = out / "bench.json"
    elif out is None and run_folders:
        folder = run_folders[0] / "bench"
        number = 1
        while not overwrite and any((folder / _numbered(n, number)).exists() for n in ("bench.json", "report.html")):
            number += 1
        json = folder / _numbered("bench.json", number)
        if report is None and installed("matplotlib") and installed("jinja2"):
            html = folder / _numbered("report.html", number)
    for path, argument in ((json, "--out"), (html, "--report")):
        if path is None:
            continue
        if path.is_dir():
            raise OutputError(f"{path} is a folder; {argument} takes a file")
        if path.exists() and not overwrite:
            raise OutputError(f"{path} exists; choose another {argument}, or replace it with --overwrite")
        check_writable(path.parent)
    return Places(json, html)


def _numbered(name: str, number: int) -> str:
    stem, _, suffix = name.partition(".")
    return name if number == 1 else f"{stem}-{number}.{suffix}"


def _loader(data: str | Path, found: BenchSources, progress: Progress) -> Loader:
    # Images that a run trained on must not be judged: its own split is used, whatever edgeclf's default has become.
    seed = SPLIT_SEED
    if found.run_folders:
        seed = (RunFolder(found.run_folders[0]).run_json.get("data") or {}).get("split_seed", SPLIT_SEED)

    @functools.cache
    def load(height: int, width: int) -> Dataset:
        return load_dataset(data, image_size=(height, width), split_seed=seed, progress=progress)

    return load


def _baseline(
    named: str | Path | None,
    found: BenchSources,
    load: Loader | None,
    split: str,
    input_range: tuple[float, float] | None,
    trust_model: bool,
    progress: Progress,
) -> tuple[Baseline | None, tuple[str, ...]]:
    path = Path(named) if named is not None else next(iter(found.keras_models), None)
    if path is None:
        return None, ()
    if named is None and not installed("tensorflow"):
        note = f'{path}: not compared with, for TensorFlow is not installed; run: pip install "edgeclf[train]"'
        return None, (note,)
    with progress.task("loading TensorFlow", None):
        from edgeclf.compression.baseline import float_baseline

    compared = float_baseline(
        path,
        dataset=load,
        split=split,
        class_names=_class_names(path),
        input_range=input_range,
        trust=trust_model,
        progress=progress,
    )
    return compared, ()


def _class_names(path: Path) -> tuple[str, ...] | None:
    """What the outputs of a run folder's network mean; None for a network from elsewhere."""
    folder = path if path.is_dir() else path.parent
    if not RunFolder.is_one(folder):
        return None
    names = (RunFolder(folder).run_json.get("data") or {}).get("class_names")
    return tuple(names) if names else None
