"""What was fitted on validation images of an exported model: temperature, threshold, and what its features look like.

The record stands in the provenance as JSON, the arrays of the feature space in a metadata buffer of their own, as
little-endian float16. Both are covered by the file's checksum, and checked all the same when they are read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.flatbuffer_reader import damage_error
from edgeclf.artifact.inner_scores import InnerScores, is_readable
from edgeclf.artifact.tflite import TfliteModel
from edgeclf.errors import InputError
from edgeclf.records import Record

BUFFER_NAME = "EDGECLF_FEATURES"
MOST_DIMENSIONS = 256
MOST_DIRECTIONS = 64
MOST_CENTERS = 1024
MOST_VALUES = 1 << 16
"""Numbers of a feature space in a file: 128 kB."""
_HALF = np.dtype("<f2")

Pair = tuple[float, float]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FeatureSpace(Record):
    """Where the features of known images lie; see `edgeclf.inference.novelty`.

    Attributes:
        tensor: number of the tensor in the main graph.
        size: numbers in it.
        dimensions: of the space that they are folded into.
        centers: means in it: one a class, or a single one.
        directions: in which known images vary most.
        limit: largest distance of what counts as known, in the units of `novelty.distances`.
        images: training images that means and directions are from.
    """

    tensor: int
    size: int
    dimensions: int
    centers: int
    directions: int
    limit: float
    images: int = 0

    def __post_init__(self) -> None:
        _within("dimensions", self.dimensions, 1, MOST_DIMENSIONS)
        _within("size", self.size, self.dimensions, 1 << 20)
        _within("centers", self.centers, 1, MOST_CENTERS)
        _within("directions", self.directions, 0, min(MOST_DIRECTIONS, self.dimensions))
        _within("values", self.values, 1, MOST_VALUES)
        _within("limit", self.limit, 1e-12, 1e12)

    @property
    def values(self) -> int:
        """Numbers in the buffer: the centers, and behind them the directions."""
        return (self.centers + self.directions) * self.dimensions


@dataclass(frozen=True)
class FittedProbabilities(Record):
    """How the scores of a model become probabilities, when it is sure enough of one, and how that was measured.

    Attributes:
        logits: number of their tensor in the main graph.
        temperature: that they are divided by before the softmax (Guo et al., 2017, arXiv:1706.04599).
        threshold: probability from which on the best class is named; below it an image is unknown.
        images: of `split`, on which all of it was fitted.
        split: that it was fitted on.
        bins: of the calibration errors.
        calibration_error: expected calibration error of the fitted probabilities, a fraction, bins of equal width; each
            half of the images by the temperature of the other half.
        calibration_error_before: the same of the model's own output.
        equal_mass_error: as `calibration_error`, with bins of as many images each.
        equal_mass_error_before: the same of the model's own output.
        nll: mean negative log-likelihood of the right classes by the fitted probabilities, in nats.
        nll_before: the same at temperature 1.
        shown: images of `split` whose class is named: neither refused, nor taken for none of the classes.
        precision: fraction of them whose class is right; None: all were refused.
        precision_interval: its 95 % interval (Wilson), whose lower end is what is promised; at most the precision
            that was asked for, where one was.
        refused: fraction of the images of `split` called unknown, without those that show none of the classes.
        refused_bound: at most so many known images are refused, with a confidence of 95 % (Clopper-Pearson).
        features: the check in feature space; None: there is none.
        notes: what cannot be promised and why, one line each.
    """

    logits: int
    temperature: float
    threshold: float
    images: int
    split: str = "validation"
    bins: int = 15
    calibration_error: float | None = None
    calibration_error_before: float | None = None
    equal_mass_error: float | None = None
    equal_mass_error_before: float | None = None
    nll: float | None = None
    nll_before: float | None = None
    shown: int = 0
    precision: float | None = None
    precision_interval: Pair | None = None
    refused: float = 0.0
    refused_bound: float = 1.0
    features: FeatureSpace | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _within("temperature", self.temperature, 1e-3, 1e3)
        _within("threshold", self.threshold, 0, 1)
        _within("images", self.images, 0, 1 << 40)
        _within("notes", len(self.notes), 0, 20)

    @property
    def inner(self) -> InnerScores:
        """The tensors that must be read."""
        return InnerScores(self.logits, None if self.features is None else self.features.tensor)


@dataclass(frozen=True)
class FeatureArrays:
    """The arrays of a feature space.

    Attributes:
        centers: float32[centers, dimensions].
        directions: float32[directions, dimensions].
    """

    centers: Floats
    directions: Floats

    def encode(self) -> bytes:
        """Return the buffer."""
        return np.concatenate([self.centers.ravel(), self.directions.ravel()]).astype(_HALF).tobytes()

    def rounded(self) -> FeatureArrays:
        """Return the arrays as a reader of the buffer gets them."""
        return FeatureArrays(*(each.astype(_HALF).astype(np.float32) for each in (self.centers, self.directions)))


def read_arrays(fitted: FittedProbabilities, graph: TfliteModel, outputs: int) -> FeatureArrays | None:
    """Check what was fitted against the graph that it is for, and read its arrays; None: it has no feature space.

    Args:
        fitted: the record.
        graph: of the same file.
        outputs: numbers in the model's output.

    Raises:
        DamagedModelError: a tensor is not what it should be, or the buffer does not fit.
    """
    if not is_readable(graph, fitted.logits, outputs):
        raise damage_error(f"its probabilities are read from tensor {fitted.logits}, which holds no {outputs} scores")
    space = fitted.features
    if space is None:
        return None
    if not is_readable(graph, space.tensor, space.size):
        raise damage_error(f"its features are read from tensor {space.tensor}, which holds no {space.size} numbers")
    buffer = graph.metadata.get(BUFFER_NAME, b"")
    if len(buffer) != space.values * _HALF.itemsize:
        expected = space.values * _HALF.itemsize
        raise damage_error(f"its feature space should have {expected} bytes, got {len(buffer)}")
    values = np.frombuffer(buffer, _HALF).astype(np.float32)
    if not np.isfinite(values).all():
        raise damage_error("its feature space holds values that are no numbers")
    rows = values.reshape(space.centers + space.directions, space.dimensions)
    return FeatureArrays(rows[: space.centers], rows[space.centers :])


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # refuses NaN, too
        raise InputError(f"{name} must be between {low:g} and {high:g}, got {str(value)[:20]}")
