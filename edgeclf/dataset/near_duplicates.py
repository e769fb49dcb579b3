"""Images that show the same thing in another file: saved again, resized, brightened a little.

Candidates come from a 64-bit perceptual hash of the low frequencies (the "pHash" of C. Zauner, "Implementation and
Benchmarking of Perceptual Image Hash Functions", 2010); the correlation of small colour thumbnails decides. Two hashes
that differ in at most 9 bits differ in at most one bit in one of 5 bands, so it is enough to look up each band and its
neighbours at one bit, instead of comparing all pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from edgeclf.image.decoding import resize

SIDE = 32
# Of the 1.8e9 pairs in CIFAR-10 1,851 pass the first limit and 954 both; all that were looked at show the same object.
# Simple shapes such as digits all look alike at this size, so the correlation must also stand out among random pairs.
LARGEST_DISTANCE = 8
SMALLEST_CORRELATION = 0.90
_STANDING_OUT = 5.0
_RANDOM_PAIRS = 20_000
_SMALLEST_CONTRAST = 4.0
_BANDS = 5
_MOST_NEIGHBOURS = 64
_CHUNK = 4096
_PAIRS_AT_ONCE = 1 << 21
_BITS_OF_BYTE = np.array([bin(value).count("1") for value in range(256)], np.uint8)


GLIMPSE_SIDE = 12
_MOVED = 12.0

Scalar = TypeVar("Scalar", bound=np.generic)


def glimpse(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Shrink `uint8[H, W, 3]` to `uint8[12, 12, 3]`: enough to see whether a camera still shows the same scene."""
    return resize(image, GLIMPSE_SIDE, GLIMPSE_SIDE)


def unmoved(one: npt.NDArray[np.uint8], others: npt.NDArray[np.uint8]) -> bool:
    """Return whether a glimpse shows the same scene as one of `uint8[N, 12, 12, 3]`, all from the same fixed camera.

    There the background is alike in all pictures, so the hash and the correlation of `near_pairs` would take another
    small thing in front of it for the same. Here no cell may differ by 12 grey levels or more, brightness apart.
    """
    steps = others.astype(np.float32) - one
    steps -= steps.mean(axis=(1, 2, 3), keepdims=True)
    return bool((np.abs(steps).max(axis=(1, 2, 3), initial=0) < _MOVED).any())


def near_pairs(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return pairs of near duplicates among `uint8[N, 32, 32, 3]` as `int64[P, 2]`, each once, the lower index first.

    Images without contrast, in which there is nothing to compare, are in no pair. Where more than a few hundred images
    have a band of the hash in common, each is compared with the next few hundred in the order of the hashes.
    """
    small = _thumbnails(images)
    hashes = _perceptual_hashes(images)
    usable = np.flatnonzero(_contrasts(small) >= _SMALLEST_CONTRAST)
    found = [usable[pairs] for pairs in _candidates(hashes[usable])]
    if not found:
        return np.empty((0, 2), np.int64)
    pairs = np.unique(np.sort(np.concatenate(found), axis=1), axis=0)
    return pairs[_correlations(small, pairs) >= _smallest_correlation(small, usable)]


def group_pairs(pairs: npt.NDArray[np.int64], count: int) -> list[list[int]]:
    """Return connected components of more than one among `count` items, each sorted, in the order of their first."""
    leader = np.arange(count)
    while True:
        lower = np.minimum(leader[pairs[:, 0]], leader[pairs[:, 1]])
        following = leader.copy()
        np.minimum.at(following, pairs[:, 0], lower)
        np.minimum.at(following, pairs[:, 1], lower)
        following = following[following]
        if np.array_equal(following, leader):
            break
        leader = following
    members: dict[int, list[int]] = {}
    for item in np.unique(pairs).tolist():
        members.setdefault(int(leader[item]), []).append(item)
    return [members[first] for first in sorted(members)]


def _smallest_correlation(small: npt.NDArray[np.uint8], usable: npt.NDArray[np.int64]) -> float:
    """Set the limit some deviations above the mean of random pairs, on Fisher's scale; at least the fixed limit."""
    random = np.random.default_rng(0).choice(usable, (_RANDOM_PAIRS, 2))
    random = random[random[:, 0] != random[:, 1]]
    fisher = np.arctanh(np.clip(_correlations(small, random), -0.9999, 0.9999))
    return float(min(0.995, max(SMALLEST_CORRELATION, np.tanh(fisher.mean() + _STANDING_OUT * fisher.std()))))


def _thumbnails(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Compute `uint8[N, 16, 16, 3]`, the mean of 2 by 2 pixels."""
    made = np.empty((len(images), SIDE // 2, SIDE // 2, 3), np.uint8)
    for start, chunk in _chunks(images):
        rows = chunk[:, ::2].astype(np.uint16) + chunk[:, 1::2]
        made[start : start + _CHUNK] = (rows[:, :, ::2] + rows[:, :, 1::2] + 2) // 4
    return made


def _contrasts(small: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Compute the standard deviation of each thumbnail, in grey levels."""
    return np.concatenate(
        [chunk.reshape(len(chunk), -1).astype(np.float32).std(axis=1) for _, chunk in _chunks(small)] or [np.empty(0)]
    ).astype(np.float64)


def _perceptual_hashes(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Compute `uint64[N]`: which of the 8 by 8 lowest cosine coefficients lie above their median."""
    steps = np.arange(SIDE)
    cosines = np.cos(np.pi / SIDE * (steps[None, :] + 0.5) * np.arange(8)[:, None]).astype(np.float32)
    luma = np.array([0.299, 0.587, 0.114], np.float32)
    hashes = np.empty(len(images), np.uint64)
    for start, chunk in _chunks(images):
        grey = chunk.astype(np.float32) @ luma
        coefficients = (cosines @ grey @ cosines.T).reshape(len(grey), 64)
        middle = np.median(coefficients[:, 1:], axis=1, keepdims=True)
        bits = coefficients > middle
        bits[:, 0] = False  # the mean brightness does not depend on what is shown
        hashes[start : start + _CHUNK] = np.packbits(bits, axis=1).view(">u8")[:, 0]
    return hashes


def _candidates(hashes: npt.NDArray[np.uint64]) -> Iterator[npt.NDArray[np.int64]]:
    """Find pairs whose hashes differ in at most `LARGEST_DISTANCE` bits, some of them several times."""
    edges = np.linspace(0, 64, _BANDS + 1).astype(int)
    for low, high in pairwise(edges):
        keys = ((hashes >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)).astype(np.int64)
        order = np.lexsort((hashes, keys))
        ordered = keys[order]
        for flip in [0, *(1 << bit for bit in range(int(high - low)))]:
            starts = np.searchsorted(ordered, ordered ^ flip, "left")
            ends = np.searchsorted(ordered, ordered ^ flip, "right")
            if flip == 0:
                starts = np.arange(len(order)) + 1
            counts = np.minimum(np.maximum(ends - starts, 0), _MOST_NEIGHBOURS)
            if flip:
                counts[ordered & flip != 0] = 0  # its partner finds this pair
                counts[counts == _MOST_NEIGHBOURS] = 0  # a crowd: neighbours in its own band are enough
            yield from _close(hashes, order, starts, counts)


def _close(
    hashes: npt.NDArray[np.uint64],
    order: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
) -> Iterator[npt.NDArray[np.int64]]:
    """Pair each item in `order` with those of the `counts` items from its start on that are within the distance."""
    totals = np.cumsum(counts)
    begin = 0
    while begin < len(order):
        done = totals[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(totals, done + _PAIRS_AT_ONCE, "right")))
        here = counts[begin:end]
        first = np.repeat(np.arange(begin, end), here)
        offset = np.arange(len(first)) - np.repeat(np.cumsum(here) - here, here)
        a, b = order[first], order[starts[first] + offset]
        differing = (hashes[a] ^ hashes[b]).view(np.uint8).reshape(-1, 8)
        close = _BITS_OF_BYTE[differing].sum(axis=1) <= LARGEST_DISTANCE
        if close.any():
            yield np.stack([a[close], b[close]], axis=1)
        begin = end


def _correlations(small: npt.NDArray[np.uint8], pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Correlate the colour thumbnails of each pair, each channel about its own mean."""
    found = np.empty(len(pairs))
    for start, chunk in _chunks(pairs):
        a, b = (small[chunk[:, side]].reshape(len(chunk), -1, 3).astype(np.float32) for side in (0, 1))
        a -= a.mean(axis=1, keepdims=True)
        b -= b.mean(axis=1, keepdims=True)
        norms = np.sqrt((a * a).sum(axis=(1, 2)) * (b * b).sum(axis=(1, 2)))
        found[start : start + _CHUNK] = (a * b).sum(axis=(1, 2)) / np.maximum(norms, 1e-6)
    return found


def _chunks(array: npt.NDArray[Scalar]) -> Iterator[tuple[int, npt.NDArray[Scalar]]]:
    for start in range(0, len(array), _CHUNK):
        yield start, np.asarray(array[start : start + _CHUNK])
