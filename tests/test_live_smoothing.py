"""Labels over time: the mean, the threshold, the hysteresis; and figures that need no more memory as time goes on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeclf.errors import InputError
from edgeclf.streaming.loop.settings import Smoothing
from edgeclf.streaming.loop.smoothing import Smoother
from edgeclf.streaming.loop.tally import AgeTally, Rate

CAT, DOG = 0, 1


def scores(cat: float) -> np.ndarray:
    return np.array([cat, 1 - cat], np.float32)


def test_the_mean_is_the_exponential_one() -> None:
    smoother = Smoother(Smoothing(seconds=0.5))
    smoother.update(scores(1.0), 10.0)
    smoother.update(scores(0.0), 10.25)
    # By hand: after 0.25 s the new frame weighs 1 - exp(-0.25 / 0.5).
    assert smoother.scores[CAT] == pytest.approx(math.exp(-0.5), abs=1e-7)
    assert smoother.scores.sum() == pytest.approx(1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 2)), min_size=1, max_size=30), st.floats(0, 5))
def test_the_mean_stays_between_the_frames_and_adds_up_to_one(
    frames: list[tuple[float, float]], seconds: float
) -> None:
    smoother, at = Smoother(Smoothing(seconds=seconds)), 0.0
    for cat, step in frames:
        at += step
        smoother.update(scores(cat), at)
        assert smoother.scores.sum() == pytest.approx(1, abs=1e-5)
    low, high = min(cat for cat, _ in frames), max(cat for cat, _ in frames)
    assert low - 1e-6 <= smoother.scores[CAT] <= high + 1e-6


def test_without_smoothing_each_frame_stands_for_itself() -> None:
    smoother = Smoother(Smoothing(seconds=0, hysteresis=0))
    assert smoother.update(scores(0.9), 0.0)[0] == CAT
    assert smoother.update(scores(0.1), 0.001)[0] == DOG


def test_a_frame_of_no_numbers_is_unknown_at_any_threshold() -> None:
    smoother = Smoother(Smoothing(seconds=0, threshold=0))
    nothing = np.zeros(2, np.float32)
    assert smoother.update(nothing, 0.0)[0] is None
    assert smoother.update(scores(0.9), 0.1)[0] == CAT
    assert smoother.update(nothing, 0.2)[0] is None


def test_one_glare_does_not_stay_in_the_mean_be_it_the_first_frame() -> None:
    smoother = Smoother(Smoothing(seconds=0.3))
    smoother.update(scores(0.9), 0.0, 1e6)
    assert smoother.novelty == 10
    smoother.update(scores(0.9), 1.0, 0.5)
    # by hand: 0.5 and what is left of 9.5 after 1 s
    assert smoother.novelty == pytest.approx(0.5 + 9.5 * math.exp(-1 / 0.3))
    each = Smoother(Smoothing(seconds=0))
    each.update(scores(0.9), 0.0, 1e6)
    assert each.novelty == 1e6


def test_below_the_threshold_the_scene_is_unknown() -> None:
    smoother = Smoother(Smoothing(seconds=0, threshold=0.7))
    named, probability = smoother.update(scores(0.6), 0.0)
    assert named is None
    assert probability == pytest.approx(0.6)


def test_two_classes_about_as_likely_do_not_take_turns() -> None:
    smoother = Smoother(Smoothing(seconds=0, threshold=0.4, hysteresis=0.1))
    named = [smoother.update(scores(0.5 + 0.04 * (-1) ** n), float(n))[0] for n in range(20)]
    assert named == [CAT] * 20
    assert smoother.update(scores(0.44), 21.0)[0] == DOG  # 0.56 leads by 0.12


def test_a_named_class_stays_until_it_is_clearly_below_the_threshold() -> None:
    smoother = Smoother(Smoothing(seconds=0, threshold=0.8, hysteresis=0.1))
    told = [smoother.update(scores(p), float(n))[0] for n, p in enumerate([0.79, 0.81, 0.75, 0.71, 0.69, 0.75])]
    assert told == [None, CAT, CAT, CAT, None, None]


@pytest.mark.parametrize("settings_", [{"seconds": -1}, {"threshold": 1.5}, {"hysteresis": float("nan")}])
def test_impossible_settings_are_refused(settings_: dict[str, float]) -> None:
    with pytest.raises(InputError, match="must be between 0 and"):
        Smoothing(**settings_)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=300))
def test_quantiles_of_ages_are_right_to_a_percent(ages: list[float]) -> None:
    tally = AgeTally()
    for age in ages:
        tally.add(age)
    told = tally.ages()
    for share, value in ((0.5, told.median), (0.95, told.p95)):
        exact = float(np.quantile(ages, share, method="inverted_cdf"))
        assert value == pytest.approx(exact, rel=0.01, abs=0.002)
    assert told.max == pytest.approx(max(ages), abs=0.001)


def test_no_results_have_no_age() -> None:
    assert AgeTally().ages().to_dict() == {"median": None, "p95": None, "max": None}


def test_the_rate_is_that_of_the_last_seconds() -> None:
    rate = Rate(seconds=2.0)
    assert rate.add(0.0) == 0.0
    for n in range(1, 301):
        told = rate.add(n / 30)
    assert told == pytest.approx(30, rel=0.02)
    for n in range(1, 61):
        told = rate.add(10 + n / 10)
    assert told == pytest.approx(10, rel=0.05)
    for n in range(1, 16):  # the camera was away for a minute
        told = rate.add(76 + n / 30)
    assert told == pytest.approx(30, rel=0.02)
    slow = Rate(seconds=2.0)
    assert [slow.add(10.0 * n) for n in range(5)] == pytest.approx([0, 0.1, 0.1, 0.1, 0.1])
