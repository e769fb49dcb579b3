"""Measures how the error of a head on frozen features falls with the number of photos, overall and by class."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeclf.progress import SILENT, Progress
from edgeclf.training.data_doctor.heads import FrozenFeatures, one_thread
from edgeclf.training.data_doctor.power_law import Forecast, forecast

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

FRACTIONS = (0.125, 0.1768, 0.25, 0.3536, 0.5, 0.7071, 1.0)
DRAWS = 200
_SMALLEST = 2  # photos of a class in the smallest subset, so that fractions are of something


@dataclass(frozen=True)
class MeasuredCurve:
    """Errors of heads that were fitted on nested subsets.

    Attributes:
        photos: float64[m], photos that a head was fitted on, mean over the folds.
        wrong: bool[m, N]: which held-out images it got wrong.
        labels: int64[N].
    """

    photos: Floats
    wrong: npt.NDArray[np.bool_]
    labels: Integers

    def errors(self, label: int | None = None) -> Floats:
        """Return the errors float64[m], of one class or of all images."""
        chosen = self.wrong if label is None else self.wrong[:, self.labels == label]
        return np.asarray(chosen.mean(axis=1), np.float64)

    def forecast(self, now: float, then: float, label: int | None = None) -> Forecast:
        """Forecast the error at a number of photos of all classes together, of one class or of all images.

        Args:
            now: number of photos there is.
            then: number that is asked about; the photos of each class grow alike.
            label: of the class; None: all images.
        """
        chosen = self.wrong if label is None else self.wrong[:, self.labels == label]
        images = chosen.shape[1]
        random = np.random.default_rng(0)
        # how often each image is in a bootstrap draw: the same draw for all points, whose errors are paired
        times = random.multinomial(images, np.full(images, 1 / images), DRAWS) / images
        draws = np.concatenate([chosen.mean(axis=1)[None], times @ chosen.T.astype(np.float64)])
        return forecast(self.photos, draws, images, now, then)


def measure_curve(
    features: FrozenFeatures, contents: Sequence[str], strength: float, progress: Progress = SILENT
) -> MeasuredCurve:
    """Fit heads on nested subsets of the images outside of each fold, and predict the fold.

    Args:
        features: of the images that may be learned from.
        contents: a text an image, which decides the order in which images join.
        strength: of the penalty.
        progress: where a bar is shown.
    """
    order = np.array([int.from_bytes(hashlib.blake2b(c.encode(), digest_size=8).digest(), "big") for c in contents])
    numbers = np.unique(features.folds).tolist()
    wrong = np.zeros((len(FRACTIONS), len(features.labels)), np.bool_)
    photos = np.zeros(len(FRACTIONS))
    with one_thread(), progress.task("learning curve (heads)", len(numbers) * len(FRACTIONS)) as task:
        for number in numbers:
            held = features.folds == number
            ranks = _rank_in_class(order, features.labels, ~held)
            for place, fraction in enumerate(FRACTIONS):
                rows = ~held & (ranks < fraction)
                chances = features.predict(features.fit(rows, strength), held)
                wrong[place, held] = chances.argmax(axis=1) != features.labels[held]
                photos[place] += rows.sum() / len(numbers)
                task.advance()
    return MeasuredCurve(photos, wrong, features.labels)


def _rank_in_class(order: npt.NDArray[np.uint64], labels: Integers, rows: npt.NDArray[np.bool_]) -> Floats:
    """Return where each of `rows` stands in its class, 0 to below 1; the first few of each class stand at 0."""
    ranks = np.full(len(labels), np.inf)
    for label in np.unique(labels[rows]):
        members = np.flatnonzero(rows & (labels == label))
        ordered = members[np.argsort(order[members], kind="stable")]
        places = np.arange(len(ordered)) / len(ordered)
        places[:_SMALLEST] = 0
        ranks[ordered] = places
    return ranks
