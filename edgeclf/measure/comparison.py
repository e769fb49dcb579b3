"""Where a model and the baseline disagree: by class and by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeclf.dataset import Split
from edgeclf.measure.bench_report import ClassCost, Comparison, Flip
from edgeclf.measure.statistics import (
    bootstrap_interval,
    discordant,
    holm,
    mcnemar_p,
    paired_difference,
    wilson_interval,
)

OTHER = "(another class)"
"""What stands for an answer of the baseline that is none of the data's classes."""

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Verdict:
    """How right a model is on a split, and where it differs from the baseline; paired fields are None without one."""

    top1: float
    top1_interval: tuple[float, float]
    difference: float | None
    difference_interval: tuple[float, float] | None
    p_value: float | None
    comparison: Comparison


def judge(
    comparison: Comparison,
    answers: IntArray,
    labels: IntArray,
    baseline: IntArray | None,
    seed: int,
) -> Verdict:
    """Sum up `answers` (int64[N], -1 for none of the data's classes) against `labels` and the baseline's answers."""
    right = answers == labels
    interval = wilson_interval(int(right.sum()), len(right))
    if baseline is None:
        return Verdict(float(right.mean()), interval, None, None, None, comparison)
    before = baseline == labels
    return Verdict(
        top1=float(right.mean()),
        top1_interval=interval,
        difference=paired_difference(before, right),
        difference_interval=bootstrap_interval(before, right, seed=seed),
        p_value=mcnemar_p(*discordant(before, right)),
        comparison=comparison,
    )


def compare(
    name: str,
    path: Path,
    images: Split,
    class_names: Sequence[str],
    answers: IntArray,
    answer_names: Sequence[str],
    baseline: IntArray | None,
    seed: int,
) -> Comparison:
    """Break a model's answers down by class, and list the images that changed.

    Args:
        name: of the model in the report.
        path: of its file.
        images: the split answered.
        class_names: of the data.
        answers: int64[N], indices into the data's classes, -1 for a class that the data does not have.
        answer_names: the same as names, N of them.
        baseline: int64[N], the baseline's answers; None leaves the paired fields out.
        seed: of the bootstrap.
    """
    labels = images.labels
    per_class = tuple(
        _cost(label, labels == index, answers == index, None if baseline is None else baseline == index, seed + index)
        for index, label in enumerate(class_names)
    )
    if baseline is None:
        return Comparison(name, str(path), per_class, ())
    return Comparison(
        name, str(path), _adjusted(per_class), _flips(images, class_names, answers, answer_names, baseline)
    )


def _cost(
    label: str,
    members: npt.NDArray[np.bool_],
    model: npt.NDArray[np.bool_],
    baseline: npt.NDArray[np.bool_] | None,
    seed: int,
) -> ClassCost:
    right = model[members]
    if not len(right):
        return ClassCost(label, 0, None, None, None, None, None)
    top1 = float(right.mean())
    if baseline is None:
        return ClassCost(label, len(right), top1, None, None, None, None)
    before = baseline[members]
    return ClassCost(
        label=label,
        images=len(right),
        top1=top1,
        baseline_top1=float(before.mean()),
        difference=paired_difference(before, right),
        difference_interval=bootstrap_interval(before, right, seed=seed),
        p_value=mcnemar_p(*discordant(before, right)),
    )


def _adjusted(costs: tuple[ClassCost, ...]) -> tuple[ClassCost, ...]:
    p_values = iter(holm([cost.p_value for cost in costs if cost.p_value is not None]))
    return tuple(cost if cost.p_value is None else replace(cost, p_value=next(p_values)) for cost in costs)


def _flips(
    images: Split,
    class_names: Sequence[str],
    answers: IntArray,
    answer_names: Sequence[str],
    baseline: IntArray,
) -> tuple[Flip, ...]:
    flips = []
    for index in np.flatnonzero(answers != baseline):
        label = int(images.labels[index])
        kind = "lost" if baseline[index] == label else "gained" if answers[index] == label else "changed"
        flips.append(
            Flip(
                path=images.paths[int(index)],
                index=int(index),
                label=class_names[label],
                baseline=class_names[int(baseline[index])] if baseline[index] >= 0 else OTHER,
                model=answer_names[int(index)],
                kind=kind,
            )
        )
    return tuple(flips)
