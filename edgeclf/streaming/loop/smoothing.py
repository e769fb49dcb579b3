"""Give one label over time instead of a new one each frame: an exponential mean, a threshold, and hysteresis."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from edgeclf.streaming.loop.settings import Smoothing


class Smoother:
    """The mean so far and the class that is named.

    Attributes:
        scores: float64[C], the smoothed probabilities; a new array with each update.
        named: index of the class that is named; None: unknown.
    """

    def __init__(self, smoothing: Smoothing) -> None:
        self._smoothing = smoothing
        self._at: float | None = None
        self.scores: npt.NDArray[np.float64] = np.empty(0)
        self.named: int | None = None

    def update(self, scores: npt.NDArray[np.float32], at: float) -> tuple[int | None, float]:
        """Take the probabilities `float32[C]` of a frame captured `at` (seconds, any origin).

        Returns:
            index of the named class (None: unknown), and its smoothed probability (for unknown that of the best class).
        """
        seconds = self._smoothing.seconds
        if self._at is None or seconds == 0:
            self.scores = scores.astype(np.float64)
        else:
            # A frame that comes late counts for all the time that it stands for.
            weight = -math.expm1(-max(0.0, at - self._at) / seconds)
            self.scores = self.scores + weight * (scores - self.scores)
        self._at = at
        best = int(self.scores.argmax())
        self.named = self._choose(best, float(self.scores[best]))
        return self.named, float(self.scores[best if self.named is None else self.named])

    def _choose(self, best: int, leading: float) -> int | None:
        threshold, hysteresis = self._smoothing.threshold, self._smoothing.hysteresis
        named = self.named
        if named is not None:
            kept = float(self.scores[named])
            stays = kept >= threshold - hysteresis
            overtaken = best != named and leading >= kept + hysteresis
            if stays and not (overtaken and leading >= threshold):
                return named
        return best if leading >= threshold else None
