"""How often does a search for a budget pass a model whose true drop is exactly the limit?

    python tools/benchmarks/budget_looks.py [--looks N] [--json]

Nothing is simulated: the counts of lost and gained images are trinomial, and each figure is the sum of the
probabilities of all pairs of counts that pass (up to 1e-9). The first look is judged by the upper end of the usual 95 %
interval; over all looks, candidates count as independent of each other, each with the probability that `Spending`
leaves it, which is the worst case: candidates of one network change much the same images.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from dataclasses import asdict, dataclass

import numpy as np

from edgeclf.compression.budget.judging import Spending
from edgeclf.measure.paired_interval import WIDENING, bonett_price_bounds

CASES = ((372, 0.02), (372, 0.03), (1000, 0.01), (2000, 0.01), (10_000, 0.005))
GAINED = (0.0, 0.002, 0.01)
_LOG_FACTORIALS = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, 20_001)))])


@dataclass(frozen=True)
class Found:
    """Probabilities that a model passes whose true drop is the limit: at the first look, and at one of all looks."""

    images: int
    limit: float
    gained: float
    first: float
    all_looks: float


def pass_probability(images: int, limit: float, gained: float, level: float) -> float:
    """Sum the probabilities of all counts of which the upper end of the drop's interval is within the limit."""
    lost_rate = limit + gained
    lost, gains = _likely(images, lost_rate)[:, None], _likely(images, gained)[None, :]
    unchanged = np.maximum(images - lost - gains, 0)
    logs = _LOG_FACTORIALS[images] - sum(_LOG_FACTORIALS[part] for part in (lost, gains, unchanged))
    logs = logs + lost * math.log(lost_rate) + unchanged * math.log1p(-lost_rate - gained)
    logs = logs + (gains * math.log(gained) if gained else 0.0)
    low, _ = bonett_price_bounds(lost, gains, images, 2 * level, WIDENING)
    return float(np.exp(logs)[(-low <= limit) & (lost + gains <= images)].sum())


def _likely(images: int, rate: float) -> np.ndarray:
    """List the counts of events of this rate outside of which less than 1e-9 lies."""
    spread = 7 * math.sqrt(images * rate * (1 - rate)) + 25 if rate else 0.0
    return np.arange(max(0, math.floor(images * rate - spread)), min(images, math.ceil(images * rate + spread)) + 1)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--looks", type=int, default=10, metavar="N", help="candidates that are compared (10)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    spending, found = Spending(), []
    levels = [spending.spend() for _ in range(given.looks)]
    for (images, limit), gained in itertools.product(CASES, GAINED):
        passes = [pass_probability(images, limit, gained, level) for level in levels]
        found.append(Found(images, limit, gained, passes[0], 1 - math.prod(1 - one for one in passes)))
    if given.json:
        print(json.dumps([asdict(one) for one in found]))
        return
    print(f"images   limit  gained  first look (2.5 %)  any of {given.looks} (5 %)")
    for one in found:
        print(
            f"{one.images:>6,} {100 * one.limit:>5.1f} % {100 * one.gained:>5.1f} % {100 * one.first:>18.1f} % "
            f"{100 * one.all_looks:>12.1f} %"
        )


if __name__ == "__main__":
    main()
