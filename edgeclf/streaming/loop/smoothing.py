"""Give one label over time instead of a new one each frame: an exponential mean, a threshold, and hysteresis."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from edgeclf.inference.prediction import NO_RULE, UnknownRule
from edgeclf.streaming.loop.settings import DEFAULT_THRESHOLD, Smoothing

_FARTHEST = 10.0
"""Times the limit that a single frame's features count as at most: one glare must not stay in the mean for seconds."""


class Smoother:
    """The mean so far and the class that is named.

    Attributes:
        scores: float64[C], the smoothed probabilities; a new array with each update.
        named: index of the class that is named; None: unknown.
        novelty: smoothed distance of the features from known ones, 1 at the limit; None: it is not measured.

    Args:
        smoothing: how the label follows the probabilities.
        rule: when the model itself calls an image unknown; its threshold holds where `smoothing` has none.
    """

    def __init__(self, smoothing: Smoothing, rule: UnknownRule = NO_RULE) -> None:
        self._smoothing, self._rule = smoothing, rule
        chosen = (smoothing.threshold, rule.threshold, DEFAULT_THRESHOLD)
        self._threshold = next(threshold for threshold in chosen if threshold is not None)
        self._at: float | None = None
        self.scores: npt.NDArray[np.float64] = np.empty(0)
        self.named: int | None = None
        self.novelty: float | None = None

    def update(
        self, scores: npt.NDArray[np.float32], at: float, novelty: float | None = None
    ) -> tuple[int | None, float]:
        """Take the probabilities `float32[C]` of a frame captured `at` (seconds, any origin).

        Args:
            scores: of the frame.
            at: when it was captured.
            novelty: how far its features lie from known ones; None: that is not measured.

        Returns:
            index of the named class (None: unknown), and its smoothed probability (for unknown that of the best class).
        """
        seconds = self._smoothing.seconds
        weight = 1.0
        if self._at is None or seconds == 0:
            self.scores = scores.astype(np.float64)
        else:
            # A frame that comes late counts for all the time that it stands for.
            weight = -math.expm1(-max(0.0, at - self._at) / seconds)
            self.scores = self.scores + weight * (scores - self.scores)
        if novelty is not None:
            counted = novelty if seconds == 0 else min(novelty, _FARTHEST)
            self.novelty = counted if self.novelty is None else self.novelty + weight * (counted - self.novelty)
        self._at = at
        best = int(self.scores.argmax())
        self.named = self._choose(best, float(self.scores[best]))
        return self.named, float(self.scores[best if self.named is None else self.named])

    def _choose(self, best: int, leading: float) -> int | None:
        threshold, hysteresis = self._threshold, self._smoothing.hysteresis
        named = self.named
        if not leading > 0:  # frames that the model computed no numbers for
            return None
        if self._rule.is_novel(self.novelty, 0.0 if named is None else hysteresis):
            return None
        if named is not None:
            kept = float(self.scores[named])
            stays = kept >= threshold - hysteresis
            overtaken = best != named and leading >= kept + hysteresis
            if stays and not (overtaken and leading >= threshold):
                return named
        return best if leading >= threshold else None
