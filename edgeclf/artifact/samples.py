"""Makes the samples of a model file, which carries no images: each comes from a formula in whole numbers.

`sample_image(i, H, W)` is the same on every machine: only integer additions, multiplications and shifts are used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.errors import InputError
from edgeclf.records import Record

FORMULA = "cells-and-ramp-1"
CANDIDATES = 48
MOST_SAMPLES = 8
VALUES = 12
"""How many of a sample's values are kept: the highest ones."""
MOST_ACCEPTED = 64
"""Steps by which a value may differ at most, of 256."""
_LARGEST_INDEX, _MOST_EXPECTED = 1 << 20, 1000


@dataclass(frozen=True)
class ExpectedOutput(Record):
    """What the host computed for one sample.

    Attributes:
        index: number of the sample in the formula.
        classes: with the highest values, the highest first.
        values: the raw output for each of them.
    """

    index: int
    classes: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Samples(Record):
    """The samples of a model file.

    Attributes:
        formula: name of the formula that makes their pixels.
        step: the output's quantization step in raw units.
        expected: by sample; there may be none.
        accepted_steps: by how many steps a value may differ elsewhere.
    """

    formula: str
    step: float
    expected: tuple[ExpectedOutput, ...]
    accepted_steps: float = 1.0


def read_samples(values: dict[str, Any]) -> Samples | None:
    """Read the samples that `choose_samples` made from a file's provenance; None: of a formula not known here.

    Raises:
        InputError: they are not of that kind.
    """
    formula = values.get("formula")
    if isinstance(formula, str) and formula != FORMULA:
        return None
    samples = Samples.from_dict(values)
    if not (math.isfinite(samples.step) and samples.step > 0):
        raise InputError(f"the step of the samples must be above 0, got {samples.step:g}")
    if not 1 <= samples.accepted_steps <= MOST_ACCEPTED:
        wide = f"{samples.accepted_steps:g}"
        raise InputError(f"the accepted steps of the samples must be from 1 to {MOST_ACCEPTED}, got {wide}")
    if len(samples.expected) > _MOST_EXPECTED:
        raise InputError(f"expected at most {_MOST_EXPECTED} samples, got {len(samples.expected)}")
    for one in samples.expected:
        if not 0 <= one.index < _LARGEST_INDEX or min(one.classes, default=-1) < 0:
            raise InputError(f"a sample has the index {one.index} and {len(one.classes)} classes")
        if len(one.classes) != len(one.values) or len(set(one.classes)) != len(one.classes):
            raise InputError(f"sample {one.index} has {len(one.values)} values for {len(set(one.classes))} classes")
    return samples


def sample_image(index: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Make sample number `index`: uint8[height, width, 3], a few coloured cells over a ramp.

    With n = 1 + index mod 5 cells a side, cell (v, u) = (n*y // height, n*x // width) and channel c:
    h(a, b) = ((2654435761 * (index + 1) + 40503 * a + 65599 * b) mod 2**32) * 2246822519 mod 2**32 >> 16,
    pixel = (3 * (h(n*v + u, c) mod 256) + (h(97, c) mod 256 * y // height + h(98, c) mod 256 * x // width) mod 256)
    // 4.
    """
    cells = 1 + index % 5
    y = np.arange(height, dtype=np.int64)[:, None, None]
    x = np.arange(width, dtype=np.int64)[None, :, None]
    channel = np.arange(3, dtype=np.int64)[None, None, :]
    number = cells * (cells * y // height) + cells * x // width
    colour = _scatter(index, number, channel) % 256
    ramp = (_scatter(index, 97, channel) % 256 * y // height + _scatter(index, 98, channel) % 256 * x // width) % 256
    return np.asarray((3 * colour + ramp) // 4, np.uint8)


def _scatter(index: int, a: npt.NDArray[np.int64] | int, b: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    mixed = (2654435761 * (index + 1) + 40503 * np.asarray(a, np.int64) + 65599 * b) & 0xFFFFFFFF
    product = (mixed.astype(np.uint64) * np.uint64(2246822519)) & np.uint64(0xFFFFFFFF)
    return np.asarray(product >> np.uint64(16), np.int64)


def choose_samples(outputs: npt.NDArray[Any], step: float, accepted_steps: float = 1) -> dict[str, Any]:
    """Choose what `verify` compares with: the samples with the largest margins, each class once if possible.

    A margin of one step may change its sign between two processors without anything being wrong; a large one may not.

    Args:
        outputs: raw output of samples 0 to N-1, [N, C]; of a network with one output [N, 1].
        step: the output's quantization step in raw units (1 for integers).
        accepted_steps: by how many steps a value may differ elsewhere, 1 to `MOST_ACCEPTED`.
    """
    wide = outputs.astype(np.float64)
    order = np.argsort(-wide, axis=1, kind="stable")
    ranked = np.take_along_axis(wide, order, axis=1)
    if wide.shape[1] > 1:
        labels, lead = order[:, 0], ranked[:, 0] - ranked[:, 1]
    else:
        # One score stands for two classes: the farther from the middle, the surer of one of them.
        distance = wide[:, 0] - np.median(wide)
        labels, lead = (distance > 0).astype(np.int64), np.abs(distance)
    chosen: list[int] = []
    seen: set[int] = set()
    by_lead = [int(i) for i in np.argsort(-lead, kind="stable")]
    for fresh in (True, False):
        for i in by_lead:
            label = int(labels[i])
            if len(chosen) < MOST_SAMPLES and i not in chosen and (label not in seen or not fresh):
                chosen.append(i)
                seen.add(label)
    integers = np.issubdtype(outputs.dtype, np.integer)
    return {
        "formula": FORMULA,
        "step": step,
        "expected": [
            {
                "index": i,
                "classes": [int(c) for c in order[i, :VALUES]],
                "values": [int(v) if integers else round(float(v), 6) for v in ranked[i, :VALUES]],
            }
            for i in sorted(chosen)
        ],
        **({"accepted_steps": accepted_steps} if accepted_steps > 1 else {}),
    }
