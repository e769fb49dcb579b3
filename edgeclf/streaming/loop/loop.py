"""Take the newest frame, classify it, hand the result on, and do nothing else.

Whatever is slow (a disk, a browser, a broker, a program to run) has a thread of its own and gets what it can take.
"""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.none_class import UNKNOWN, hide_none_classes
from edgeclf.errors import InputError, one_line
from edgeclf.image.decoding import fit_image
from edgeclf.image.shape import InputShape
from edgeclf.inference.prediction import UnknownRule
from edgeclf.streaming.camera.capture import Capture
from edgeclf.streaming.camera.frame import Frame, Pixels
from edgeclf.streaming.loop.geometry import Picture
from edgeclf.streaming.loop.result import LazyTopK, LiveSummary, Result
from edgeclf.streaming.loop.settings import LiveSettings
from edgeclf.streaming.loop.smoothing import Smoother
from edgeclf.streaming.loop.state import LiveState, Output
from edgeclf.streaming.loop.tally import AgeTally, Rate

TOP = 5
IDLE_SECONDS = 0.1
"""How long one turn waits for a frame: the longest that a stop, or the watchdog's message, can be late."""
NO_NUMBERS = "what it computes is NaN or infinite and counts as unknown; a wrong --normalize is a common reason"
_PART, _REGION = "model", "region"
_WELL_AFTER = 100  # usable results after which a model that computed NaN works again: one that alternates is no news


class FrameClassifier(Protocol):
    """What the loop needs of a classifier; see `edgeclf.Classifier`."""

    labels: tuple[str, ...]
    input_shape: InputShape
    rule: UnknownRule

    def scores(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return the probabilities float32[C] of uint8[height, width, 3] RGB."""

    def novelty(self) -> float | None:
        """Return how far the features of the image that was classified last lie from known ones, 1 at the limit."""


@runtime_checkable
class HasMaps(Protocol):
    """What the loop needs of a classifier to show where evidence lies; see `edgeclf.inference.activation_maps`."""

    def activation_map(self, index: int) -> npt.NDArray[np.float32]:
        """Return what each place of the image that was classified last adds to the logit of a class: float32[h, w]."""


class Loop:
    """Classifies frames until the loop is stopped, the source ends, or a limit is reached.

    Args:
        capture: gives the frames.
        classifier: classifies them.
        state: what the views read.
        settings: which part of a frame is looked at, how labels are smoothed, when to end. With `every_frame` labels
            are smoothed over the time of the recording (see `Frame.moment`).
        outputs: what else takes each result; must not wait.
        beat: called once a turn, from the loop itself: feeds a watchdog that must not be fed by a thread beside it.

    Attributes:
        slowest: seconds that the slowest image took so far.
    """

    def __init__(
        self,
        capture: Capture,
        classifier: FrameClassifier,
        state: LiveState,
        settings: LiveSettings = LiveSettings(),
        *,
        outputs: Sequence[Output] = (),
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._capture, self._classifier, self._state = capture, classifier, state
        self._maps = classifier if settings.heatmap and isinstance(classifier, HasMaps) else None
        self._shown = hide_none_classes(classifier.labels)
        self._geometry, self._outputs, self._limits = settings.geometry, tuple(outputs), settings.limits
        self._paced, self._beat = not settings.every_frame, beat
        self._smoother = Smoother(settings.smoothing, classifier.rule)
        self._ages, self._rate = AgeTally(), Rate()
        self._classified = 0
        self._until_well = 0
        self._first: float | None = None
        self._last = 0.0
        self.slowest = 0.0

    def run(self, stop: threading.Event) -> str:
        """Work until the end; return the reason: `interrupted`, `end of source` or `limit reached`.

        Raises:
            InputError: the source cannot be used at all.
            RunFailedError: the source broke for good, or the runtime failed.
        """
        limits, capture = self._limits, self._capture
        began = time.monotonic()
        due = began
        while not stop.is_set():
            self._beat()
            now = time.monotonic()
            if limits.seconds is not None and now - began >= limits.seconds:
                return "limit reached"
            if limits.max_fps is not None:
                if now < due:
                    stop.wait(min(due - now, IDLE_SECONDS))
                    capture.poll_health()  # the next frame may be taken only in a minute
                    if capture.ended:
                        return "end of source"
                    continue
                due = max(due + 1 / limits.max_fps, now)
            frame = capture.take(IDLE_SECONDS)
            if frame is not None:
                self._classify(frame)
                if limits.frames is not None and self._classified >= limits.frames:
                    return "limit reached"
            elif capture.ended:
                return "end of source"
            elif limits.max_fps is not None:
                due = now  # a turn without a frame spends nothing
        return "interrupted"

    def summary(self, ended: str) -> LiveSummary:
        """Sum up the run; to be called after `run`, and after the capture was closed."""
        capture = self._capture
        return LiveSummary(
            frames_captured=capture.captured,
            frames_classified=self._classified,
            frames_dropped=capture.dropped,
            seconds=0.0 if self._first is None else round(self._last - self._first, 3),
            reconnects=capture.reconnects,
            frame_age_ms=self._ages.ages(),
            ended=ended,
            problems=self._state.problems.ever(),
            notes=self._state.notes(),
        )

    def _classify(self, frame: Frame) -> None:
        classifier = self._classifier
        # Blue and red change places after the resize, where the picture is small: channels are resized one by one.
        shape = classifier.input_shape
        region = self._cut(frame, shape)
        if region is None:
            return
        small = fit_image(region, shape)[..., ::-1]
        began = time.monotonic()
        scores, novelty = classifier.scores(np.ascontiguousarray(small)), classifier.novelty()
        done = time.monotonic()
        if self._first is None:
            self._first = frame.captured
        self._last, self.slowest = done, max(self.slowest, done - began)
        usable = self._check(scores)
        if not usable:
            scores, novelty = np.zeros_like(scores), None
        raw = int(scores.argmax())
        at = frame.moment(paced=self._paced)
        named, probability = self._smoother.update(scores, at, novelty)
        labels = self._shown
        age = max(0.0, done - frame.captured) * 1000
        self._classified += 1
        self._ages.add(age)
        result = Result(
            frame=frame.number,
            time=_iso(frame.time),
            label=UNKNOWN if named is None else labels[named],
            probability=probability,
            raw_label=labels[raw] if usable else UNKNOWN,
            raw_probability=float(scores[raw]),
            frame_age_ms=round(age, 3),
            inference_ms=round((done - began) * 1000, 3),
            fps=round(self._rate.add(done), 2),
            top=LazyTopK(labels, self._smoother.scores, TOP),
            novelty=self._smoother.novelty,
        )
        heat = None
        if self._maps is not None and usable:
            heat = self._maps.activation_map(raw if named is None else named)
        picture = Picture(frame, self._geometry, shape, heat)
        self._state.publish(result, picture, self._capture.captured, self._capture.dropped)
        for output in self._outputs:
            output.take(result, picture)

    def _cut(self, frame: Frame, shape: InputShape) -> Pixels | None:
        """Return the region of a frame that is looked at; None where a later frame has become too small for it.

        Raises:
            InputError: the region reaches beyond the first frame.
        """
        try:
            found = self._geometry.region(frame.pixels, shape)
        except InputError as error:
            if self._first is None:
                raise
            self._state.problems.begin(_REGION, f"the frame is left out: {one_line(error)}")
            return None
        self._state.problems.end(_REGION)
        return found

    def _check(self, scores: npt.NDArray[np.float32]) -> bool:
        """Return whether scores are numbers, which would else stay in the mean for ever; where not, it is a problem."""
        usable = bool(np.isfinite(scores).all())
        if not usable:
            self._until_well = _WELL_AFTER
            self._state.problems.begin(_PART, NO_NUMBERS)
        elif self._until_well:
            self._until_well -= 1
            if not self._until_well:
                self._state.problems.end(_PART)
        return usable


def _iso(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat(timespec="milliseconds")
