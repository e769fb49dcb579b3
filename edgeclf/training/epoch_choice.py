"""Which epochs are as good as the best one, as far as the validation images can distinguish them."""

from __future__ import annotations

import math


def within_chance(best: float, images: int) -> float:
    """Return the lowest validation top-1 that `images` images cannot distinguish from `best`, the highest so far.

    The best of many epochs is in part the luckiest one, and the learning rate falls: of two epochs that are alike, the
    later one was trained with a lower rate. So the latest is kept that lies within one standard error of the best
    (Breiman et al., Classification and Regression Trees, 1984, section 3.4.3). Both are fractions.
    """
    fraction = min(max(best, 0.0), 1.0)
    return best - math.sqrt(fraction * (1 - fraction) / max(1, images))
