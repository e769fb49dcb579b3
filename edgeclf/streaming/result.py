"""What the loop says about one frame, and about all of them."""

from __future__ import annotations

from dataclasses import dataclass

from edgeclf.records import Record
from edgeclf.runtime.classifier import LabelScore

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Result(Record):
    """One classified frame.

    Attributes:
        frame: number of the captured frame, from 0.
        time: of the capture, ISO 8601 with time zone.
        label: smoothed over time, with hysteresis; `unknown` below the threshold.
        probability: smoothed probability of `label`; for `unknown` that of the best class.
        raw_label: the frame's own best class, never `unknown`.
        raw_probability: its probability in this frame alone.
        frame_age_ms: from the capture to the result, milliseconds.
        inference_ms: of which the network took.
        fps: results a second, over the last seconds.
        top: the best classes by smoothed probability, best first.
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
    top: tuple[LabelScore, ...]


@dataclass(frozen=True)
class FrameAges(Record):
    """Milliseconds from capture to result, over all results; None where there were none."""

    median: float | None
    p95: float | None
    max: float | None


@dataclass(frozen=True)
class LiveSummary(Record):
    """A whole run of `live`.

    Attributes:
        frames_captured: that the source showed.
        frames_classified: of which the loop took.
        frames_dropped: of which it left out, because a newer one was there.
        seconds: from the capture of the first frame to the last result.
        reconnects: how often the source was opened anew.
        frame_age_ms: how old results were.
        ended: why it ended: `end of source`, `interrupted`, `window closed`, `limit reached`.
        problems: what went wrong on the way and was lived with, the last line of each kind.
    """

    frames_captured: int
    frames_classified: int
    frames_dropped: int
    seconds: float
    reconnects: int
    frame_age_ms: FrameAges
    ended: str
    problems: dict[str, str]
