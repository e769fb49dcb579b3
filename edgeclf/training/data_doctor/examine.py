"""Examines labelled photos through frozen features: doubtful labels, costly photos, odd shapes, a learning curve."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgeclf.dataset.auditing import AuditReport
from edgeclf.dataset.deep_audit import (
    CostlyPhoto,
    CurvePoint,
    DeepAudit,
    DoubtfulLabel,
    LearningCurve,
    Neighbours,
    OddShape,
)
from edgeclf.dataset.reading import read_images
from edgeclf.dataset.sources import Listing
from edgeclf.dataset.store_index import ImageFacts
from edgeclf.errors import DataError, ModelError
from edgeclf.image.shape import PAD, STRETCH, InputShape
from edgeclf.measure.formatting import percent, points
from edgeclf.progress import SILENT, Progress
from edgeclf.training.data_doctor.features import PhotoFeatures
from edgeclf.training.data_doctor.heads import FrozenFeatures, assign_folds, find_in_one_fold, reduce_features
from edgeclf.training.data_doctor.label_errors import LabelDoubts, doubt_labels
from edgeclf.training.data_doctor.learning_curve import FRACTIONS, MeasuredCurve, measure_curve
from edgeclf.training.data_doctor.photo_list import PhotoList

MOST_COSTLY = 50
MOST_NEIGHBOURS = 20
FEWEST_PHOTOS = 100
"""Photos of train and validation below which there is no learning curve."""
FEWEST_OF_A_CLASS = 10
"""Held-out photos of a class below which it has no curve of its own."""
TINY, STRETCHED = 2.0, 2.0
"""A photo is tiny where its shorter side (padded: the whole of it) is enlarged as many times, stretched where a side is
squeezed as much."""
WORTH = 0.005
"""Gain of top-1, a fraction, from which on more photos are called worth it."""


@dataclass(frozen=True)
class Examination:
    """What was found, and the photos for the page."""

    report: DeepAudit
    photos: PhotoList = field(repr=False)


def examine(
    audited: AuditReport, listing: Listing, found: PhotoFeatures, began: float, progress: Progress = SILENT
) -> Examination:
    """Examine the photos of all splits.

    Args:
        audited: the audit of the same listing, whose near duplicates never lie in two folds.
        listing: of the source.
        found: the photos and their features.
        began: `time.monotonic()` when the work began.
        progress: where bars are shown.

    Raises:
        DataError: a class has too few photos to hold some out.
        ModelError: the network's features are not finite.
    """
    if not np.isfinite(found.values).all():
        raise ModelError(f"{found.origin}: its features of these photos are not finite; give another network")
    photos, folds = _deal(PhotoList(found.dataset, [group.paths for group in audited.near_duplicates]))
    labels, classes = photos.labels, len(photos.names)
    features = FrozenFeatures(reduce_features(found.values), labels, folds, classes)
    strength = features.choose_strength(progress)
    chances = features.predict_out_of_fold(strength, progress=progress)
    doubts = doubt_labels(chances, labels)
    kept = np.ones(len(labels), np.bool_)
    kept[doubts.order] = False
    if not find_in_one_fold(labels[kept], folds[kept], classes):
        # Heads that have not learned the doubtful labels judge once more.
        doubts = doubt_labels(features.predict_out_of_fold(strength, kept, progress), labels)
    best = chances.argmax(axis=1)
    unknown = f"whether more photos would help does not show: {found.origin} was trained on some of these"
    # errors of features that know the labels are no errors of new photos
    curve, by_class, words = (None, (), unknown) if found.learned else _learning(photos, features, strength, progress)
    report = DeepAudit(
        features_of=found.origin,
        feature_size=int(found.values.shape[1]),
        images=len(labels),
        folds=len(np.unique(folds)),
        top1=float((best == labels).mean()),
        label_errors=doubts.estimated,
        doubtful=_doubtful(photos, doubts),
        costly=_costly(photos, doubts),
        odd_shapes=_odd_shapes(photos, listing),
        neighbours=_neighbours(photos, best),
        curve=curve,
        class_curves=by_class,
        more_photos=words,
        seconds=0.0,
        notes=(*found.dataset.list_notes(), *found.notes, *_describe_apart(photos)),
    )
    return Examination(dataclasses.replace(report, seconds=round(time.monotonic() - began, 3)), photos)


def _deal(photos: PhotoList) -> tuple[PhotoList, npt.NDArray[np.int64]]:
    """Deal the photos to folds, what is alike into one; classes of which all photos are alike by content alone.

    Raises:
        DataError: a class has fewer than two different photos.
    """
    labels, classes = photos.labels, len(photos.names)
    groups = np.array(photos.groups)
    alike = [label for label in range(classes) if len(set(groups[labels == label])) == 1]
    if alike:
        photos = dataclasses.replace(photos, apart=frozenset(alike))
    folds = assign_folds(labels, photos.groups)
    for label in find_in_one_fold(labels, folds, classes):
        raise DataError(f"class {photos.names[label]!r} has too few different photos for --deep: expected at least 2")
    return photos, folds


def _describe_apart(photos: PhotoList) -> list[str]:
    """Describe the classes whose photos are judged by others that look like them, a line each."""
    return [
        f"all photos of class {photos.names[label]!r} look alike, so each is judged by others of its kind: its figures "
        "are better than those of new photos would be"
        for label in sorted(photos.apart)
    ]


def _doubtful(photos: PhotoList, doubts: LabelDoubts) -> tuple[DoubtfulLabel, ...]:
    found = []
    for number in doubts.order.tolist():
        label, suggested = int(photos.labels[number]), int(doubts.suggested[number])
        own = float(np.exp(-doubts.loss[number]))
        found.append(
            DoubtfulLabel(
                photos.paths[number],
                photos.splits[number],
                photos.names[label],
                photos.names[suggested],
                round(own, 5),
                round(float(doubts.chances[number, suggested]), 5),
            )
        )
    return tuple(found)


def _costly(photos: PhotoList, doubts: LabelDoubts) -> tuple[CostlyPhoto, ...]:
    best = doubts.chances.argmax(axis=1)
    worst = np.argsort(-doubts.loss, kind="stable")[:MOST_COSTLY]
    return tuple(
        CostlyPhoto(
            photos.paths[n], photos.splits[n], photos.names[photos.labels[n]], photos.names[best[n]],
            round(float(doubts.loss[n]), 4),
        )
        for n in worst.tolist()
    )  # fmt: skip


def _odd_shapes(photos: PhotoList, listing: Listing) -> tuple[OddShape, ...]:
    shape = photos.dataset.shape
    facts = read_images(listing, shape, facts=True).facts
    found = []
    for number, content in enumerate(photos.hashes):
        for kind, factor in _describe_shape(facts, content, shape):
            known = facts[content]
            name = photos.names[photos.labels[number]]
            found.append(
                OddShape(
                    photos.paths[number], photos.splits[number], name, known.width, known.height, kind, round(factor, 2)
                )
            )
    return tuple(sorted(found, key=lambda odd: (odd.kind, -odd.factor, odd.path)))


def _describe_shape(facts: Mapping[str, ImageFacts], content: str, shape: InputShape) -> list[tuple[str, float]]:
    known = facts.get(content)
    if known is None or min(known.height, known.width) < 1:
        return []
    sides = shape.height / known.height, shape.width / known.width
    enlarged = min(sides) if shape.fit == PAD else max(sides)
    ratio = (known.width / known.height) / (shape.width / shape.height)
    squeezed = max(ratio, 1 / ratio)
    kinds = [("tiny", enlarged)] if enlarged >= TINY else []
    return [*kinds, ("stretched", squeezed)] if shape.fit == STRETCH and squeezed >= STRETCHED else kinds


def _neighbours(photos: PhotoList, best: npt.NDArray[np.int64]) -> tuple[Neighbours, ...]:
    classes = len(photos.names)
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (photos.labels, best), 1)
    sizes = counts.sum(axis=1)
    found = [
        Neighbours(
            photos.names[a],
            photos.names[b],
            int(counts[a, b]),
            int(counts[b, a]),
            float((counts[a, b] + counts[b, a]) / (sizes[a] + sizes[b])),
        )
        for a in range(classes)
        for b in range(a + 1, classes)
        if counts[a, b] + counts[b, a]
    ]
    return tuple(sorted(found, key=lambda pair: -pair.fraction)[:MOST_NEIGHBOURS])


def _learning(
    photos: PhotoList, features: FrozenFeatures, strength: float, progress: Progress
) -> tuple[LearningCurve | None, tuple[LearningCurve, ...], str]:
    """Measure the learning curve on the photos of train and validation: those of test are for judging."""
    rows = photos.is_for_learning()
    numbers = np.flatnonzero(rows)
    labels = photos.labels[rows]
    sizes = np.bincount(labels, minlength=features.classes)
    scarce = find_in_one_fold(labels, features.folds[rows], features.classes)
    if len(numbers) < FEWEST_PHOTOS or sizes.min() < len(FRACTIONS) or scarce:
        few = f"at least {FEWEST_PHOTOS} photos and {len(FRACTIONS)} different ones of each class"
        return None, (), f"too few photos for a learning curve: expected {few} in train and validation"
    learning = FrozenFeatures(features.values[rows], labels, features.folds[rows], features.classes)
    measured = measure_curve(learning, [photos.groups[n] for n in numbers.tolist()], strength, progress)
    whole = _curve(measured, None, None)
    classes = [
        _curve(measured, label, name) for label, name in enumerate(photos.names) if sizes[label] >= FEWEST_OF_A_CLASS
    ]
    # what a class's photos add to top-1 over all: its gain times its share
    classes.sort(key=lambda curve: -curve.gain * curve.images)
    return whole, tuple(classes), describe_learning(whole, classes)


def _curve(measured: MeasuredCurve, label: int | None, name: str | None) -> LearningCurve:
    photos = len(measured.labels)
    expected = measured.forecast(photos, 2 * photos, label)
    errors = zip(measured.photos.tolist(), measured.errors(label).tolist(), strict=True)
    return LearningCurve(
        label=name,
        photos=photos,
        images=photos if label is None else int((measured.labels == label).sum()),
        points=tuple(CurvePoint(round(count, 1), round(error, 5)) for count, error in errors),
        error_now=expected.error + expected.gain,
        error_twice=expected.error,
        interval_twice=expected.interval,
        gain=expected.gain,
        gain_interval=expected.gain_interval,
    )


def describe_learning(whole: LearningCurve, classes: list[LearningCurve]) -> str:
    """Describe whether more photos would help, and of which classes."""
    low, high = (percent(bound, 1) for bound in whole.interval_twice)
    start = (
        f"With twice the photos the error is forecast to fall from {percent(whole.error_now, 1)} to "
        f"{percent(whole.error_twice, 1)} (95 %: {low} to {high})"
    )
    if whole.gain_interval[0] <= 0 and whole.gain_interval[1] >= WORTH:
        return f"{start}: these photos are too few to show whether more would help."
    if min(whole.gain, whole.gain_interval[1]) < WORTH:
        return f"{start}: more photos of the same kind would hardly help."
    gaining = [curve for curve in classes if curve.gain >= WORTH and curve.gain_interval[0] > 0][:3]
    if not gaining:
        return f"{start}: more photos would help, of no class clearly more than of others."
    named = ", ".join(f"{curve.label} (by {points(curve.gain, 1).lstrip('+')} points)" for curve in gaining)
    return f"{start}: more photos would help, most of {named}."
