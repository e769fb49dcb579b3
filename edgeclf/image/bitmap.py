"""Decodes bitmaps whose pixels are packed by masks that OpenCV does not follow (BITMAPINFOHEADER, BI_BITFIELDS)."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from edgeclf.errors import ImageError

PLAIN, MASKS, ALPHA_MASKS = 0, 3, 6
"""How a bitmap can be packed such that each row has the same number of bytes."""

_FILE_HEADER, _SMALLEST = 14, 40
_USUAL = {
    32: ((0xFF0000, 0xFF00, 0xFF),),
    16: ((0x7C00, 0x3E0, 0x1F), (0xF800, 0x7E0, 0x1F)),
}


def decode_masked(content: bytes) -> npt.NDArray[np.uint8] | None:
    """Decode a bitmap to `uint8[H, W, 3]` RGB; None where it is none of those, and OpenCV reads it rightly.

    Raises:
        ImageError: the masks are none, or there are fewer pixels than it claims.
    """
    try:
        return _decode(content)
    except (struct.error, ValueError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError("the file is cut or damaged: the BMP ends before its masks or pixels do") from error


def _decode(content: bytes) -> npt.NDArray[np.uint8] | None:
    start, size = struct.unpack_from("<II", content, 10)
    if size < _SMALLEST:
        return None
    width, height, _, bits, packing = struct.unpack_from("<iiHHI", content, 18)
    if packing not in (MASKS, ALPHA_MASKS) or bits not in _USUAL or width <= 0:
        return None
    masks = struct.unpack_from("<3I", content, _FILE_HEADER + _SMALLEST)
    if packing == MASKS and masks in _USUAL[bits]:
        return None
    stride = (bits * width + 31) // 32 * 4
    stored = np.frombuffer(content, f"<u{bits // 8}", stride * abs(height) // (bits // 8), start)
    rows = stored.reshape(abs(height), -1)[:, :width]
    if height > 0:  # the lowest row comes first
        rows = rows[::-1]
    return np.stack([_channel(rows, mask) for mask in masks], axis=-1)


def _channel(rows: npt.NDArray[np.unsignedinteger], mask: int) -> npt.NDArray[np.uint8]:
    shift = (mask & -mask).bit_length() - 1
    largest = mask >> max(shift, 0)
    if not mask or largest & (largest + 1):
        raise ImageError(f"a BMP whose colours have the mask {mask:#x}, which is none; save it again")
    values = (rows.astype(np.uint64) & np.uint64(mask)) >> np.uint64(shift)
    return np.asarray((values * np.uint64(255) + np.uint64(largest // 2)) // np.uint64(largest), np.uint8)
