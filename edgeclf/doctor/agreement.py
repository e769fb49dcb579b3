"""Compares what a model computes for an image with what a float model does."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.doctor.examination import Examination
from edgeclf.inference.verification import even_score


def means_another_class(examination: Examination, own: npt.NDArray[Any], real: npt.NDArray[Any]) -> bool:
    """Return whether the examined model's output means another class than a float model's for the same image.

    Args:
        examination: of the model.
        own: its output, raw.
        real: that of the float model.
    """
    if len(own) == 1:
        output = examination.session.output
        even = 0.5 if examination.images is None else even_score(examination.file.shape.scores)
        return ((float(own[0]) - output.zero_point) * (output.scale or 1.0) > even) != (float(real[0]) > even)
    # equal integers of a coarse output are no difference
    return bool(own[int(np.argmax(real))] < own.max())
