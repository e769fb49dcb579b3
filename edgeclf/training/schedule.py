"""The learning rate: linear warm-up, then half a cosine to zero (Loshchilov and Hutter, 2017, arXiv:1608.03983)."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf
import tf_keras


class WarmupCosine(tf_keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Learning rate by step.

    Args:
        peak: reached at the end of the warm-up.
        total_steps: steps of the whole training.
        warmup_steps: steps of the warm-up.
    """

    def __init__(self, peak: float, total_steps: int, warmup_steps: int = 0) -> None:
        super().__init__()
        self.peak, self.total_steps, self.warmup_steps = peak, total_steps, warmup_steps

    def __call__(self, step: Any) -> Any:
        """Compute the learning rate at `step`, from 0."""
        step = tf.cast(step, tf.float32)
        rising = (step + 1) / max(1, self.warmup_steps)
        done = (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps)
        falling = 0.5 * (1 + tf.cos(math.pi * tf.clip_by_value(done, 0.0, 1.0)))
        return self.peak * tf.where(step < self.warmup_steps, rising, falling)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"peak": self.peak, "total_steps": self.total_steps, "warmup_steps": self.warmup_steps}
