"""What `audit --deep` finds: records alone, which a device can read. Probabilities and errors are fractions."""

from __future__ import annotations

from dataclasses import dataclass

from edgeclf.records import Record

Pair = tuple[float, float]


@dataclass(frozen=True)
class DoubtfulLabel(Record):
    """A photo that is confidently of another class than its label (confident learning, Northcutt et al., 2021).

    Attributes:
        path: of the file.
        split: that it lies in.
        label: that it has.
        suggested: class that it is confidently of.
        label_probability: of the label, by a head that has not seen the photo.
        suggested_probability: of the suggested class, likewise.
    """

    path: str
    split: str
    label: str
    suggested: str
    label_probability: float
    suggested_probability: float


@dataclass(frozen=True)
class CostlyPhoto(Record):
    """A photo among those that cost most loss.

    Attributes:
        path: of the file.
        split: that it lies in.
        label: that it has.
        predicted: its best class, by a head that has not seen it.
        loss: cross-entropy of the label, nats.
    """

    path: str
    split: str
    label: str
    predicted: str
    loss: float


@dataclass(frozen=True)
class OddShape(Record):
    """A photo that has few pixels, or that the network sees much distorted.

    Attributes:
        path: of the file.
        split: that it lies in.
        label: that it has.
        width: pixels.
        height: pixels.
        kind: `tiny` or `stretched`.
        factor: how many times the shorter side is enlarged, or the longer side is squeezed against the shorter.
    """

    path: str
    split: str
    label: str
    width: int
    height: int
    kind: str
    factor: float


@dataclass(frozen=True)
class Neighbours(Record):
    """Two classes that are taken for each other.

    Attributes:
        first: class name.
        second: class name.
        first_as_second: photos of the first that are predicted as the second, out of fold.
        second_as_first: the other way round.
        fraction: of the photos of both.
    """

    first: str
    second: str
    first_as_second: int
    second_as_first: int
    fraction: float


@dataclass(frozen=True)
class CurvePoint(Record):
    """Photos that heads were fitted on, mean over the folds, and the error on held-out photos."""

    photos: float
    error: float


@dataclass(frozen=True)
class LearningCurve(Record):
    """How the error of a head on frozen features falls with the number of photos, and what twice as many may give.

    Attributes:
        label: of the class; None: all photos.
        photos: that there are now, to learn from.
        images: held-out photos that each error was measured on.
        points: as measured.
        error_now: of the fitted curve at `photos`.
        error_twice: at twice the photos of every class.
        interval_twice: 95 %, of fits to bootstrap draws of the held-out photos.
        gain: `error_now` less `error_twice`.
        gain_interval: 95 %, likewise.
    """

    label: str | None
    photos: int
    images: int
    points: tuple[CurvePoint, ...]
    error_now: float
    error_twice: float
    interval_twice: Pair
    gain: float
    gain_interval: Pair


@dataclass(frozen=True)
class DeepAudit(Record):
    """What frozen features and a head say of a data set.

    Attributes:
        features_of: network that the features are of.
        feature_size: numbers in a feature.
        images: photos of all splits, each predicted by a head that has not seen it.
        folds: that they were dealt to.
        top1: of these predictions.
        label_errors: number of wrong labels that confident learning estimates.
        doubtful: photos whose label is doubted, the most doubtful first.
        costly: photos that cost most loss, the worst first.
        odd_shapes: photos that are tiny or stretched, by a rule of thumb.
        neighbours: classes that are taken for each other, the most alike first.
        curve: of all photos of the splits train and validation; None: there are too few for one, or the network was
            trained on some of them.
        class_curves: of each class, those that gain most first.
        more_photos: what the curves say in words.
        seconds: that all of it took.
        written: the page and the list that were written.
        notes: what was assumed or left out.
    """

    features_of: str
    feature_size: int
    images: int
    folds: int
    top1: float
    label_errors: float
    doubtful: tuple[DoubtfulLabel, ...]
    costly: tuple[CostlyPhoto, ...]
    odd_shapes: tuple[OddShape, ...]
    neighbours: tuple[Neighbours, ...]
    curve: LearningCurve | None
    class_curves: tuple[LearningCurve, ...]
    more_photos: str
    seconds: float
    written: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
