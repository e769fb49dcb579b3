"""Decides which range of input values a network expects: from its file, the user, or a measurement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.classifier_shape import ClassifierShape
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.pixels import RAW, Normalization
from edgeclf.errors import InputError
from edgeclf.inference.chance import could_be_chance
from edgeclf.records import Record

CANDIDATES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0), "0..255": (0.0, 255.0)}
)

Predict = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class InputRange(Record):
    """What pixel values 0 and 255 become before they enter a network.

    Attributes:
        low: what 0 becomes.
        high: what 255 becomes.
        source: where it comes from: `given`, `provenance`, `metadata`, `network` (it scales inside), `8-bit input` or
            `measured`.
        scores: of a measurement, by candidate.
        doubt: a sentence where too few predictions of a measurement were right to decide by; else empty.
    """

    low: float
    high: float
    source: str
    scores: dict[str, float] | None = None
    doubt: str = ""

    @property
    def sentence(self) -> str:
        """One line for the user."""
        line = f"pixels enter as {self.low:g} to {self.high:g} ({self.source})"
        if self.scores is None:
            return line
        figures = ", ".join(f"{name} {score:.3f}" for name, score in self.scores.items())
        return f"{line}; scores: {figures}; --input-range LO,HI overrules it"


def resolve_input_range(
    file: ModelFile, given: tuple[float, float] | None = None
) -> tuple[InputRange, Normalization | None] | None:
    """Decide what pixel values 0 and 255 become before they enter a model, from its file and from what was given.

    One rule for every command: a model that knows its input range refuses another. A model of edgeclf's own knows it
    from its provenance, one with an 8-bit input from its quantization; what is given to them must be equal within one
    step of 1/255. Otherwise what is given goes before the metadata, which other programs wrote.

    Args:
        file: the model.
        given: what 0 and 255 become according to the user; None: not given.

    Returns:
        the range, and the normalization to apply (None: an 8-bit input takes the pixels as they are). None where
        neither the file nor the user names it, and it has to be measured.

    Raises:
        InputError: `given` is no range, or the model knows that it is another.
    """
    imposed = None if given is None else Normalization.from_range(*given)
    shape, made = file.shape, file.provenance
    eight_bit = shape.dtype in ("uint8", "int8")
    if not eight_bit and made is None:
        if given is not None:
            return InputRange(*given, "given"), imposed
        found = file.metadata.normalization
        return None if found is None else (InputRange(*found.range, "metadata"), found)
    if given is not None:
        _check_agreement(file, given)
    if eight_bit:
        return InputRange(0.0, 255.0, "8-bit input"), None
    norm = RAW if made is None or made.input_range is None else Normalization.from_range(*made.input_range)
    return InputRange(*norm.range, "provenance"), norm


def _check_agreement(file: ModelFile, given: tuple[float, float]) -> None:
    """Refuse a range that differs from those that the provenance and the quantization of an 8-bit input name."""
    known = {}
    if file.provenance is not None:
        known["provenance"] = file.provenance.input_range or RAW.range
    if file.shape.dtype in ("uint8", "int8"):
        known[f"quantization of its {file.shape.dtype} input"] = _quantized_range(file.shape)
    if not any(_equal(given, one) for one in known.values()):
        origin, (low, high) = next(iter(known.items()))
        raise InputError(
            f"{file.name} knows its input range: expected {low:g},{high:g} ({origin}), "
            f"got {given[0]:g},{given[1]:g}; leave --input-range out"
        )


def _quantized_range(shape: ClassifierShape) -> tuple[float, float]:
    """Compute the real values of the lowest and the highest number of an 8-bit input."""
    limits, scale = np.iinfo(np.dtype(shape.dtype)), shape.scale or 1.0
    return (int(limits.min) - shape.zero_point) * scale, (int(limits.max) - shape.zero_point) * scale


def _equal(given: tuple[float, float], known: tuple[float, float]) -> bool:
    step = (known[1] - known[0]) / 255
    return all(abs(one - other) <= step * 1.001 for one, other in zip(given, known, strict=True))


def measure_input_range(
    predict: Predict, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64] | None = None
) -> InputRange:
    """Try the usual ranges on images, and take the one under which the network predicts best.

    With `labels` the score is the fraction of right predictions. Without, and where even the best fraction could be
    chance because the network numbers its classes in another order, it is the mutual information between image and
    prediction in nats (Bridle, Heading and MacKay 1991): high where each prediction is confident and the predictions
    differ. A network that gets numbers 255 times too large is confident of everything, so 0..255 must not only win but
    find the others almost without information. Equal fractions are decided by that information too.

    Args:
        predict: takes float32[N, H, W, C] in the range tried, returns probabilities float32[N, K].
        images: uint8[N, H, W, C].
        labels: int64[N], where they are known.

    Raises:
        InputError: there are no images.
    """
    if len(images) == 0:
        raise InputError("to measure the input range, images are needed; or give it with --input-range LO,HI")
    predictions = {
        name: predict(images.astype(np.float32) * np.float32((high - low) / 255) + np.float32(low))
        for name, (low, high) in CANDIDATES.items()
    }
    scores = {name: mutual_information(found) for name, found in predictions.items()}
    best, doubt = _without_saturation(scores), ""
    if labels is not None:
        right = {name: int((found.argmax(axis=1) == labels).sum()) for name, found in predictions.items()}
        most = max(right.values())
        if _could_be_chance(most, labels, next(iter(predictions.values())).shape[1]):
            doubt = (
                f"at best {most} of {len(labels)} labels are right, which could be chance: the network may number its "
                "classes in another order than these photos"
            )
        else:
            tied = [name for name in right if right[name] == most]
            best = best if best in tied else tied[0]
            scores = {name: count / len(labels) for name, count in right.items()}
    low, high = CANDIDATES[best]
    return InputRange(low, high, "measured", {name: round(score, 4) for name, score in scores.items()}, doubt)


def mutual_information(probabilities: npt.NDArray[np.float32]) -> float:
    """Compute the mutual information between image and prediction: entropy of the mean minus mean entropy.

    Args:
        probabilities: float32[N, K].

    Returns:
        nats; of a single image the negative of its entropy.
    """
    wide = probabilities.astype(np.float64)
    wide = wide / np.maximum(wide.sum(axis=1, keepdims=True), 1e-12)
    if len(wide) == 1:
        return -float(_entropy(wide)[0])
    return float(_entropy(wide.mean(axis=0)) - _entropy(wide).mean())


def _without_saturation(scores: Mapping[str, float]) -> str:
    small = max(("0..1", "-1..1"), key=lambda name: scores[name])
    return "0..255" if scores["0..255"] > 4 * max(scores[small], 0.0) and scores["0..255"] > 0 else small


def _could_be_chance(right: int, labels: npt.NDArray[np.int64], classes: int) -> bool:
    return could_be_chance(right, labels, classes)


def _entropy(p: npt.NDArray[np.float64]) -> Any:
    return -(p * np.log(np.maximum(p, 1e-12))).sum(axis=-1)
