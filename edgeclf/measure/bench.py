"""`bench`: accuracy, size, latency and memory of several models on one machine, paired with a float baseline."""

from __future__ import annotations

import gzip
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

from edgeclf.artifact.inspection import inspect
from edgeclf.dataset import Dataset, Split
from edgeclf.errors import DataError, InputError
from edgeclf.measure.accuracy import class_indices, predict_split
from edgeclf.measure.baseline import Baseline
from edgeclf.measure.bench_report import BaselineResult, BenchData, BenchReport, BoardReadings, ModelResult
from edgeclf.measure.board import read_board
from edgeclf.measure.comparison import Verdict, compare, judge
from edgeclf.measure.latency import Latency, Percentiles, measure_latency, preprocessing_latency
from edgeclf.measure.machine import describe_machine
from edgeclf.measure.memory import Memory, measure_memory
from edgeclf.measure.statistics import wilson_interval
from edgeclf.measure.subjects import DatasetLoader, Subject, at_size, open_subjects, split_of
from edgeclf.measure.sustained import Sustained, check_minutes, measure_sustained
from edgeclf.progress import SILENT, Progress

PREPROCESSING_PHOTOS = 100


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
    sustain: float | None = None,
    seed: int = 0,
    notes: Sequence[str] = (),
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
        input_range: what pixel values 0 and 255 become, for models with float inputs that edgeclf did not make; None
            lets the file decide, or a measurement on images of the split.
        sustain: minutes for which the models are kept running at the end, to see what heat does; Ctrl-C ends that
            early.
        seed: of the bootstrap and of the order in which models take turns.
        notes: for the report, on what was left out before.
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
    if sustain is not None:
        check_minutes(sustain)
    machine, before = describe_machine(), read_board()
    load = at_size(dataset)
    subjects = open_subjects([Path(source) for source in sources], runtime, input_range, load, split)
    # Accuracy first: models that do not fit the data are refused before minutes of timing.
    verdicts = [_judge(s, load, split, baseline, runtime, seed, progress) for s in subjects]
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
            subject, verdict = subjects[index // per_subject], verdicts[index // per_subject]
            memory = measure_memory(subject.path, runtime=runtime, threads=latency.threads)
            photos = pre_processing[subject.height, subject.width]
            models.append(_result(subject, verdict, latency, memory, photos))
            task.advance(note=subject.name)
    size = (subjects[0].height, subjects[0].width)
    sustained, told = _sustain(models, sustain, runtime, progress)
    return BenchReport(
        machine=machine,
        data=_describe(load(*size), split) if load else None,
        baseline=_baseline_result(baseline, split_of(load(*size), split) if load else None),
        models=tuple(models),
        comparisons=tuple(verdict.comparison for verdict in verdicts if verdict),
        seed=seed,
        notes=(*notes, *told),
        seconds=round(time.monotonic() - began, 3),
        board=BoardReadings(before, read_board()) if before.tells_anything() else None,
        sustained=sustained,
        interrupted=sustain is not None and (sustained is None or sustained.interrupted),
    )


def _sustain(
    models: Sequence[ModelResult], minutes: float | None, runtime: str, progress: Progress
) -> tuple[Sustained | None, tuple[str, ...]]:
    if minutes is None:
        return None, ()
    at_work = [(model.name, Path(model.path), model.threads) for model in models]
    sustained = measure_sustained(at_work, minutes, runtime=runtime, progress=progress)
    if sustained is None:
        return None, ("sustained work: interrupted before every model had its turn, so nothing is told about it",)
    return sustained, ()


def _judge(
    subject: Subject,
    load: DatasetLoader | None,
    split: str,
    baseline: Baseline | None,
    runtime: str,
    seed: int,
    progress: Progress,
) -> Verdict | None:
    if load is None:
        return None
    data = load(subject.height, subject.width)
    images = split_of(data, split)
    mapping = class_indices(subject.labels, subject.class_count, data.class_names)
    if baseline is not None and baseline.predictions is not None and baseline.paths != images.paths:
        raise DataError(
            f"the baseline {baseline.name} answered other images ({len(baseline.paths):,}) than those of the split "
            f"{split!r} ({len(images.paths):,}); compute it on the same data"
        )
    answers = predict_split(
        subject.path, images.images, runtime=runtime, input_range=subject.imposed_range, progress=progress
    )
    indices = mapping[answers]
    names = [data.class_names[k] if k >= 0 else subject.labels[a] for k, a in zip(indices, answers, strict=True)]
    before = baseline.predictions if baseline else None
    comparison = compare(subject.name, subject.path, images, data.class_names, indices, names, before, seed)
    return judge(comparison, indices, images.labels, before, seed)


def _time_photos(
    load: DatasetLoader | None, split: str, size: tuple[int, int], progress: Progress
) -> Percentiles | None:
    if load is None:
        return None
    data = load(*size)
    paths = split_of(data, split).paths
    step = max(1, len(paths) // PREPROCESSING_PHOTOS)
    candidates = map(Path, paths[::step][:PREPROCESSING_PHOTOS])
    # Named data sets come as arrays and have no files.
    return preprocessing_latency([p for p in candidates if p.is_file()], *size, progress=progress)


def _result(
    subject: Subject, verdict: Verdict | None, latency: Latency, memory: Memory, photos: Percentiles | None
) -> ModelResult:
    content = subject.path.read_bytes()
    looked = inspect(subject.path)
    return ModelResult(
        path=str(subject.path),
        name=subject.name,
        runtime=subject.runtime,
        runtime_version=subject.runtime_version,
        threads=latency.threads,
        input_size=(subject.height, subject.width),
        top1=verdict.top1 if verdict else None,
        top1_interval=verdict.top1_interval if verdict else None,
        difference=verdict.difference if verdict else None,
        difference_interval=verdict.difference_interval if verdict else None,
        p_value=verdict.p_value if verdict else None,
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
        input_range=subject.input_range,
        integrity=subject.integrity,
        notes=subject.notes,
        sha256=hashlib.sha256(content).hexdigest(),
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
        threads=baseline.threads,
        input_range=baseline.input_range,
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
