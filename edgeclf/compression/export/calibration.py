"""Draws the training images that set the quantization ranges, and checks whether they are fit to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeclf.errors import InputError
from edgeclf.records import Record

FEW_IMAGES = 100
FEWEST_FOR_EXTREMES = 100
"""Images below whose number none is left out as extreme."""
HALVES_AGREE = 1.5
"""Ranges of the two halves that differ by more than this factor are reported."""


@dataclass(frozen=True)
class CalibrationSet(Record):
    """The images that ranges come from.

    Attributes:
        indices: into the training split, ascending.
        per_class: number of images of each class.
        seed: of the draw.
        low: smallest pixel value.
        high: largest pixel value.
        halves_worst: largest ratio between the activation ranges of two disjoint halves; None before it is measured.
        halves_tensor: where it was.
        findings: warnings, one line each.
    """

    indices: tuple[int, ...]
    per_class: dict[str, int]
    seed: int
    low: int
    high: int
    halves_worst: float | None = None
    halves_tensor: str | None = None
    findings: tuple[str, ...] = ()

    @property
    def gaps(self) -> str:
        """The indices in few bytes: the first one, then the distance of each to the one before it."""
        return " ".join(str(int(gap)) for gap in np.diff(self.indices, prepend=0))


def draw_indices(labels: npt.NDArray[np.int64], count: int, seed: int) -> npt.NDArray[np.int64]:
    """Draw the same number of images from each class, without repetition.

    Classes take turns; one that has run out passes. The same labels, count and seed always give the same draw.

    Args:
        labels: int64[N].
        count: number of images; all where there are fewer.
        seed: of the draw.

    Returns:
        int64[n], ascending.

    Raises:
        InputError: `count` is below 1.
    """
    if count < 1:
        raise InputError(f"calibration must be at least 1 image, got {count}")
    random = np.random.default_rng([seed, 0xCA11])
    turns = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        turns[random.permutation(members)] = np.arange(len(members))
    order = np.lexsort((random.permutation(len(labels)), turns))
    return np.sort(order[:count])


def describe_draw(
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    indices: npt.NDArray[np.int64],
    class_names: Sequence[str],
    seed: int,
) -> CalibrationSet:
    """Record a draw, and check it before it is used.

    Args:
        images: uint8[n, H, W, 3], the drawn ones.
        labels: int64[N] of the whole training split.
        indices: int64[n].
        class_names: of the data.
        seed: of the draw.
    """
    counts = np.bincount(labels[indices], minlength=len(class_names))
    low, high = int(images.min()), int(images.max())
    findings = []
    missing = [name for name, n in zip(class_names, counts, strict=True) if n == 0]
    if missing:
        findings.append(f"calibration has no image of {', '.join(missing[:5])}; take more with --calibration")
    elif counts.max() > 2 * counts.min():
        findings.append(f"calibration is uneven: {counts.min()} to {counts.max()} images a class (few photos there)")
    if len(indices) < FEW_IMAGES:
        findings.append(f"{len(indices)} calibration images are few; {FEW_IMAGES} and more give steadier ranges")
    if low > 32 or high < 223:
        findings.append(f"calibration pixels reach from {low} to {high} only, of 0 to 255; the photos lack contrast")
    per_class = {name: int(n) for name, n in zip(class_names, counts, strict=True)}
    return CalibrationSet(tuple(int(i) for i in indices), per_class, seed, low, high, findings=tuple(findings))


def full_range(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the same images with one value at 0 and one at 255, so that the input's scale is exact.

    Only where no pixel reaches the end of the range, the most extreme one is moved there.

    Args:
        images: uint8[n, H, W, 3].
    """
    flat = images.reshape(-1)
    if flat.min() == 0 and flat.max() == 255:
        return images
    moved = flat.copy()
    moved[flat.argmin()], moved[flat.argmax()] = 0, 255
    spanning: npt.NDArray[np.uint8] = moved.reshape(images.shape)
    return spanning


def spanning_images(images: npt.NDArray[np.uint8] | None) -> npt.NDArray[np.uint8]:
    """Return the calibration images, spanning 0..255.

    Raises:
        InputError: there are none.
    """
    if images is None or len(images) == 0:
        raise InputError("int8, int16x8 and int4 need training images for calibration; name them with --data")
    return full_range(np.asarray(images))


def compare_halves(
    names: Sequence[str], lows: npt.NDArray[np.float32], highs: npt.NDArray[np.float32]
) -> tuple[float | None, str | None, tuple[str, ...]]:
    """Compare the activations' ranges, without extremes, on two disjoint halves of the calibration images.

    Args:
        names: of the T tensors.
        lows: float32[n, T], smallest value of each image.
        highs: float32[n, T], largest.

    Returns:
        the largest ratio of the halves' ranges, the tensor it was at, and findings.
    """
    if len(lows) < 4 or not names:
        return None, None, ()
    low_end, high_end = (1, 99) if len(lows) >= FEWEST_FOR_EXTREMES else (0, 100)
    spans = []
    for part in (0, 1):
        # of a half, nothing of the most extreme image may come in by interpolation
        low = np.percentile(lows[part::2], low_end, axis=0, method="higher")
        spans.append(np.percentile(highs[part::2], high_end, axis=0, method="lower") - np.minimum(low, 0))
    ratio = np.maximum(spans[0], spans[1]) / np.maximum(np.minimum(spans[0], spans[1]), 1e-9)
    worst = int(np.argmax(ratio))
    findings: tuple[str, ...] = ()
    if ratio[worst] > HALVES_AGREE:
        findings = (
            f"two halves of the calibration images disagree by a factor of {ratio[worst]:.1f} about the range of "
            f"{names[worst]}; take more images with --calibration",
        )
    return round(float(ratio[worst]), 4), names[worst], findings
