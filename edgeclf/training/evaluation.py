"""Metrics of a classifier on a split. They are scikit-learn's; calibration error is Guo et al.'s."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from edgeclf.measure.calibration import calibration_error
from edgeclf.measure.formatting import counted, percent, points
from edgeclf.measure.statistics import wilson_interval
from edgeclf.records import Record

Probabilities = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
OVERFITTING_GAP = 0.10
FEWEST_IMAGES = 100
"""Validation images below which no verdict is given: the standard error of a top-1 of 0.8 is 4 points there."""
WIDEST_INTERVAL = 0.15
"""Width of the interval of top-1 above which a split is said to be small."""


@dataclass(frozen=True)
class ClassMetrics(Record):
    """Precision, recall and F1 of one class (fractions), and the number of its images."""

    precision: float
    recall: float
    f1: float
    images: int


@dataclass(frozen=True)
class SplitMetrics(Record):
    """Metrics of a classifier on one split.

    Args:
        images: number of images.
        top1: fraction of images whose best class is right.
        top1_interval: 95 % Wilson interval.
        top5: fraction of images whose class is among the best five; None with five classes or fewer.
        loss: mean cross-entropy, nats.
        calibration_error: expected calibration error in 15 equal bins (Guo et al., 2017, arXiv:1706.04599), fraction.
        per_class: by class name.
        confusion: counts, row: true class, column: predicted class.
    """

    images: int
    top1: float
    top1_interval: tuple[float, float]
    top5: float | None
    loss: float
    calibration_error: float
    per_class: dict[str, ClassMetrics]
    confusion: tuple[tuple[int, ...], ...]


def evaluate(probabilities: Probabilities, labels: Labels, class_names: tuple[str, ...]) -> SplitMetrics:
    """Compute the metrics of `probabilities`, float32[N, C], against `labels`, int64[N]."""
    predicted, classes = probabilities.argmax(1), np.arange(len(class_names))
    precision, recall, f1, support = precision_recall_fscore_support(labels, predicted, labels=classes, zero_division=0)
    of_truth = probabilities[np.arange(len(labels)), labels]
    correct = int((predicted == labels).sum())
    return SplitMetrics(
        images=len(labels),
        top1=float(accuracy_score(labels, predicted)),
        top1_interval=wilson_interval(correct, len(labels)),
        top5=_top5(probabilities, labels) if len(class_names) > 5 else None,
        loss=float(-np.log(np.maximum(of_truth, 1e-12)).mean()),
        calibration_error=calibration_error(probabilities.max(1), predicted == labels),
        per_class={
            name: ClassMetrics(float(precision[i]), float(recall[i]), float(f1[i]), int(support[i]))
            for i, name in enumerate(class_names)
        },
        confusion=tuple(map(tuple, confusion_matrix(labels, predicted, labels=classes).tolist())),
    )


def generalization_note(
    train_top1: float, validation_top1: float, images: tuple[int, int], *, augment: str = "", pretrained: bool = False
) -> str:
    """Describe the gap between training and validation top-1 in one sentence: overfitting, underfitting or healthy.

    Where the images are few, or a large gap could be chance, nothing is decided.

    Args:
        train_top1: fraction.
        validation_top1: fraction.
        images: numbers of training and of validation images that they were measured on.
        augment: level that it was trained with.
        pretrained: whether it started from pretrained weights.
    """
    gap = train_top1 - validation_top1
    low, high = independent_difference_interval(train_top1, images[0], validation_top1, images[1])
    both = f"training top-1 {percent(train_top1, 1)}, validation {percent(validation_top1, 1)}"
    text = f"{both}: a gap of {points(gap, 1).removeprefix('+')} points"
    if images[1] < FEWEST_IMAGES or (gap > OVERFITTING_GAP and low <= OVERFITTING_GAP / 2):
        return (
            f"{text}, with {counted(images[1], 'validation image')} anything from {points(low, 0)} to "
            f"{points(high, 0)} (95 %): too few to tell whether the network overfits"
        )
    if gap > OVERFITTING_GAP:
        remedies = ["more photos"]
        remedies += [] if augment == "strongest" else ["stronger --augment"]
        remedies += [] if pretrained else ["pretrained --weights"]
        return f"{text}. The network is overfitting; {' or '.join(remedies)} help"
    if train_top1 < 0.6 and gap < OVERFITTING_GAP / 2:
        return f"{text}. The network is underfitting; more --epochs, a larger --model or weaker --augment help"
    return f"{text}, which is healthy"


def few_images_note(split: str, metrics: SplitMetrics) -> str | None:
    """Write in words how little a small split says about the network; None: it has enough images."""
    low, high = metrics.top1_interval
    if high - low <= WIDEST_INTERVAL:
        return None
    return (
        f"{counted(metrics.images, f'{split} image')}: too few to tell how good the network is; top-1 "
        f"{percent(metrics.top1, 1)} means anything from {percent(low, 0)} to {percent(high, 0)} (95 %)"
    )


def independent_difference_interval(
    first: float, first_images: int, second: float, second_images: int
) -> tuple[float, float]:
    """Compute the 95 % interval of a difference of two independent fractions.

    Newcombe's hybrid score interval (Statistics in Medicine 17, 1998, 873-890, method 10).
    """
    low1, high1 = wilson_interval(round(first * first_images), first_images)
    low2, high2 = wilson_interval(round(second * second_images), second_images)
    difference = first - second
    below = ((first - low1) ** 2 + (high2 - second) ** 2) ** 0.5
    above = ((high1 - first) ** 2 + (second - low2) ** 2) ** 0.5
    return difference - below, difference + above


def _top5(probabilities: Probabilities, labels: Labels) -> float:
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
    return float((best == labels[:, None]).any(1).mean())
