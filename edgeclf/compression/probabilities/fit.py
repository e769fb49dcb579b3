"""Fits what turns the scores of an exported model into probabilities that hold, on images that did not train it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.fitted_probabilities import FeatureArrays, FeatureSpace, FittedProbabilities
from edgeclf.artifact.inner_scores import describe_missing
from edgeclf.artifact.macs import count_macs
from edgeclf.artifact.model_file import ModelFile
from edgeclf.compression.probabilities.feature_space import describe_features
from edgeclf.compression.probabilities.reading import ModelOutputs, ModelReader
from edgeclf.compression.probabilities.temperature import fit_temperature, mean_nll
from edgeclf.compression.probabilities.threshold import choose_thresholds
from edgeclf.dataset.types import Split
from edgeclf.inference.novelty import distances, fold
from edgeclf.inference.score_reader import calibrate
from edgeclf.measure.calibration import BINS, calibration_error
from edgeclf.measure.statistics import wilson_interval
from edgeclf.progress import SILENT, Progress

LEAST_IMAGES = 20
"""Validation images below which nothing is fitted."""
UNKNOWN_TRAINING = "it is not known which images trained the network"
"""How a note begins that a file carries until its probabilities are fitted on other photos."""
FEATURE_IMAGES, FEWEST_FEATURE_IMAGES = 1000, 200
FEATURE_MACS = 200_000_000_000
"""Multiply-accumulates that may be spent on features of training images; large networks take fewer images."""
_LEAST_DISTANCE = 1e-6

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Fit:
    """What was fitted.

    Attributes:
        fitted: goes into the provenance; None: nothing could be fitted, and `note` has the reason.
        arrays: of its feature space.
        note: for users, also on what was not fitted; empty: there is nothing to say.
    """

    fitted: FittedProbabilities | None
    arrays: FeatureArrays | None = None
    note: str = ""


def fit_probabilities(
    file: ModelFile,
    reader: ModelReader,
    outputs: ModelOutputs,
    labels: Labels,
    train: Split | None,
    precision: float | None = None,
    progress: Progress = SILENT,
    none: Sequence[int] = (),
) -> Fit:
    """Fit temperature, feature space and thresholds for a model.

    Args:
        file: the model.
        reader: of the same file.
        outputs: what it computed for the validation images.
        labels: int64[N] of these, in the order of the model's outputs.
        train: images whose features are known; None: there is no check of features.
        precision: see `choose_thresholds`.
        progress: where a bar is shown.
        none: classes that stand for none of these, which are shown as unknown: their images are no known ones, and
            nothing is named after them.
    """
    inner = reader.inner
    if inner is None or outputs.logits is None:
        return _without_logits(file, of_views=inner is not None)
    is_known = ~np.isin(labels, none)
    if (count := int(is_known.sum())) < LEAST_IMAGES:
        which = " of the classes that are named" if none else ""
        lacks = f"expected {LEAST_IMAGES} validation images{which}, got {count}"
        return Fit(None, note=f"probabilities are not fitted: {lacks}")
    best = (outputs.raw if outputs.raw.shape[1] > 1 else outputs.plain).argmax(axis=1)
    logits, right = outputs.logits, best == labels
    temperature = fit_temperature(logits, labels)
    confidence = calibrate(logits, outputs.raw, temperature).max(axis=1)
    arrays = None
    far: npt.NDArray[np.float32] | None = None
    if train is not None and inner.features is not None and outputs.features is not None:
        read, known = _read_features(file, reader, train, progress)
        arrays = describe_features(read, known, outputs.plain.shape[1], none)
        if arrays is not None:
            far = distances(fold(outputs.features, arrays.centers.shape[1]), arrays)
    wide = None if far is None else np.maximum(far, _LEAST_DISTANCE).astype(np.float64)
    chosen = choose_thresholds(
        confidence.astype(np.float64), wide, right, precision, known=is_known, named=~np.isin(best, none)
    )
    shown, correct = int(chosen.shown.sum()), int(right[chosen.shown].sum())
    space = None
    if arrays is not None and outputs.features is not None and inner.features is not None and chosen.limit is not None:
        space = _describe_space(inner.features, outputs.features, arrays, chosen.limit, len(known))
    fitted = FittedProbabilities(
        logits=inner.logits,
        temperature=temperature,
        threshold=chosen.threshold,
        images=len(labels),
        bins=BINS,
        shown=shown,
        precision=correct / shown if shown else None,
        precision_interval=_interval(correct, shown, precision if chosen.promised else None) if shown else None,
        refused=1 - float(chosen.shown[is_known].mean()),
        refused_bound=chosen.refused_bound,
        features=space,
        notes=chosen.notes,
        nll=mean_nll(logits, labels, temperature),
        nll_before=mean_nll(logits, labels, 1.0),
    )
    fitted = dataclasses.replace(fitted, **_errors(outputs, labels, right))
    return Fit(fitted, None if space is None else arrays, reader.left_out)


def _describe_space(tensor: int, features: Floats, arrays: FeatureArrays, limit: float, images: int) -> FeatureSpace:
    return FeatureSpace(
        tensor=tensor,
        size=features.shape[1],
        dimensions=arrays.centers.shape[1],
        centers=len(arrays.centers),
        directions=len(arrays.directions),
        limit=limit,
        images=images,
    )


def _interval(correct: int, shown: int, promised: float | None) -> tuple[float, float]:
    """Compute the interval of the precision; a threshold that was chosen for a precision promises that and no more."""
    low, high = wilson_interval(correct, shown)
    return (low if promised is None else min(low, promised)), high


def _without_logits(file: ModelFile, *, of_views: bool) -> Fit:
    why = "those of an object are means over its views" if of_views else describe_missing(file.graph)
    return Fit(None, note=f"probabilities are not fitted: {why}")


def _read_features(file: ModelFile, reader: ModelReader, train: Split, progress: Progress) -> tuple[Floats, Labels]:
    """Read the features of training images, spread over the split."""
    affordable = FEATURE_MACS // max(1, count_macs(file.graph))
    count = min(len(train), max(FEWEST_FEATURE_IMAGES, min(FEATURE_IMAGES, affordable)))
    rows = np.linspace(0, len(train) - 1, count).astype(np.int64)
    found = reader.read(np.asarray(train.images[rows]), progress, "features of training images").features
    assert found is not None
    return found, train.labels[rows]


def _errors(outputs: ModelOutputs, labels: Labels, right: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Measure calibration errors before and after, each half of the images by the temperature of the other half."""
    assert outputs.logits is not None
    crossed = np.empty(len(labels))
    halves = np.arange(len(labels)) % 2 == 0
    for half in (halves, ~halves):
        temperature = fit_temperature(outputs.logits[~half], labels[~half])
        crossed[half] = calibrate(outputs.logits[half], outputs.raw[half], temperature).max(axis=1)
    before = outputs.plain.max(axis=1).astype(np.float64)
    return {
        "calibration_error": calibration_error(crossed, right),
        "calibration_error_before": calibration_error(before, right),
        "equal_mass_error": calibration_error(crossed, right, equal_mass=True),
        "equal_mass_error_before": calibration_error(before, right, equal_mass=True),
    }
