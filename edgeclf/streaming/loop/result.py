"""The results of the loop: for one frame, and for the whole run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

from edgeclf.inference.classifier import LabelScore
from edgeclf.records import Record


@dataclass(frozen=True)
class Result(Record):
    """One classified frame.

    Attributes:
        frame: number of the captured frame, from 0.
        time: of the capture, ISO 8601 with time zone.
        label: smoothed over time, with hysteresis; `unknown` below the threshold, beyond the limit of `novelty`, and
            for the class none of these.
        probability: smoothed probability of `label`; for `unknown` that of the best class.
        raw_label: the frame's own best class; `unknown` only for the class none of these, and where the model computed
            NaN or infinity.
        raw_probability: its probability in this frame alone.
        frame_age_ms: from the capture to the result, milliseconds.
        inference_ms: of which the network took.
        fps: results a second, over the last seconds.
        top: the best classes by smoothed probability, best first; the class none of these is called `unknown`.
        novelty: how far the features lie from known ones, smoothed, 1 at the limit; None: the model has no such check.
    """

    frame: int
    time: str
    label: str
    probability: float
    raw_label: str
    raw_probability: float
    frame_age_ms: float
    inference_ms: float
    fps: float
    top: Sequence[LabelScore]
    novelty: float | None = None


class LazyTopK(Sequence[LabelScore]):
    """The best classes, best first, sorted only when they are read: most results are never looked at.

    Args:
        labels: class names.
        scores: float64[C], never written to again.
        count: how many classes.
    """

    __slots__ = ("_best", "_count", "_labels", "_scores")

    def __init__(self, labels: tuple[str, ...], scores: npt.NDArray[np.float64], count: int) -> None:
        self._labels, self._scores, self._count = labels, scores, count
        self._best: tuple[LabelScore, ...] | None = None

    @overload
    def __getitem__(self, place: int, /) -> LabelScore: ...
    @overload
    def __getitem__(self, place: slice, /) -> Sequence[LabelScore]: ...
    def __getitem__(self, place: int | slice, /) -> LabelScore | Sequence[LabelScore]:
        """Return the class at a place, from 0."""
        return self._sorted()[place]

    def __len__(self) -> int:
        """Return how many there are."""
        return min(self._count, len(self._scores))

    def __iter__(self) -> Iterator[LabelScore]:
        """Iterate, best first."""
        return iter(self._sorted())

    def _sorted(self) -> tuple[LabelScore, ...]:
        if self._best is None:
            scores = self._scores
            best = np.argsort(-scores, kind="stable")[: self._count].tolist()
            self._best = tuple(LabelScore(self._labels[i], i, float(scores[i])) for i in best)
        return self._best


@dataclass(frozen=True)
class FrameAges(Record):
    """Milliseconds from capture to result, over all results; None where there were none."""

    median: float | None
    p95: float | None
    max: float | None


@dataclass(frozen=True)
class CollectedFrames(Record):
    """Where frames were collected, and how many.

    Attributes:
        folder: that was given.
        new: collected by this run.
        waiting: in the folder, without a label so far.
    """

    folder: str
    new: int
    waiting: int


@dataclass(frozen=True)
class LiveSummary(Record):
    """A whole run of `live`.

    Attributes:
        frames_captured: that the source showed.
        frames_classified: of which the loop took.
        frames_dropped: of which it left out, because a newer one was there.
        seconds: from the capture of the first frame to the last result.
        reconnects: how often the source was opened again.
        frame_age_ms: how old results were.
        ended: why it ended: `end of source`, `interrupted`, `window closed`, `limit reached`.
        problems: what went wrong without ending the run: the last line of each part.
        notes: what the classifier noted about the model, such as how its input range was decided.
        recording: the video that was written; None: none was asked for, or there is none.
        collected: folder of collected frames; None: none were collected.
    """

    frames_captured: int
    frames_classified: int
    frames_dropped: int
    seconds: float
    reconnects: int
    frame_age_ms: FrameAges
    ended: str
    problems: dict[str, str]
    notes: tuple[str, ...] = ()
    recording: str | None = None
    collected: CollectedFrames | None = None
