"""Numbers for a model that takes no images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.inference.engine import TensorSpec

_PIXEL_BITS = 16
"""Integers of more bits are no pixels but numbers of words or rows, of which 0 is always one."""


def draw_input(spec: TensorSpec) -> npt.NDArray[Any]:
    """Draw an input: reals from 0 to 1, integers of few bits near those of pixels, zeros of other types."""
    dtype, random = np.dtype(spec.dtype), np.random.default_rng(0)
    if dtype.kind == "f":
        return random.random(spec.shape, np.float32).astype(dtype)
    if dtype.kind not in "iu" or 8 * dtype.itemsize > _PIXEL_BITS:
        return np.zeros(spec.shape, dtype)
    limits = np.iinfo(dtype)
    return random.integers(max(limits.min, -128), min(limits.max, 255), spec.shape).astype(dtype)
