"""Holds conditions against a report of `bench`: refused before anything is measured where they cannot be decided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from edgeclf.artifact.model_file import ModelFile
from edgeclf.dataset import Dataset
from edgeclf.errors import InputError, UnknownNameError
from edgeclf.measure.conditions import OPTION, QUANTITIES, Condition, ConditionResult
from edgeclf.measure.report import BenchReport, ClassCost, Comparison, ModelResult
from edgeclf.measure.sources import find_other_run
from edgeclf.measure.statistics import Interval
from edgeclf.measure.subjects import short_names, split_of

_SHOWN = 5
Value = tuple[float | None, str | None]
"""A value, None where it was not measured, and the class that it is of, None where it is of all."""


def check_conditions(conditions: Sequence[Condition], files: Sequence[ModelFile], data: str | None, lack: str) -> None:
    """Refuse conditions about what is not going to be measured, before minutes of measuring.

    Args:
        conditions: that the report is held against.
        files: the models.
        data: the images named; None: none.
        lack: why there is no baseline; empty: there is one.

    Raises:
        InputError: a quantity needs data or a baseline, or cannot be counted in a model.
        UnknownNameError: there is no such model.
    """
    names = dict(zip(short_names(files), files, strict=True))
    for condition in conditions:
        quantity, shown = QUANTITIES[condition.quantity], f"{OPTION} {condition.text!r}"
        if quantity.needs_data and data is None:
            raise InputError(f"{shown}: {condition.quantity} needs labelled images; name them with --data")
        if quantity.needs_baseline and lack:
            raise InputError(f"{shown}: {condition.quantity} needs a float baseline; {lack}")
        concerned = _concerned(condition, names)
        if not concerned:
            raise UnknownNameError(f"model in {OPTION}", condition.model or "", names)
        for name, file in concerned.items() if condition.quantity in ("macs", "parameters") else ():
            if not file.is_tflite:
                raise InputError(f"{shown}: the {condition.quantity} of {name} are counted in .tflite files alone")


def check_own_baseline(conditions: Sequence[Condition], files: Sequence[ModelFile], baseline: Path) -> None:
    """Refuse conditions on what compression cost a model of one run where the baseline is the network of another.

    Args:
        conditions: that the report is held against.
        files: the models.
        baseline: the network that was taken, since none was named.

    Raises:
        InputError: a model that a condition is about is of another run.
    """
    names = dict(zip(short_names(files), files, strict=True))
    for condition in conditions:
        if not QUANTITIES[condition.quantity].needs_baseline:
            continue
        for name, file in _concerned(condition, names).items():
            run = None if file.path is None else find_other_run(file.path, baseline)
            if run is not None:
                raise InputError(
                    f"{OPTION} {condition.text!r}: {name} is of the run {run.path}, and {baseline} is the network of "
                    "another; measure one run at a time, or name the network with --baseline"
                )


def check_classes_seen(conditions: Sequence[Condition], dataset: Dataset, split: str) -> None:
    """Refuse conditions about classes where a class has no images in the split.

    Raises:
        InputError: one has none.
    """
    counts = np.bincount(split_of(dataset, split).labels, minlength=len(dataset.class_names))
    empty = [name for name, count in zip(dataset.class_names, counts.tolist(), strict=True) if not count]
    for condition in conditions:
        if condition.quantity in ("class_drop", "class_top1") and empty:
            more = f" and {len(empty) - _SHOWN} more" if len(empty) > _SHOWN else ""
            named = f"{'class' if len(empty) == 1 else 'classes'} {', '.join(map(repr, empty[:_SHOWN]))}{more}"
            raise InputError(
                f"{OPTION} {condition.text!r}: {condition.quantity} needs images of each class; the images measured "
                f"hold none of {named}"
            )


def hold_conditions(report: BenchReport, conditions: Sequence[Condition]) -> tuple[ConditionResult, ...]:
    """Hold each condition against each model that it is about, at each thread count where that matters.

    Raises:
        InputError: a quantity was not measured.
    """
    return tuple(_hold(condition, model, report) for condition in conditions for model in _models(condition, report))


def _models(condition: Condition, report: BenchReport) -> Iterator[ModelResult]:
    timed, seen = QUANTITIES[condition.quantity].at_threads, set[str]()
    for model in report.models:
        if _is_about(condition, model.name, model.path) and (timed or model.name not in seen):
            seen.add(model.name)
            yield model


def _concerned(condition: Condition, names: Mapping[str, ModelFile]) -> dict[str, ModelFile]:
    """Return the models, by name, that a condition is about."""
    return {name: file for name, file in names.items() if _is_about(condition, name, str(file.path or file.name))}


def _is_about(condition: Condition, name: str, path: str) -> bool:
    return condition.model in (None, name, path, path.replace("\\", "/").rpartition("/")[2])


def _hold(condition: Condition, model: ModelResult, report: BenchReport) -> ConditionResult:
    value, label = _read(condition, model, report.comparison(model.name))
    if value is None:
        raise InputError(f"{OPTION} {condition.text!r}: {condition.quantity} of {model.name} was not measured")
    return ConditionResult(
        condition=condition.text,
        model=model.name,
        threads=model.threads if QUANTITIES[condition.quantity].at_threads else None,
        value=value,
        limit=condition.limit,
        label=label,
        failed=condition.is_met(value),
    )


def _read(condition: Condition, model: ModelResult, comparison: Comparison | None) -> Value:
    """Return what a condition is about."""
    costs = () if comparison is None else comparison.per_class
    name = condition.quantity
    if name == "drop":
        return _drop(model.difference, model.difference_interval, condition.end), None
    if name == "class_drop":
        drops = [(_drop(c.difference, c.difference_interval, condition.end), c.label) for c in costs]
        return max(((drop, label) for drop, label in drops if drop is not None), default=(None, None), key=_first)
    if name == "class_top1":
        return min(((c.top1, c.label) for c in costs if c.top1 is not None), default=(None, None), key=_first)
    if name == "top1" and condition.end is not None:
        low, high = model.top1_interval or (None, None)
        return (low if condition.end == "lower" else high), None
    if name == "flipped":
        return _flipped(costs, comparison), None
    figures = {
        "top1": model.top1,
        "latency": model.latency_ms.median,
        "p90": model.latency_ms.p90,
        "p99": model.latency_ms.p99,
        "load": model.load_ms,
        "size": model.size_bytes,
        "gzip": model.gzip_bytes,
        "memory": model.peak_memory_bytes,
        "parameters": model.parameters,
        "macs": model.macs,
    }
    return figures[name], None


def _drop(difference: float | None, interval: Interval | None, end: str | None) -> float | None:
    """Return a loss: the difference with its sign turned, so that the upper end is minus the lower one."""
    if difference is None or interval is None:
        return None
    return 0.0 - {None: difference, "upper": interval[0], "lower": interval[1]}[end]


def _flipped(costs: Sequence[ClassCost], comparison: Comparison | None) -> float | None:
    images = sum(cost.images for cost in costs)
    paired = any(cost.difference is not None for cost in costs)
    return len(comparison.flips) / images if comparison is not None and paired else None


def _first(pair: tuple[float | None, str | None]) -> float:
    return pair[0] or 0.0
