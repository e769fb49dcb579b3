"""Checksums of stored images, fast enough to compare them whenever images are used."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgeclf.dataset.contents import map_in_threads

_CHECKED_BYTES = 4 << 20
_WORD = 8


class StoredRow(NamedTuple):
    """Number of a row in its file, time of its last use in seconds, and checksum of its image."""

    number: int
    used: int
    checksum: int


class CheckedRows:
    """Compares rows with their checksums, each once."""

    def __init__(self) -> None:
        self._checked: dict[int, set[int]] = {}

    def find_changed(self, array: int, pixels: npt.NDArray[np.uint8], rows: Iterable[StoredRow]) -> list[int]:
        """Return the numbers of those `rows` of an array, uint8[N, H, W, 3], that are not as they were stored."""
        known = self._checked.setdefault(array, set())
        checksums = {row.number: row.checksum for row in rows if row.number not in known}
        changed = find_changed(pixels, checksums)
        known.update(checksums.keys() - set(changed))
        return changed


def row_checksums(rows: npt.NDArray[np.uint8]) -> list[int]:
    """Return a checksum of each image of `uint8[N, H, W, 3]`, 64 bits with a sign, as SQLite keeps them.

    It is the sum, modulo 2^64, of the image's words of 8 bytes, each times an odd number of its place: a change of any
    one word changes it for certain, others with a probability of all but 2^-64. At several gigabytes a second it is a
    multiple of CRC-32's speed, so that images can be checked whenever they are used.
    """
    flat = np.ascontiguousarray(rows).reshape(len(rows), -1)
    whole = flat.shape[1] // _WORD * _WORD
    sums = np.zeros(len(flat), np.uint64)
    for part in (flat[:, :whole], flat[:, whole:]):
        if not part.shape[1]:
            continue
        if part.shape[1] % _WORD:
            part = np.pad(part, ((0, 0), (0, -part.shape[1] % _WORD)))
        words = np.ascontiguousarray(part).view(np.uint64)
        sums += np.einsum("ij,j->i", words, _place_factors(words.shape[1]))
    return [int(value) for value in sums.view(np.int64)]


@functools.lru_cache(maxsize=8)
def _place_factors(count: int) -> npt.NDArray[np.uint64]:
    odd: npt.NDArray[np.uint64] = np.random.default_rng(0).integers(0, 1 << 64, count, np.uint64) | np.uint64(1)
    return odd


def find_changed(pixels: npt.NDArray[np.uint8], checksums: Mapping[int, int]) -> list[int]:
    """Compare mapped images with their checksums, on all cores, and return the numbers of those that differ.

    Args:
        pixels: `uint8[N, H, W, 3]`.
        checksums: by row number.
    """
    numbers = np.array(sorted(checksums), np.int64)
    step = max(1, _CHECKED_BYTES // max(1, int(np.prod(pixels.shape[1:], dtype=np.int64))))

    def check(start: int) -> list[int]:
        here = numbers[start : start + step]
        # A run of rows needs no copy.
        run = here[-1] - here[0] + 1 == len(here)
        found = row_checksums(np.asarray(pixels)[here[0] : here[-1] + 1] if run else np.asarray(pixels)[here])
        return [number for number, value in zip(here.tolist(), found, strict=True) if value != checksums[number]]

    return [number for changed in map_in_threads(check, range(0, len(numbers), step), batch=1) for number in changed]
