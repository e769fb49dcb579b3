"""The interval of a paired difference: its coverage, summed exactly, and its agreement with McNemar's exact test."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeclf.measure.paired_interval import (
    WIDENING,
    bonett_price_bounds,
    clopper_pearson_interval,
    difference_interval,
    exact_interval,
)
from edgeclf.measure.statistics import mcnemar_p

counts = st.integers(1, 20_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
levels = st.sampled_from([0.05, 0.05 / 7, 0.05 / 300])


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = Path(__file__).parents[1] / "tools" / "benchmarks" / "paired_interval.py"
    spec = importlib.util.spec_from_file_location("paired_interval_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_bonett_price_by_hand() -> None:
    # 4 lost and 16 gained of 98: (16 - 4) / 100 = 0.12; (4 + 16 + 2) / 100 - 0.12² = 0.2056;
    # sqrt(0.2056 / 100) = 0.045343; 1.959964 * 0.045343 = 0.088871; 1 % wider: 0.089760.
    assert mcnemar_p(4, 16) < 0.05
    assert difference_interval(4, 16, 98) == pytest.approx((0.12 - 0.089760, 0.12 + 0.089760), abs=1e-6)
    low, high = bonett_price_bounds(np.array(4), np.array(16), 98, 0.05)
    assert (float(low), float(high)) == pytest.approx((0.12 - 0.088871, 0.12 + 0.088871), abs=1e-6)


def test_one_lost_and_seven_gained_of_300_is_no_proof() -> None:
    # McNemar: 2 (1 + 8) / 2^8 = 0.07.
    assert mcnemar_p(1, 7) == pytest.approx(18 / 256)
    low, high = difference_interval(1, 7, 300)
    assert low < 0 < 6 / 300 < high


def test_no_change_at_all_is_no_proof_of_equality() -> None:
    low, high = difference_interval(0, 0, 300)
    # 1.01 * 1.96 sqrt(2) / 302 = 0.00927
    assert (low, high) == pytest.approx((-0.00927, 0.00927), abs=1e-5)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 500), levels)
@settings(deadline=None)
def test_it_excludes_zero_exactly_where_the_test_rejects(lost: int, gained: int, unchanged: int, alpha: float) -> None:
    total = max(1, lost + gained + unchanged)
    for interval in (difference_interval, exact_interval):
        low, high = interval(lost, gained, total, alpha)
        assert -1 <= low <= (gained - lost) / total <= high <= 1
        assert (low > 0 or high < 0) == (mcnemar_p(lost, gained) < alpha)


def test_at_95_percent_agreement_only_ever_widens_it() -> None:
    """Of a pair of counts, the smallest margin over any total is that without an end: the variance is largest there."""
    widened = 0
    for lost in range(40):
        for gained in range(lost + 1, 120):
            low, _ = bonett_price_bounds(np.array(lost), np.array(gained), 10**9, 0.05, WIDENING)
            significant = mcnemar_p(lost, gained) < 0.05
            assert low > 0 or not significant, (lost, gained)
            widened += low > 0 and not significant
    assert widened


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 500), levels)
@settings(deadline=None)
def test_it_mirrors(lost: int, gained: int, unchanged: int, alpha: float) -> None:
    total = lost + gained + unchanged
    low, high = difference_interval(lost, gained, total, alpha)
    assert difference_interval(gained, lost, total, alpha) == pytest.approx((-high, -low), abs=1e-12)


@pytest.mark.parametrize("case", [(-1, 0, 3), (2, 2, 3), (0, 0, 0)])
def test_impossible_counts_are_refused(case: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="within the total"):
        difference_interval(*case)


@pytest.mark.parametrize("images", [100, 300, 1000, 10_000])
def test_coverage_never_falls_below_93_percent(benchmark: ModuleType, images: int) -> None:
    for discordance in (0.001, 0.005, 0.02, 0.2):
        for gained in (0.5, 0.8, 1.0):
            found = benchmark.sum_exactly(images, discordance * (1 - gained), discordance * gained)
            assert found.coverage >= 0.93, (images, discordance, gained, found)
            assert found.disagreement < 1e-9, (images, discordance, gained, found)


@pytest.mark.parametrize("images", [120, 300])
def test_coverage_holds_where_it_jumps(benchmark: ModuleType, images: int) -> None:
    """Bonett and Price's own falls to 92.95 % at 120 images, of which 6.02 % are gained and none lost."""
    assert benchmark.lowest_at_ends(images)[0] >= 0.93
    if images == 120:
        assert benchmark.sum_exactly(120, 0.0, 0.060247230).bonett_price < 0.93


def test_coverage_is_that_of_a_count_by_hand(benchmark: ModuleType) -> None:
    """Three images, each gained with probability 0.2 and else unchanged: the four cases are written out."""
    found = benchmark.sum_exactly(3, 0.0, 0.2)
    probabilities = [0.8**3, 3 * 0.2 * 0.8**2, 3 * 0.2**2 * 0.8, 0.2**3]
    bounds = [difference_interval(0, gained, 3) for gained in range(4)]
    by_hand = sum(p for p, (low, high) in zip(probabilities, bounds, strict=True) if low <= 0.2 <= high)
    assert found.coverage == pytest.approx(by_hand, abs=1e-12)


@given(counts, st.sampled_from([0.05, 0.01, 0.05 / 1000]))
@settings(max_examples=50, deadline=None)
def test_clopper_pearson_equals_scipy(case: tuple[int, int], alpha: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(*case).proportion_ci(1 - alpha, method="exact")
    assert clopper_pearson_interval(*case, alpha) == pytest.approx((expected.low, expected.high), abs=1e-9)
