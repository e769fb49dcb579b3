"""Which range of input values a network from elsewhere wants, when nothing in its file says so."""

from __future__ import annotations

import math
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
        source: who said so: `given`, `provenance`, `metadata`, `network` (it scales inside), `8-bit input` or
            `measured`.
        scores: of a measurement, by candidate.
        doubt: a sentence where the right answers of a measurement were too few to decide by; else empty.
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


def measure_input_range(
    predict: Predict, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64] | None = None
) -> InputRange:
    """Try the usual ranges on images, and take the one under which the network answers best.

    With `labels` the score is the share of right answers. Without, and where even the best share could be chance
    because the network numbers its classes in another order, it is the mutual information between image and answer in
    nats (Bridle, Heading and MacKay 1991): high where each answer is sure and the answers differ. A network that gets
    numbers 255 times too large is sure of everything, so 0..255 must not only win but find the others almost mute.
    Equal shares are decided by that information too.

    Args:
        predict: takes float32[N, H, W, C] in the range tried, returns probabilities float32[N, K].
        images: uint8[N, H, W, C].
        labels: int64[N], where they are known.

    Raises:
        InputError: there are no images.
    """
    if len(images) == 0:
        raise InputError("to find out the input range, images are needed; or say it with --input-range LO,HI")
    answers = {
        name: predict(images.astype(np.float32) * np.float32((high - low) / 255) + np.float32(low))
        for name, (low, high) in CANDIDATES.items()
    }
    scores = {name: information(given) for name, given in answers.items()}
    best, doubt = _without_saturation(scores), ""
    if labels is not None:
        right = {name: int((given.argmax(axis=1) == labels).sum()) for name, given in answers.items()}
        most = max(right.values())
        if _could_be_chance(most, labels, next(iter(answers.values())).shape[1]):
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


def _could_be_chance(right: int, labels: npt.NDArray[np.int64], classes: int) -> bool:
    """Whether guessing, or always saying the most frequent class, gives as many right answers in 1 of 20 cases."""
    count = len(labels)
    share = max(1 / classes, float(np.bincount(labels).max()) / count)
    if share >= 1:
        return True
    tail = sum(math.comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(right, count + 1))
    return tail > 0.05


def _entropy(p: npt.NDArray[np.float64]) -> Any:
    return -(p * np.log(np.maximum(p, 1e-12))).sum(axis=-1)
