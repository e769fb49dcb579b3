"""Dropout whose masks do not depend on what was computed before: an interrupted run draws what it would have drawn."""

from __future__ import annotations

import tf_keras

from edgeclf.graph.private_apis import random_generator

_NEXT_LAYER = 1 << 20
"""Between the seeds of two layers: more than the epochs of a training."""


def reset_dropout(model: tf_keras.Model, seed: int) -> None:
    """Draw the same masks in this epoch, whether the run was interrupted before it or not."""
    dropouts = [one for one in model.layers if isinstance(one, tf_keras.layers.Dropout) and one.rate]
    for place, layer in enumerate(reversed(dropouts)):  # that of the head is the first, with the seed of the epoch
        generator = random_generator(layer)
        if generator is not None:
            generator.reset_from_seed(seed + place * _NEXT_LAYER)
