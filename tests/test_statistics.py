"""Intervals and tests against those of scipy, and the laws that they must obey for any counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeclf.measure.statistics import (
    discordant,
    holm,
    holm_levels,
    mcnemar_p,
    paired_difference,
    wilson_interval,
)

counts = st.integers(1, 20_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
predictions = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=300)


@given(counts)
def test_wilson_contains_the_fraction_and_stays_a_fraction(case: tuple[int, int]) -> None:
    successes, trials = case
    low, high = wilson_interval(successes, trials)
    assert 0.0 <= low <= successes / trials <= high <= 1.0
    assert high > low


@given(counts)
def test_wilson_is_symmetric_in_right_and_wrong(case: tuple[int, int]) -> None:
    successes, trials = case
    low, high = wilson_interval(successes, trials)
    mirrored = wilson_interval(trials - successes, trials)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-12)


@given(counts)
@settings(max_examples=50, deadline=None)
def test_wilson_equals_scipy(case: tuple[int, int]) -> None:
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(*case).proportion_ci(0.95, method="wilson")
    assert wilson_interval(*case) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_of_a_known_case() -> None:
    # Newcombe (1998), table I: 81 of 263.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@pytest.mark.parametrize("case", [(1, 0), (-1, 3), (4, 3)])
def test_wilson_refuses_impossible_counts(case: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="successes must lie in"):
        wilson_interval(*case)


@given(st.integers(0, 400), st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_mcnemar_equals_the_exact_binomial_test(lost: int, gained: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(lost, lost + gained).pvalue if lost + gained else 1.0
    assert mcnemar_p(lost, gained) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("lost", "gained"), [(2100, 2000), (2600, 2400), (30_000, 29_500), (9000, 100)])
def test_mcnemar_of_many_pairs_equals_scipy(lost: int, gained: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    assert mcnemar_p(lost, gained) == pytest.approx(stats.binomtest(lost, lost + gained).pvalue, rel=1e-7, abs=1e-300)


def test_mcnemar_by_hand() -> None:
    # Five changes, all losses: two of the 2^5 equally likely outcomes are as uneven.
    assert mcnemar_p(5, 0) == 2 / 32
    # One of five: (1 + 5) outcomes at either end.
    assert mcnemar_p(4, 1) == 12 / 32


@given(st.integers(0, 3000), st.integers(0, 3000))
@settings(deadline=None)
def test_mcnemar_is_a_symmetric_probability(lost: int, gained: int) -> None:
    p = mcnemar_p(lost, gained)
    assert 0.0 <= p <= 1.0
    assert p == mcnemar_p(gained, lost)
    if lost > gained:
        assert mcnemar_p(lost + 1, gained) <= p


@given(predictions)
@settings(deadline=None)
def test_difference_is_the_difference_of_the_accuracies(pairs: list[tuple[bool, bool]]) -> None:
    baseline, model = np.array(pairs).T
    assert paired_difference(baseline, model) == pytest.approx(model.mean() - baseline.mean(), abs=1e-12)
    lost, gained = discordant(baseline, model)
    assert lost + gained == int((baseline != model).sum())


def test_predictions_of_different_images_are_refused() -> None:
    with pytest.raises(ValueError, match="same images"):
        discordant(np.ones(3, bool), np.ones(4, bool))
    with pytest.raises(ValueError, match="same images"):
        paired_difference(np.ones(0, bool), np.ones(0, bool))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))
    assert holm([]) == ()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_never_lowers_a_p_value_and_keeps_the_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_levels_are_those_at_which_holm_decides(p_values: list[float]) -> None:
    decided = [p < 0.05 for p in holm(p_values)]
    levels = holm_levels(p_values)
    assert [p < level for p, level in zip(p_values, levels, strict=True)] == decided


def test_holm_levels_by_hand() -> None:
    # 0.01 passes 0.05 / 3; 0.03 fails 0.05 / 2, where the procedure stops.
    assert holm_levels([0.01, 0.04, 0.03]) == pytest.approx((0.05 / 3, 0.05 / 2, 0.05 / 2))
