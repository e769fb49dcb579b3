"""Measures accuracy, size, latency and memory of several models, paired with a float baseline."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

from edgeclf.artifact.compressed_size import gzip_size
from edgeclf.artifact.macs import count_macs, count_parameters
from edgeclf.artifact.model_file import ModelFile
from edgeclf.dataset import Dataset, Split
from edgeclf.errors import DataError
from edgeclf.image.shape import InputShape
from edgeclf.measure.accuracy import predict_split, range_rows, takes_order_of_classes
from edgeclf.measure.baseline import Baseline
from edgeclf.measure.class_order import describe_assumed_order, describe_chance, match_classes, name_predictions
from edgeclf.measure.comparison import ModelPredictions, Verdict, compare_models
from edgeclf.measure.conditions import parse_conditions
from edgeclf.measure.gate import check_classes_seen
from edgeclf.measure.latency import Latency
from edgeclf.measure.machine import Machine
from edgeclf.measure.memory import Memory
from edgeclf.measure.plan import BenchPlan
from edgeclf.measure.report import BaselineResult, BenchData, BenchReport, ModelResult
from edgeclf.measure.statistics import wilson_interval
from edgeclf.measure.stopwatch import Percentiles
from edgeclf.measure.subjects import DatasetLoader, Subject, at_size, open_subjects, split_of
from edgeclf.measure.target import FindPhotos, Local, Target
from edgeclf.progress import SILENT, Progress

PREPROCESSING_PHOTOS = 100
_USES = {
    "train": "learned from the images of this split",
    "validation": "chose its epoch, and the probabilities of its model files, by the images of this split",
}


def bench(
    plan: BenchPlan,
    files: Sequence[ModelFile],
    *,
    dataset: Dataset | DatasetLoader | None = None,
    baseline: Baseline | None = None,
    target: Target | None = None,
    notes: Sequence[str] = (),
    progress: Progress = SILENT,
) -> BenchReport:
    """Measure every model the same way, latency in turns.

    Args:
        plan: how; what it names as models, data, baseline and outputs is not read here.
        files: the models, edgeclf's own or others'.
        dataset: the images, or a function that loads them for an input, which models of different sizes or
            fits need; None leaves accuracy out.
        baseline: the float network's predictions on the same split; None leaves the differences out.
        target: the machine; None: this one.
        notes: for the report, on what was left out before.
        progress: where bars go.

    Returns:
        The report: for every model one result a thread count.

    Raises:
        DataError: a split is missing or empty, a model does not fit the data, or the baseline saw other images.
        ModelError: a model cannot be opened.
        InputError: all models know another input than the one given, or a condition is about classes and one of them
            has no images.
    """
    began = time.monotonic()
    load = at_size(dataset)
    target = target or Local(find_photos(load, plan.split))
    subjects = open_subjects(files, plan, load, used=_is_used(plan, baseline))
    if load:
        check_classes_seen(parse_conditions(plan.fail_if), load(subjects[0].shape), plan.split)
    # Accuracy first: models that do not fit the data are refused before minutes of timing.
    predictions = _predict_all(subjects, plan, load, baseline, progress)
    verdicts: tuple[Verdict, ...] = ()
    if load:
        verdicts = compare_models(
            predictions, baseline.predictions if baseline else None, baseline.names if baseline else None
        )
        pairs = zip(subjects, predictions, strict=True)
        subjects = [_note_classes(one, found, load(one.shape), progress) for one, found in pairs]
    measured = target.measure(plan, [subject.file for subject in subjects], progress)
    per_subject = len(measured.latencies) // len(subjects)
    models = [
        _result(
            subjects[index // per_subject],
            verdicts[index // per_subject] if verdicts else None,
            latency,
            memory,
            measured.preprocessing[index // per_subject],
        )
        for index, (latency, memory) in enumerate(zip(measured.latencies, measured.memories, strict=True))
    ]
    data = load(subjects[0].shape) if load else None
    remarks = [*notes, *_data_notes(data, plan.split)]
    if plan.sustain is not None and measured.sustained is None:
        remarks.append("sustained work: interrupted before every model had its turn, so there are no figures of it")
    return BenchReport(
        machine=measured.machine,
        data=_describe(data, plan.split) if data else None,
        baseline=_baseline_result(baseline, split_of(data, plan.split) if data else None),
        models=tuple(models),
        comparisons=tuple(verdict.comparison for verdict in verdicts),
        seed=plan.seed,
        notes=tuple(remarks),
        seconds=round(time.monotonic() - began, 3),
        board=measured.board,
        sustained=measured.sustained,
        interrupted=measured.interrupted,
    )


def report_without_models(plan: BenchPlan, data: Dataset | None, machine: Machine, began: float) -> BenchReport:
    """Make the report of no model file, for what is measured besides.

    Args:
        plan: how.
        data: the images; None: there are none.
        machine: as it was before.
        began: when the measurement began, seconds of `time.monotonic`.
    """
    described = None if data is None else _describe(data, plan.split)
    seconds = round(time.monotonic() - began, 3)
    return BenchReport(machine, described, None, (), (), plan.seed, seconds, notes=_data_notes(data, plan.split))


def _data_notes(data: Dataset | None, split: str) -> tuple[str, ...]:
    """Return the remarks on the images, and on what a training on the same data did with those of the split."""
    if data is None:
        return ()
    used = _USES.get(split)
    remark = f"what was trained on these data {used}, so its figures on {split} are optimistic" if used else None
    return (*data.notes, *filter(None, (data.describe_in_training(split), remark)))


def _is_used(plan: BenchPlan, baseline: Baseline | None) -> bool:
    """Return whether the baseline takes the normalization that was given."""
    given, applied = plan.normalization, None if baseline is None else baseline.normalization
    return given is not None and applied is not None and applied.agrees_with(given)


def find_photos(load: DatasetLoader | None, split: str) -> FindPhotos | None:
    """Make a function that finds up to 100 photo files of a split; None without data."""
    if load is None:
        return None

    def find(shape: InputShape) -> list[Path]:
        paths = split_of(load(shape), split).paths
        chosen = range_rows(len(paths), PREPROCESSING_PHOTOS).tolist() if paths else []
        # Named data sets come as arrays and have no files.
        return [path for path in (Path(paths[row]) for row in chosen) if path.is_file()]

    return find


def _predict_all(
    subjects: Sequence[Subject],
    plan: BenchPlan,
    load: DatasetLoader | None,
    baseline: Baseline | None,
    progress: Progress,
) -> list[ModelPredictions]:
    """Predict the split with every model; empty without data."""
    if load is None:
        return []
    return [_predict(subject, load(subject.shape), plan, baseline, progress) for subject in subjects]


def _predict(
    subject: Subject, data: Dataset, plan: BenchPlan, baseline: Baseline | None, progress: Progress
) -> ModelPredictions:
    split = split_of(data, plan.split)
    mapping = match_classes(subject.labels, subject.class_count, data)
    if baseline is not None and baseline.predictions is not None and baseline.paths != split.paths:
        raise DataError(
            f"the baseline {baseline.name} was run on other images ({len(baseline.paths):,}) than those of the split "
            f"{plan.split!r} ({len(split.paths):,}); compute it on the same data"
        )
    found = predict_split(
        subject.file, split.images, runtime=plan.runtime, normalization=subject.given, progress=progress
    )
    indices = mapping[found.indices]
    names = name_predictions(indices, found.indices, data.class_names, subject.labels)
    return ModelPredictions(
        *(subject.name, subject.path, split, tuple(data.class_names), indices, names),
        confidence=(found.shown, found.plain),
    )


def _note_classes(subject: Subject, predictions: ModelPredictions, data: Dataset, progress: Progress) -> Subject:
    """Note an assumed order of classes, and an accuracy that could be chance."""
    names = predictions.class_names
    assumed = takes_order_of_classes(subject.labels, names)
    notes = [describe_assumed_order(data)] if assumed else []
    doubt = describe_chance(
        predictions.indices,
        predictions.split.labels,
        len(names),
        assumed=assumed,
        entered=subject.input_range,
        own=subject.file.provenance is not None,
    )
    if doubt:
        progress.warn(f"{subject.name}: {doubt}")
        notes.append(doubt)
    return dataclasses.replace(subject, notes=(*subject.notes, *notes))


def _result(
    subject: Subject, verdict: Verdict | None, latency: Latency, memory: Memory, preprocessing: Percentiles | None
) -> ModelResult:
    file = subject.file
    return ModelResult(
        path=subject.path,
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
        calibration=verdict.calibration if verdict else None,
        size_bytes=len(file.content),
        gzip_bytes=gzip_size(file.content),
        parameters=count_parameters(file.graph) if file.is_tflite else None,
        macs=count_macs(file.graph) if file.is_tflite else None,
        latency_ms=latency.latency_ms,
        runs=latency.runs,
        warm_up_runs=latency.warm_up_runs,
        steady=latency.steady,
        spread=latency.spread,
        load_ms=latency.load_ms,
        preprocessing_ms=preprocessing,
        peak_memory_bytes=memory.peak_bytes,
        model_memory_bytes=memory.model_bytes,
        memory_kind=memory.kind,
        input_range=subject.input_range.pair if subject.input_range else None,
        integrity=subject.integrity,
        notes=subject.notes,
        sha256=file.sha256,
        label_source=subject.label_source,
        fit=subject.fit,
        normalization=subject.input_range.normalization if subject.input_range else None,
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
        input_range=baseline.normalization.pair if baseline.normalization else None,
        top1=top1,
        top1_interval=interval,
        latency_ms=baseline.latency_ms,
        parameters=baseline.parameters,
        size_bytes=baseline.size_bytes,
        normalization=baseline.normalization,
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
        in_training=data.count_in_training(split),
    )
