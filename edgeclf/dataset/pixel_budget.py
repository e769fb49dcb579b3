"""Bounds the memory that pictures take while they are decoded in several threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from edgeclf.image.decoding import MAX_PIXELS

UNKNOWN = 48_000_000
"""Pixels that a picture counts for whose header does not state its size."""


class PixelBudget:
    """Lets threads decode pictures that have no more pixels together than the largest that is read.

    Twelve million pixels, as most photos have, are decoded on 22 cores at once; of the largest phone cameras' photos,
    of 200 million, one is at a time. Without it each core would hold one: 600 MB decoded, and copies while it is turned
    and resized.

    Args:
        pixels: that may be decoded at once.
    """

    def __init__(self, pixels: int = MAX_PIXELS) -> None:
        self._all, self._free = pixels, pixels
        self._changed = threading.Condition()

    @contextmanager
    def take(self, pixels: int) -> Iterator[None]:
        """Wait until so many pixels are free, and keep them until the block ends.

        Args:
            pixels: of one picture; more than there are count as all of them, so that it waits to be alone.
        """
        taken = min(pixels or UNKNOWN, self._all)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= taken)
            self._free -= taken
        try:
            yield
        finally:
            with self._changed:
                self._free += taken
                self._changed.notify_all()
