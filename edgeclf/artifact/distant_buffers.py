"""Weights behind the FlatBuffer of a TFLite file: files over 2 GB keep them there, and so does Google's quantizer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from edgeclf.artifact.flatbuffer_reader import Table, damage_error


def find_distant(buffer: Table) -> tuple[int, int] | None:
    """Return where the data of a buffer lies behind the FlatBuffer, and its bytes; None: it does not."""
    start = buffer.integer(1, "Q")
    return (start, buffer.integer(2, "Q")) if start > 1 else None


def gather_buffers(content: bytes, buffers: Iterable[Any]) -> None:
    """Put what lies behind the FlatBuffer into the buffers, so that the file can be written in one piece.

    Args:
        content: the file.
        buffers: `BufferT` of the schema; changed in place.

    Raises:
        ModelError: a buffer lies outside of the file.
    """
    for buffer in buffers:
        start, size = int(buffer.offset), int(buffer.size)
        if start <= 1:
            continue
        if start + size > len(content):
            raise damage_error(f"the {size} bytes of a buffer at {start} lie outside of it")
        buffer.data = np.frombuffer(content, np.uint8, size, start)
        buffer.offset = buffer.size = 0
