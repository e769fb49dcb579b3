"""Intervals and tests against those of scipy, and the laws that they must obey for any counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeclf.measure.statistics import (
    bootstrap_interval,
    clopper_pearson_interval,
    difference_interval,
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


@given(predictions, st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=40)
def test_bootstrap_is_repeatable_bounded_and_mirrors(pairs: list[tuple[bool, bool]], seed: int) -> None:
    baseline, model = np.array(pairs).T
    low, high = bootstrap_interval(baseline, model, seed=seed, resamples=400)
    assert (low, high) == bootstrap_interval(baseline, model, seed=seed, resamples=400)
    assert -1.0 <= low <= high <= 1.0
    if (baseline == model).all():
        assert low == -high < 0


def test_no_change_at_all_is_no_proof_of_equality() -> None:
    right = np.ones(300, bool)
    # 300 images without a change have the probability (1 - r)^300 at a true rate of r: 5 % at r = 0.00994.
    assert bootstrap_interval(right, right) == pytest.approx((-0.00994, 0.00994), abs=1e-5)


def test_bootstrap_equals_scipys_on_the_images_themselves() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(3)
    baseline = rng.random(2000) < 0.85
    model = np.where(rng.random(2000) < 0.04, ~baseline, baseline)
    expected = stats.bootstrap(
        (model.astype(float) - baseline.astype(float),), np.mean, n_resamples=4000, method="percentile", rng=rng
    ).confidence_interval
    # 4,000 resamples leave a Monte Carlo error of about 3 % of the half width at each end.
    tolerance = 0.1 * (expected.high - expected.low) / 2
    assert bootstrap_interval(baseline, model) == pytest.approx((expected.low, expected.high), abs=tolerance)


def test_bootstrap_covers_the_truth_about_as_often_as_promised() -> None:
    rng = np.random.default_rng(11)
    lost, gained, size, trials = 0.05, 0.03, 1500, 400
    covered = 0
    for trial in range(trials):
        draw = rng.random(size)
        baseline, model = draw >= gained, (draw < gained) | (draw >= gained + lost)
        low, high = bootstrap_interval(baseline, model, seed=trial, resamples=1000)
        covered += low <= gained - lost <= high
    # Four standard errors of a fraction of 0.95 among 400 trials.
    assert abs(covered / trials - 0.95) < 4 * math.sqrt(0.95 * 0.05 / trials)


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


@given(counts, st.sampled_from([0.05, 0.01, 0.05 / 1000]))
@settings(max_examples=50, deadline=None)
def test_clopper_pearson_equals_scipy(case: tuple[int, int], alpha: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(*case).proportion_ci(1 - alpha, method="exact")
    assert clopper_pearson_interval(*case, alpha) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 500), st.sampled_from([0.05, 0.05 / 7, 0.05 / 300]))
@settings(deadline=None)
def test_a_difference_interval_excludes_zero_exactly_where_the_test_rejects(
    lost: int, gained: int, unchanged: int, alpha: float
) -> None:
    total = lost + gained + unchanged
    low, high = difference_interval(lost, gained, total, alpha)
    assert -1 <= low <= (gained - lost) / total <= high <= 1
    assert (low > 0 or high < 0) == (mcnemar_p(lost, gained) < alpha)


def test_a_difference_interval_covers_the_truth_at_least_as_often_as_promised() -> None:
    rng = np.random.default_rng(5)
    for lost, gained, size in ((0.005, 0.0, 300), (0.05, 0.03, 500), (0.02, 0.0, 100)):
        draws = rng.multinomial(size, [lost, gained, 1 - lost - gained], size=300)
        bounds = [difference_interval(int(a), int(b), size, 0.05) for a, b, _ in draws]
        covered = np.mean([low <= gained - lost <= high for low, high in bounds])
        # Three standard errors below 0.95 among 300 trials.
        assert covered > 0.95 - 3 * math.sqrt(0.95 * 0.05 / 300)
