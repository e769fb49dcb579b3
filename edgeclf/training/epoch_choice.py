"""Which epochs are as good as the best one, as far as the validation images can distinguish them."""

from __future__ import annotations

import math


def within_chance(best: float, images: int) -> float:
    """Return the lowest validation top-1 that `images` images cannot distinguish from `best`, the highest so far.

    The best of many epochs is in part the luckiest one, and the learning rate falls: of two epochs that are alike, the
    later one was trained with a lower rate. So the latest is kept that lies within one standard error of the best
    (Breiman et al., Classification and Regression Trees, 1984, section 3.4.3). Both are fractions. Of images that are
    all right, two more and two wrong ones are counted (Agresti and Coull, 1998): nine of nine are no proof.
    """
    if best >= 1:
        few = images + 4
        fraction = (images + 2) / few
        return best - math.sqrt(fraction * (1 - fraction) / few)
    fraction = max(best, 0.0)
    return best - math.sqrt(fraction * (1 - fraction) / max(1, images))
