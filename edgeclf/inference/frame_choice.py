"""Chooses a network's input normalization over the frames of a camera, while it classifies."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.normalization import Normalization
from edgeclf.inference.input_range import InputRange
from edgeclf.inference.range_measurement import CANDIDATES, Predict, choose_by_information, normalize_images

FRAMES = 32
SECONDS_APART = 0.5
"""Neighbouring frames show the same: they are one image."""


class FrameChoice:
    """Collects what the network predicts for some frames under each candidate; the frames themselves are not kept.

    One candidate is computed a call, so that a frame takes at most twice as long as usual while nothing is decided.

    Args:
        frames: how many are looked at.
        seconds_apart: least time between two of them.
        clock: seconds.
    """

    def __init__(
        self,
        frames: int = FRAMES,
        seconds_apart: float = SECONDS_APART,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._frames, self._apart, self._clock = frames, seconds_apart, clock
        self._predictions: dict[str, list[npt.NDArray[np.float32]]] = {}
        self._frame: npt.NDArray[np.uint8] | None = None
        self._open: list[tuple[str, Normalization]] = []
        self._due = clock()

    def add(self, frame: npt.NDArray[np.uint8], predict: Predict) -> InputRange | None:
        """Look at a frame, or go on with an earlier one.

        Args:
            frame: uint8[H, W, C].
            predict: takes normalized float32[N, H, W, C], returns probabilities float32[N, K].

        Returns:
            the choice, once there were enough frames; else None.
        """
        if not self._open:
            now = self._clock()
            if now < self._due:
                return None
            self._due, self._frame = now + self._apart, frame.copy()
            self._open = [(n, c) for n, c in CANDIDATES.items() if frame.shape[-1] == 3 or c.pair is not None]
        assert self._frame is not None
        name, candidate = self._open.pop()
        tensors = normalize_images(self._frame[None], candidate)
        self._predictions.setdefault(name, []).append(predict(tensors)[0])
        if self._open or len(self._predictions[name]) < self._frames:
            return None
        return choose_by_information({name: np.stack(found) for name, found in self._predictions.items()})
