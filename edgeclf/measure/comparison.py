"""Scores models, and lists where they and the baseline disagree: by class and by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeclf.dataset import Split
from edgeclf.measure.calibration import CalibrationResult, measure_calibration
from edgeclf.measure.changes import count_flips
from edgeclf.measure.class_order import OTHER
from edgeclf.measure.paired_interval import difference_interval
from edgeclf.measure.report import ClassCost, Comparison, Flip
from edgeclf.measure.statistics import (
    discordant,
    holm,
    holm_levels,
    mcnemar_p,
    paired_difference,
    wilson_interval,
)

CONFUSION_CLASSES = 100
"""Classes up to which a report has a confusion matrix: that of more would be most of the file."""

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ModelPredictions:
    """What a model predicts on a split.

    Attributes:
        name: of the model in the report.
        path: of its file.
        split: the images predicted.
        class_names: of the data.
        indices: int64[N], into `class_names`, -1 for a class that the data does not have.
        names: the same as names, N of them.
        confidence: probabilities of these classes, float32[N] each: as `predict` shows them, and of the model's own
            output; None: they are not known.
    """

    name: str
    path: str
    split: Split
    class_names: tuple[str, ...]
    indices: IntArray
    names: tuple[str, ...]
    confidence: tuple[FloatArray, FloatArray] | None = None


@dataclass(frozen=True)
class Verdict:
    """A model's accuracy on a split, and how it differs from the baseline; paired fields are None without one.

    `calibration` is None where the probabilities are not known.
    """

    top1: float
    top1_interval: tuple[float, float]
    difference: float | None
    difference_interval: tuple[float, float] | None
    p_value: float | None
    comparison: Comparison
    calibration: CalibrationResult | None = None


@dataclass(frozen=True)
class _ClassCounts:
    """One class of one model, counted: images, right ones of model and baseline, images lost and gained."""

    label: str
    images: int
    right: int
    before: int
    lost: int
    gained: int


def compare_models(
    models: Sequence[ModelPredictions], baseline: IntArray | None, names: Sequence[str] | None = None
) -> tuple[Verdict, ...]:
    """Score models, and compare each with the baseline on the same images.

    The p-values of classes are corrected over all classes of all models together: a reader looks over all of them for
    the one that loses.

    Args:
        models: each with its predictions.
        baseline: int64[N], the baseline's predictions, -1 for none of the data's classes; None leaves the paired
            fields out.
        names: the same as names, N of them; None: they are known for the data's classes alone, and changes among the
            others are not counted.
    """
    per_class = _class_costs(models, baseline)
    return tuple(_judge(model, baseline, names, costs) for model, costs in zip(models, per_class, strict=True))


def _judge(
    model: ModelPredictions, baseline: IntArray | None, names: Sequence[str] | None, per_class: tuple[ClassCost, ...]
) -> Verdict:
    right = model.indices == model.split.labels
    top1, interval = float(right.mean()), wilson_interval(int(right.sum()), len(right))
    confusion = count_confusion(model)
    calibration = None if model.confidence is None else measure_calibration(*model.confidence, right)
    if baseline is None:
        alone = Comparison(model.name, model.path, per_class, (), confusion)
        return Verdict(top1, interval, None, None, None, alone, calibration)
    before = baseline == model.split.labels
    lost, gained = discordant(before, right)
    flips = _flips(model, baseline, names)
    return Verdict(
        top1=top1,
        top1_interval=interval,
        difference=paired_difference(before, right),
        difference_interval=difference_interval(lost, gained, len(right)),
        p_value=mcnemar_p(lost, gained),
        comparison=Comparison(model.name, model.path, per_class, flips, confusion, count_flips(flips)),
        calibration=calibration,
    )


def count_confusion(model: ModelPredictions) -> tuple[tuple[int, ...], ...]:
    """Count images by true class (rows) and predicted class (columns; the last: none of the data's classes).

    It is empty for more than `CONFUSION_CLASSES` classes.
    """
    classes = len(model.class_names)
    if classes > CONFUSION_CLASSES:
        return ()
    counts = np.zeros((classes, classes + 1), np.int64)
    # an index of -1 is the last column
    np.add.at(counts, (model.split.labels, model.indices), 1)
    return tuple(tuple(map(int, row)) for row in counts)


def _class_costs(models: Sequence[ModelPredictions], baseline: IntArray | None) -> list[tuple[ClassCost, ...]]:
    counted = [_count(model, baseline) for model in models]
    if baseline is None:
        return [tuple(_cost(counts, None) for counts in classes) for classes in counted]
    asked = [counts for classes in counted for counts in classes if counts.images]
    p_values = [mcnemar_p(counts.lost, counts.gained) for counts in asked]
    tested = iter(zip(holm(p_values), holm_levels(p_values), strict=True))
    return [tuple(_cost(c, next(tested) if c.images else None) for c in classes) for classes in counted]


def _count(model: ModelPredictions, baseline: IntArray | None) -> list[_ClassCounts]:
    found = []
    for index, label in enumerate(model.class_names):
        members = model.split.labels == index
        right = model.indices[members] == index
        before = right if baseline is None else baseline[members] == index
        lost, gained = int(np.sum(before & ~right)), int(np.sum(~before & right))
        found.append(_ClassCounts(label, len(right), int(right.sum()), int(before.sum()), lost, gained))
    return found


def _cost(counts: _ClassCounts, tested: tuple[float, float] | None) -> ClassCost:
    """Compute the figures of a class; `tested`: its corrected p-value, and the level at which it was tested."""
    if not counts.images:
        return ClassCost(counts.label, 0, None, None, None, None, None)
    top1 = counts.right / counts.images
    if tested is None:
        return ClassCost(counts.label, counts.images, top1, None, None, None, None)
    p_value, level = tested
    return ClassCost(
        label=counts.label,
        images=counts.images,
        top1=top1,
        baseline_top1=counts.before / counts.images,
        difference=(counts.gained - counts.lost) / counts.images,
        difference_interval=difference_interval(counts.lost, counts.gained, counts.images, level),
        p_value=p_value,
    )


def _flips(model: ModelPredictions, baseline: IntArray, names: Sequence[str] | None) -> tuple[Flip, ...]:
    flips, class_names, split = [], model.class_names, model.split
    before = names or [class_names[index] if index >= 0 else OTHER for index in baseline.tolist()]
    changed = model.indices != baseline
    if names is not None:  # which of the classes that the data do not have
        pairs = zip(names, model.names, strict=True)
        changed |= (baseline < 0) & np.array([a != b and OTHER not in (a, b) for a, b in pairs], bool)
    for index in np.flatnonzero(changed):
        label = int(split.labels[index])
        kind = "lost" if baseline[index] == label else "gained" if model.indices[index] == label else "changed"
        flips.append(
            Flip(
                path=split.paths[int(index)],
                index=int(index),
                label=class_names[label],
                baseline=before[int(index)],
                model=model.names[int(index)],
                kind=kind,
            )
        )
    return tuple(flips)
