"""`bench`: accuracy, size, latency and memory of several models on one machine, paired with a float baseline."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.inspection import inspect
from edgeclf.dataset import Dataset, Split
from edgeclf.errors import DataError, InputError, UnknownNameError
from edgeclf.measure.accuracy import class_indices, predict_split
from edgeclf.measure.baseline import Baseline
from edgeclf.measure.bench_report import BaselineResult, BenchData, BenchReport, Comparison, ModelResult
from edgeclf.measure.comparison import compare
from edgeclf.measure.latency import Latency, Percentiles, measure_latency, preprocessing_latency
from edgeclf.measure.machine import describe_machine
from edgeclf.measure.memory import Memory, measure_memory
from edgeclf.measure.statistics import bootstrap_interval, discordant, mcnemar_p, paired_difference, wilson_interval
from edgeclf.progress import SILENT, Progress
from edgeclf.runtime.classifier import Classifier

DatasetLoader = Callable[[int, int], Dataset]
"""Gives the same data at another image size: (height, width) -> Dataset."""

PREPROCESSING_PHOTOS = 100


@dataclass(frozen=True)
class _Subject:
    path: Path
    name: str
    height: int
    width: int
    labels: tuple[str, ...]
    class_count: int
    runtime: str
    runtime_version: str


@dataclass(frozen=True)
class _Accuracy:
    right: npt.NDArray[np.bool_]
    comparison: Comparison


def bench(
    sources: Sequence[Path | str],
    *,
    dataset: Dataset | DatasetLoader | None = None,
    split: str = "test",
    baseline: Baseline | None = None,
    threads: Sequence[int] = (1,),
    runtime: str = "litert",
    runs: int | None = None,
    input_range: tuple[float, float] | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> BenchReport:
    """Measure every model the same way, latency in turns.

    Args:
        sources: `.tflite` files, edgeclf's own or others'.
        dataset: the images, or a function that gives them at a wanted (height, width), which models of different sizes
            need; None leaves accuracy out.
        split: which of its splits.
        baseline: the float network's answers on the same split; None leaves the differences out.
        threads: thread counts to time.
        runtime: name of the runtime, for everything.
        runs: timed calls of each model and thread count; None decides by the model's speed.
        input_range: what third-party networks want to see; None lets the classifier decide.
        seed: of the bootstrap and of the order in which models take turns.
        progress: is told.

    Returns:
        The report: for every model one result a thread count.

    Raises:
        DataError: a split is missing or empty, a model does not fit the data, or the baseline answered other images.
        ModelError: a model cannot be opened.
        InputError: a count is out of range, or there is no model.
    """
    began = time.monotonic()
    if not sources:
        raise InputError("bench needs at least one model, got none")
    machine = describe_machine()
    subjects = _open_all([Path(source) for source in sources], runtime, input_range)
    load = _loader(dataset)
    # Accuracy first: models that do not fit the data are refused before minutes of timing.
    accuracies = [_judge(s, load, split, baseline, runtime, input_range, seed, progress) for s in subjects]
    pre_processing = {
        size: _time_photos(load, split, size, progress) for size in dict.fromkeys((s.height, s.width) for s in subjects)
    }
    latencies = measure_latency(
        [s.path for s in subjects], threads=threads, runtime=runtime, runs=runs, seed=seed, progress=progress
    )
    per_subject = len(latencies) // len(subjects)
    models: list[ModelResult] = []
    with progress.task("measuring memory", len(latencies)) as task:
        for index, latency in enumerate(latencies):
            subject, accuracy = subjects[index // per_subject], accuracies[index // per_subject]
            memory = measure_memory(subject.path, runtime=runtime, threads=latency.threads)
            photos = pre_processing[subject.height, subject.width]
            models.append(_result(subject, accuracy, baseline, load, split, latency, memory, photos, seed))
            task.advance(note=subject.name)
    size = (subjects[0].height, subjects[0].width)
    return BenchReport(
        machine=machine,
        data=_describe(load(*size), split) if load else None,
        baseline=_baseline_result(baseline, _split(load(*size), split) if load else None),
        models=tuple(models),
        comparisons=tuple(a.comparison for a in accuracies if a),
        seed=seed,
        seconds=round(time.monotonic() - began, 3),
    )


def _open_all(paths: list[Path], runtime: str, input_range: tuple[float, float] | None) -> list[_Subject]:
    unique = list({path.resolve(): path for path in paths}.values())
    subjects = []
    for path, name in zip(unique, _short_names(unique), strict=True):
        one = Classifier(path, runtime=runtime, threads=1, input_range=input_range)
        subjects.append(
            _Subject(path, name, one.height, one.width, tuple(one.labels or ()), one.class_count, one.runtime, "")
        )
    return subjects


def _short_names(paths: list[Path]) -> list[str]:
    """File names without suffix; those that two files share get their folder in front."""
    stems = [path.stem for path in paths]
    return [
        stem if stems.count(stem) == 1 else f"{path.resolve().parent.name}/{stem}"
        for path, stem in zip(paths, stems, strict=True)
    ]


def _loader(dataset: Dataset | DatasetLoader | None) -> DatasetLoader | None:
    if dataset is None:
        return None
    given: dict[tuple[int, int], Dataset] = {}

    def load(height: int, width: int) -> Dataset:
        if (height, width) not in given:
            if not isinstance(dataset, Dataset):
                given[height, width] = dataset(height, width)
            elif (dataset.height, dataset.width) == (height, width):
                given[height, width] = dataset
            else:
                raise DataError(
                    f"a model takes images of {width}x{height} pixels, but the data was loaded at "
                    f"{dataset.width}x{dataset.height}"
                )
        return given[height, width]

    return load


def _split(data: Dataset, split: str) -> Split:
    if split not in data.splits:
        raise UnknownNameError("split", split, data.splits)
    found = data.splits[split]
    if not len(found.labels):
        raise DataError(f"{data.source}: the split {split!r} holds no image")
    return found


def _judge(
    subject: _Subject,
    load: DatasetLoader | None,
    split: str,
    baseline: Baseline | None,
    runtime: str,
    input_range: tuple[float, float] | None,
    seed: int,
    progress: Progress,
) -> _Accuracy | None:
    if load is None:
        return None
    data = load(subject.height, subject.width)
    images = _split(data, split)
    mapping = class_indices(subject.labels, subject.class_count, data.class_names)
    if baseline is not None and baseline.predictions is not None and baseline.paths != images.paths:
        raise DataError(
            f"the baseline {baseline.name} answered other images ({len(baseline.paths):,}) than those of the split "
            f"{split!r} ({len(images.paths):,}); compute it on the same data"
        )
    answers = predict_split(subject.path, images.images, runtime=runtime, input_range=input_range, progress=progress)
    indices = mapping[answers]
    own = subject.labels or tuple(map(str, range(subject.class_count)))
    names = [data.class_names[k] if k >= 0 else own[a] for k, a in zip(indices, answers, strict=True)]
    return _Accuracy(
        right=indices == images.labels,
        comparison=compare(
            subject.name, subject.path, images, data.class_names, indices, names,
            baseline.predictions if baseline else None, seed,
        ),
    )  # fmt: skip


def _time_photos(
    load: DatasetLoader | None, split: str, size: tuple[int, int], progress: Progress
) -> Percentiles | None:
    if load is None:
        return None
    data = load(*size)
    paths = _split(data, split).paths
    step = max(1, len(paths) // PREPROCESSING_PHOTOS)
    candidates = map(Path, paths[::step][:PREPROCESSING_PHOTOS])
    # Named data sets come as arrays and have no files.
    return preprocessing_latency([p for p in candidates if p.is_file()], *size, progress=progress)


def _result(
    subject: _Subject,
    accuracy: _Accuracy | None,
    baseline: Baseline | None,
    load: DatasetLoader | None,
    split: str,
    latency: Latency,
    memory: Memory,
    photos: Percentiles | None,
    seed: int,
) -> ModelResult:
    content = subject.path.read_bytes()
    looked = inspect(subject.path)
    right = accuracy.right if accuracy else None
    before: npt.NDArray[np.bool_] | None = None
    if right is not None and load is not None and baseline is not None and baseline.predictions is not None:
        before = baseline.predictions == _split(load(subject.height, subject.width), split).labels
    paired = right is not None and before is not None
    return ModelResult(
        path=str(subject.path),
        name=subject.name,
        runtime=subject.runtime,
        runtime_version=subject.runtime_version,
        threads=latency.threads,
        input_size=(subject.height, subject.width),
        top1=float(right.mean()) if right is not None else None,
        top1_interval=wilson_interval(int(right.sum()), len(right)) if right is not None else None,
        difference=paired_difference(before, right) if paired else None,
        difference_interval=bootstrap_interval(before, right, seed=seed) if paired else None,
        p_value=mcnemar_p(*discordant(before, right)) if paired else None,
        size_bytes=len(content),
        gzip_bytes=len(gzip.compress(content, compresslevel=9, mtime=0)),
        parameters=looked.parameters,
        macs=looked.macs,
        latency_ms=latency.latency_ms,
        runs=latency.runs,
        warm_up_runs=latency.warm_up_runs,
        steady=latency.steady,
        spread=latency.spread,
        load_ms=latency.load_ms,
        preprocessing_ms=photos,
        peak_memory_bytes=memory.peak_bytes,
        model_memory_bytes=memory.model_bytes,
        memory_kind=memory.kind,
        integrity=looked.integrity,
    )


def _baseline_result(baseline: Baseline | None, images: Split | None) -> BaselineResult | None:
    if baseline is None:
        return None
    top1, interval = None, None
    if images is not None and baseline.predictions is not None:
        right = baseline.predictions == images.labels
        top1, interval = float(right.mean()), wilson_interval(int(right.sum()), len(right))
    return BaselineResult(
        name=baseline.name,
        device=baseline.device,
        top1=top1,
        top1_interval=interval,
        latency_ms=baseline.latency_ms,
        parameters=baseline.parameters,
        size_bytes=baseline.size_bytes,
    )


def _describe(data: Dataset, split: str) -> BenchData:
    return BenchData(
        name=data.name,
        source=str(data.source),
        split=split,
        images=len(data.splits[split].labels),
        class_names=tuple(data.class_names),
        fingerprint=data.fingerprint,
        split_seed=data.split_seed,
    )
