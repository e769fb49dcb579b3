"""Turns raw pixels into the numbers of an input tensor: one table of 256 entries, whatever the tensor's type."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.normalization import RAW, Normalization
from edgeclf.errors import ModelError

INPUT_TYPES = ("uint8", "int8", "int16", "float32")


def pixel_table(
    dtype: str, scale: float, zero_point: int, normalization: Normalization | None = None
) -> npt.NDArray[Any]:
    """Compute the tensor's number for each pixel value: `[256]`, or `[256, C]`, in the network's order of channels.

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


def apply_table(table: npt.NDArray[Any], image: npt.NDArray[np.uint8], channel_order: str = "RGB") -> npt.NDArray[Any]:
    """Make the tensor for `image`.

    Args:
        table: of `pixel_table`.
        image: `uint8[..., C]`, RGB or gray.
        channel_order: that of the normalization that the table was made with.
    """
    if channel_order == "BGR":
        image = image[..., ::-1]
    if table.ndim == 1:
        return np.ascontiguousarray(table[image])
    channels = np.arange(image.shape[-1])
    return np.ascontiguousarray(table[image, channels])
