"""Which range of input values a network from elsewhere wants, when nothing in its file says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.errors import InputError
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
        source: who said so: `given`, `provenance`, `metadata`, `8-bit input` or `measured`.
        scores: of a measurement, by candidate.
    """

    low: float
    high: float
    source: str
    scores: dict[str, float] | None = None

    @property
    def sentence(self) -> str:
        """One line for the user."""
        line = f"pixels enter as {self.low:g} to {self.high:g} ({self.source})"
        if self.scores is None:
            return line
        figures = ", ".join(f"{name} {score:.3f}" for name, score in self.scores.items())
        return f"{line}; scores: {figures}; --input-range LO,HI overrules it"


def measure_input_range(
    predict: Predict, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64] | None = None
) -> InputRange:
    """Try the usual ranges on images, and take the one under which the network answers best.

    With `labels` the score is the share of right answers. Without, it is the mutual information between image and
    answer in nats (Bridle, Heading and MacKay 1991): high where each answer is sure and the answers differ. A network
    that gets numbers 255 times too large is sure of everything, so 0..255 must not only win but find the others
    almost mute.

    Args:
        predict: takes float32[N, H, W, C] in the range tried, returns probabilities float32[N, K].
        images: uint8[N, H, W, C].
        labels: int64[N], where they are known.

    Raises:
        InputError: there are no images.
    """
    if len(images) == 0:
        raise InputError("to find out the input range, images are needed; or say it with --input-range LO,HI")
    scores: dict[str, float] = {}
    for name, (low, high) in CANDIDATES.items():
        answers = predict(images.astype(np.float32) * np.float32((high - low) / 255) + np.float32(low))
        scores[name] = _right(answers, labels) if labels is not None else information(answers)
    best = max(scores, key=lambda name: scores[name])
    if labels is None:
        best = _without_saturation(scores)
    low, high = CANDIDATES[best]
    return InputRange(low, high, "measured", {name: round(score, 4) for name, score in scores.items()})


def information(answers: npt.NDArray[np.float32]) -> float:
    """Mutual information between image and answer, nats: entropy of the mean minus mean entropy of float32[N, K].

    Of a single image it is the negative of its entropy.
    """
    wide = answers.astype(np.float64)
    wide = wide / np.maximum(wide.sum(axis=1, keepdims=True), 1e-12)
    if len(wide) == 1:
        return -float(_entropy(wide)[0])
    return float(_entropy(wide.mean(axis=0)) - _entropy(wide).mean())


def _without_saturation(scores: Mapping[str, float]) -> str:
    small = max(("0..1", "-1..1"), key=lambda name: scores[name])
    return "0..255" if scores["0..255"] > 4 * max(scores[small], 0.0) and scores["0..255"] > 0 else small


def _right(answers: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    return float((answers.argmax(axis=1) == labels).mean())


def _entropy(p: npt.NDArray[np.float64]) -> Any:
    return -(p * np.log(np.maximum(p, 1e-12))).sum(axis=-1)
