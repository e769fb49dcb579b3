"""How often does the interval of a paired difference contain the true difference, and does it agree with its test?

    python tools/benchmarks/paired_interval.py [--search CELLS] [--json]

Nothing is simulated: the counts of lost and gained images are trinomial, and coverage is the sum of the probabilities
of all pairs of counts whose interval contains the truth (up to 1e-9). Each cell of the first table is the lowest
coverage over true differences from none (as many lost as gained) to the largest (nothing lost). The second table
compares methods: `disagree` is the highest probability that an interval excludes zero beside a p of 0.05 or more of
McNemar's exact test, or contains it beside a smaller one. `--search` looks for the lowest coverage in randomly drawn
cells, 100 to 10,000 images and 0.1 to 20 % discordance. Exit status: 1 where the interval of `bench` falls below 93 %.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from edgeclf.measure.paired_interval import WIDENING, bonett_price_bounds
from edgeclf.measure.statistics import Z_95

IMAGES = (100, 200, 300, 500, 1000, 2000, 5000, 10_000)
DISCORDANCE = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
GAINED = (0.5, 0.6, 0.75, 0.9, 1.0)
LEVEL, FLOOR = 0.05, 0.93
METHODS = ("coverage", "bonett_price", "tango", "wald")
_LOG_FACTORIALS = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, 20_001)))])
_CRITICAL: list[int] = [-1]


@dataclass(frozen=True)
class Found:
    """Of one cell: coverages of each method, and probabilities that its interval and the exact test disagree on zero.

    `coverage` and `disagreement` are those of `difference_interval`.
    """

    coverage: float
    disagreement: float
    width: float
    bonett_price: float
    bonett_price_disagreement: float
    tango: float
    tango_disagreement: float
    wald: float
    wald_disagreement: float


def sum_exactly(images: int, lost_rate: float, gained_rate: float) -> Found:
    """Sum over all pairs of counts whose probability matters."""
    lost, gained = _likely(images, lost_rate)[:, None], _likely(images, gained_rate)[None, :]
    changed, truth = lost + gained, gained_rate - lost_rate
    unchanged = np.maximum(images - changed, 0)
    logs = _LOG_FACTORIALS[images] - sum(_LOG_FACTORIALS[part] for part in (lost, gained, unchanged))
    logs = logs + unchanged * math.log1p(-lost_rate - gained_rate)
    for counts, rate in ((lost, lost_rate), (gained, gained_rate)):
        logs = logs + (counts * math.log(rate) if rate else 0.0)
    probability = np.where(changed <= images, np.exp(logs), 0.0)
    assert abs(probability.sum() - 1) < 1e-8
    significant = np.minimum(lost, gained) <= critical(int(changed.max()))[changed]

    low, high = bonett_price_bounds(lost, gained, images, LEVEL, WIDENING)
    # `difference_interval` goes on a little beyond zero there: what is summed is a lower bound of its coverage.
    mended_low = np.where(significant, low, np.minimum(low, 0.0))
    mended_high = np.where(significant, high, np.maximum(high, 0.0))
    centre = (gained - lost) / images
    half = Z_95 * np.sqrt(np.maximum(changed / images - centre**2, 0) / images)

    def held(bottom: np.ndarray, top: np.ndarray) -> tuple[float, float]:
        inside = (bottom <= truth) & (truth <= top)
        excludes = (bottom > 0) | (top < 0)
        matters = probability > 1e-13
        return float(probability[inside].sum()), float(probability[matters & (excludes != significant)].sum())

    coverage, disagreement = held(mended_low, mended_high)
    plain, wald = held(*bonett_price_bounds(lost, gained, images, LEVEL)), held(centre - half, centre + half)
    score = np.abs(tango_score(lost, gained, images, truth)) <= Z_95
    at_zero = np.abs(tango_score(lost, gained, images, 0.0)) > Z_95
    return Found(
        coverage,
        disagreement,
        float((probability * (np.minimum(mended_high, 1) - np.maximum(mended_low, -1))).sum()),
        *plain,
        float(probability[score].sum()),
        float(probability[at_zero != significant].sum()),
        *wald,
    )


def tango_score(lost: np.ndarray, gained: np.ndarray, images: int, difference: float) -> np.ndarray:
    """Compute the score statistic of a paired difference.

    Source: T. Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design", Statistics in Medicine 17 (1998).
    """
    b = -gained - lost + (2 * images - gained + lost) * difference
    c = -lost * difference * (1 - difference)
    rate = (np.sqrt(np.maximum(b * b - 8 * images * c, 0)) - b) / (4 * images)
    variance = images * (2 * rate + difference * (1 - difference))
    above = gained - lost - images * difference
    return np.where(above == 0, 0.0, above / np.sqrt(np.maximum(variance, 1e-300)))


def critical(most: int) -> np.ndarray:
    """Return by number of changed images the largest smaller count that the exact test rejects; -1 for none."""
    for changed in range(len(_CRITICAL), most + 1):
        fewer = np.arange(changed // 2 + 1)
        ways = _LOG_FACTORIALS[changed] - _LOG_FACTORIALS[fewer] - _LOG_FACTORIALS[changed - fewer]
        tail = 2 * np.cumsum(np.exp(ways - changed * math.log(2)))
        _CRITICAL.append(int((tail < LEVEL).sum()) - 1)
    return np.array(_CRITICAL)


def _likely(images: int, rate: float) -> np.ndarray:
    spread = math.sqrt(images * rate * (1 - rate))
    if rate == 0:
        return np.array([0])
    first, last = int(images * rate - 8 * spread - 10), int(images * rate + 8 * spread + 30)
    return np.arange(max(0, first), min(images, last) + 1)


def _grid() -> Iterator[tuple[int, float, float, Found]]:
    for images in IMAGES:
        for rate in DISCORDANCE:
            for gained in GAINED:
                yield images, rate, gained, sum_exactly(images, rate * (1 - gained), rate * gained)


def lowest_at_ends(images: int) -> tuple[float, float]:
    """Find the lowest coverage just inside and outside every end of an interval with nothing lost, and its rate.

    Coverage jumps there, and with nothing lost it is lowest.
    """
    gained = _likely(images, DISCORDANCE[-1])
    gained = np.arange(gained[-1] + 1)
    ends = np.concatenate(bonett_price_bounds(np.zeros_like(gained), gained, images, LEVEL, WIDENING))
    ends = ends[(ends > DISCORDANCE[0]) & (ends < DISCORDANCE[-1])]
    return min((sum_exactly(images, 0.0, rate).coverage, rate) for end in ends for rate in (end - 1e-9, end + 1e-9))


def _search(cells: int) -> float:
    rng, lowest = np.random.default_rng(0), 1.0
    for index in range(cells):
        images = round(10 ** rng.uniform(2, 4))
        # every third with nothing lost
        rate, gained = 10 ** rng.uniform(-3, math.log10(0.2)), 1.0 if index % 3 == 0 else rng.uniform(0.5, 1)
        lowest = min(lowest, sum_exactly(images, rate * (1 - gained), rate * gained).coverage)
    return lowest


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--search", type=int, default=300, metavar="CELLS")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    cells = list(_grid())
    lowest = _search(arguments.search)
    at_ends = {images: lowest_at_ends(images) for images in (100, 120, 160, 200, 300, 500, 1000, 3000)}
    lowest = min(lowest, *(found.coverage for *_, found in cells), *(coverage for coverage, _ in at_ends.values()))
    if arguments.json:
        rows = [{"images": n, "discordance": r, "gained": g, **asdict(f)} for n, r, g, f in cells]
        print(json.dumps({"cells": rows, "lowest": lowest}))
        return int(lowest < FLOOR)
    print("lowest coverage, %, by images and discordance, over true differences\n")
    print("| images | " + " | ".join(f"{100 * rate:g} %" for rate in DISCORDANCE) + " |")
    print("|---" * (len(DISCORDANCE) + 1) + "|")
    for images in IMAGES:
        row = [min(f.coverage for n, r, _, f in cells if (n, r) == (images, rate)) for rate in DISCORDANCE]
        print(f"| {images:,} | " + " | ".join(f"{100 * coverage:.1f}" for coverage in row) + " |")
    print("\n| method | lowest | mean | disagree |\n|---|---|---|---|")
    for method in METHODS:
        values = [getattr(found, method) for *_, found in cells]
        name = "difference_interval" if method == "coverage" else method
        field = "disagreement" if method == "coverage" else f"{method}_disagreement"
        worst = max(getattr(found, field) for *_, found in cells)
        print(f"| {name} | {100 * min(values):.1f} | {100 * np.mean(values):.1f} | {100 * worst:.1f} |")
    print("\nlowest with nothing lost, at the ends of intervals, %:")
    print(", ".join(f"{n:,} images {100 * low:.2f} at {100 * rate:.2f} %" for n, (low, rate) in at_ends.items()))
    print(f"\nlowest of {arguments.search:,} random cells, the grid and the ends: {100 * lowest:.2f} %")
    return int(lowest < FLOOR)


if __name__ == "__main__":
    sys.exit(main())
