"""Turns raw pixels into the numbers of an input tensor: one table of 256 entries, whatever the tensor's type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.errors import InputError, ModelError
from edgeclf.records import Record

INPUT_TYPES = ("uint8", "int8", "int16", "float32")


@dataclass(frozen=True)
class Normalization(Record):
    """`(pixel - mean) / std`, as TFLite metadata writes it; one value for all channels or one each.

    A network that carries its scaling inside takes the pixels as they are: mean 0, std 1.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def from_range(cls, low: float, high: float) -> Normalization:
        """Make the normalization that takes 0 to `low` and 255 to `high`.

        Raises:
            InputError: `high` is not above `low`.
        """
        if not (np.isfinite(low) and np.isfinite(high) and high > low):
            raise InputError(f"input_range must be two rising numbers such as (0, 1), got ({low:g}, {high:g})")
        std = 255.0 / (high - low)
        return cls((0.0 - low * std,), (std,))

    @property
    def range(self) -> tuple[float, float]:
        """What 0 and 255 become, the mean over the channels."""
        mean, std = np.array(self.mean), np.array(self.std)
        return float(np.mean(-mean / std)), float(np.mean((255.0 - mean) / std))


RAW = Normalization((0.0,), (1.0,))


def pixel_table(
    dtype: str, scale: float, zero_point: int, normalization: Normalization | None = None
) -> npt.NDArray[Any]:
    """Compute the tensor's number for each pixel value: `[256]`, or `[256, C]` where the channels differ.

    An 8-bit tensor takes the pixel's own bytes unless `normalization` is given: its quantization spans what the
    network expects, and MediaPipe feeds it so.

    Args:
        dtype: the tensor's element type.
        scale: of its quantization; 0 where it has none.
        zero_point: of its quantization.
        normalization: what the network expects; None: the pixels as they are.

    Raises:
        ModelError: the type is none of `INPUT_TYPES`.
    """
    if dtype not in INPUT_TYPES:
        raise ModelError(f"the input must be one of {', '.join(INPUT_TYPES)}, got {dtype}")
    pixels = np.arange(256)
    if normalization is None and dtype in ("uint8", "int8"):
        return pixels.astype(np.uint8) if dtype == "uint8" else (pixels - 128).astype(np.int8)
    applied = normalization or RAW
    mean, std = np.array(applied.mean), np.array(applied.std)
    real: npt.NDArray[np.float64] = (pixels[:, None] - mean) / std
    real = real[:, 0] if real.shape[1] == 1 else real
    if dtype == "float32":
        return real.astype(np.float32)
    if scale <= 0:
        raise ModelError(f"the input is {dtype} without a quantization scale; only float32 works without one")
    limits = np.iinfo(np.dtype(dtype))
    numbers = np.clip(np.rint(real / scale) + zero_point, limits.min, limits.max)
    table: npt.NDArray[Any] = numbers.astype(np.dtype(dtype))
    return table


def apply_table(table: npt.NDArray[Any], image: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """Make the tensor for `image` (`uint8[..., C]`)."""
    if table.ndim == 1:
        return np.ascontiguousarray(table[image])
    channels = np.arange(image.shape[-1])
    return np.ascontiguousarray(table[image, channels])
