"""Notices models and networks that are no better than guessing, and describes what the reason may be."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgeclf.inference.input_range import InputRange
from edgeclf.inference.range_measurement import could_be_chance

REMEDY = (
    "pixels may enter it in another way than it was trained with (--normalize), or its classes may stand in another "
    "order (--labels FILE)"
)


def describe_chance(
    top1: float, labels: npt.NDArray[np.int64], classes: int, input_range: InputRange | None = None
) -> str:
    """Return a line on a model whose top-1 could be chance; empty where it is not, or where that cannot be seen.

    Args:
        top1: fraction of right predictions.
        labels: int64[N], the true ones.
        classes: number of the model's outputs.
        input_range: how pixels entered it.
    """
    count = len(labels)
    right = round(top1 * count)
    if not count or could_be_chance(count, labels, classes) or not could_be_chance(right, labels, classes):
        return ""
    entered = f" (now {input_range.normalization.text}, {input_range.source})" if input_range is not None else ""
    return f"near chance: {right} of {count} labels are right{entered}; {REMEDY}"
