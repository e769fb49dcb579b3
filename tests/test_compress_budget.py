"""Budgets of compress as numbers: limits, looks and bounds, the ladder, the frontier and the pick. No TensorFlow."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeclf import api
from edgeclf.api.keywords import BudgetKeywords, CompressKeywords, CompressOptions
from edgeclf.cli.values import parse_milliseconds, parse_unit_bytes
from edgeclf.compression.budget.board_models import models_of_format
from edgeclf.compression.budget.frontier import (
    describe_miss,
    describe_next_points,
    find_binding,
    find_frontier,
    find_nearest,
    pick,
)
from edgeclf.compression.budget.judging import (
    ALL_LOOKS,
    FIRST_LOOK,
    Judge,
    Judged,
    Measured,
    Spending,
    images_to_prove,
    processors_of,
    smallest_provable_drop,
)
from edgeclf.compression.budget.ladder import Means, make_ladder, make_space, needed_shrink, recipe_of
from edgeclf.compression.budget.limits import Budget, take_budget
from edgeclf.compression.budget.request import choose_bases
from edgeclf.compression.budget.store import CandidateStore
from edgeclf.compression.choice import Asked, with_settings
from edgeclf.compression.recipe import Recipe, parse_recipe
from edgeclf.compression.step import STEPS, Step
from edgeclf.compression.steps.fine_tuning import FineTuning
from edgeclf.errors import InputError, UnknownNameError
from edgeclf.measure.paired_interval import difference_interval
from edgeclf.measure.report import ModelResult
from edgeclf.records import Record
from edgeclf.search import Choice


def candidate(name: str = "int8", **figures: Any) -> Measured:
    values = {"size_bytes": 100_000, "latency_ms": 1.0, "images": 5000, "lost": 40, "gained": 20} | figures
    return Measured(parse_recipe("int8").to_dict(), name, "d", 500, **values)


candidates = st.lists(
    st.builds(
        lambda lost, gained, size, latency, looks: candidate(
            lost=lost, gained=gained, size_bytes=size, latency_ms=latency, looks=looks
        ),
        st.integers(0, 200),
        st.integers(0, 200),
        st.sampled_from([40_000, 60_000, 100_000]),
        st.sampled_from([None, 0.5, 1.0, 2.0]),
        st.integers(1, 30),
    ),
    max_size=6,
)
budgets = st.builds(
    Budget,
    max_drop=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
    max_size=st.sampled_from([None, 50_000, 100_000]),
    max_latency=st.sampled_from([None, 0.7, 1.0]),
    judge=st.sampled_from(["interval", "estimate"]),
)


def test_limits_of_a_budget() -> None:
    with pytest.raises(InputError, match="needs a limit: give --max-drop, --max-size or --max-latency"):
        Budget(trials=3)
    for wrong in ({"max_drop": -1.0}, {"max_size": 300}, {"max_latency": 0.0}, {"max_drop": 1.0, "trials": -1}):
        with pytest.raises(InputError):
            Budget(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="did you mean 'interval'"):
        Budget(max_drop=1.0, judge="intervals")
    budget = Budget(max_drop=1.0, max_size=100_000, max_latency=5.0)
    assert budget.text == "1.00 points, 100 kB, 5 ms"
    assert Budget.from_json(budget.to_json()) == budget
    keywords = {"qat_epochs": 2, "max_drop": 1, "storage": None}
    assert take_budget(keywords) == (Budget(max_drop=1.0), {"qat_epochs": 2})
    assert take_budget({"qat_epochs": 2, "max_drop": None}) == (None, {"qat_epochs": 2})
    with pytest.raises(InputError, match="needs a limit"):
        take_budget({"hours": 1.0})


def test_keywords_are_the_fields_of_the_budget() -> None:
    names = {field.name for field in dataclasses.fields(Budget)}
    assert set(BudgetKeywords.__annotations__) == names
    assert set(CompressOptions.__annotations__) == names | set(CompressKeywords.__annotations__)
    assert not names & set(CompressKeywords.__annotations__)


@pytest.mark.parametrize(
    ("text", "milliseconds"), [("5ms", 5), ("5", 5), ("800us", 0.8), ("800 µs", 0.8), ("0.1s", 100), ("1.5MS", 1.5)]
)
def test_times(text: str, milliseconds: float) -> None:
    assert parse_milliseconds(text, "--max-latency") == pytest.approx(milliseconds)


@pytest.mark.parametrize("text", ["", "ms", "5m", "5mss", "-1ms", "0", "nan", "inf", "5 minutes"])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="--max-latency"):
        parse_milliseconds(text, "--max-latency")


def test_a_size_names_its_unit() -> None:
    """`train` takes kilobytes: a number alone would be read either way."""
    assert [parse_unit_bytes(text, "--max-size") for text in ("100KB", "60kB", "1.5MB", "95568B")] == [
        100_000,
        60_000,
        1_500_000,
        95_568,
    ]
    for wrong in ("300", "", "KB", "12parsecs"):
        with pytest.raises(InputError, match="--max-size"):
            parse_unit_bytes(wrong, "--max-size")


def test_341_photos_prove_eight_tenths_of_a_point() -> None:
    # one image is added on each side: 1.01 * 1.96 * sqrt(2 / 343) / sqrt(343) = 1.01 * 1.96 * sqrt(2) / 343 = 0.00816
    assert smallest_provable_drop(341) == pytest.approx(0.00816, abs=1e-5)
    needed = images_to_prove(0.005)
    assert needed is not None
    assert smallest_provable_drop(needed) <= 0.005 < smallest_provable_drop(needed - 1)
    assert images_to_prove(0.0) is None


def test_the_first_look_is_the_usual_interval_and_all_looks_stay_below_five_percent() -> None:
    spending = Spending()
    assert spending.level() == spending.level() == FIRST_LOOK
    spent = [spending.spend() for _ in range(1000)]
    # 0.025, then 0.025 / (k (k - 1))
    assert spent[:3] == pytest.approx([0.025, 0.025 / 2, 0.025 / 6])
    assert 0.0499 < sum(spent) < ALL_LOOKS
    assert sorted(spent, reverse=True) == spent
    # a training of ten epochs costs what ten looks cost, and each of them gets the same part
    several, single = Spending(), Spending()
    assert 10 * several.spend(10) == pytest.approx(sum(single.spend() for _ in range(10)))
    assert several.level() == pytest.approx(single.level())


def test_what_breaks_another_limit_is_no_look() -> None:
    budget = Budget(max_drop=1.0, max_size=100_000)
    too_large, fits = candidate(size_bytes=100_001), candidate()
    judged = Judge(budget).judge([too_large, too_large, fits])
    assert [one.level for one in judged] == [None, None, FIRST_LOOK]
    assert [one.breaks for one in judged] == [("max_size",), ("max_size",), ()]
    # 20 of 5,000 lost: 0.4 points, at most 0.4 + about 0.3
    low, high = difference_interval(40, 20, 5000)
    assert judged[2].drop_interval == (-high, -low)
    assert judged[2].drop_bound == -low
    assert judged[2].drop == 0.004
    assert Judge(dataclasses.replace(budget, judge="estimate", max_drop=0.4)).judge([fits])[0].holds
    assert not Judge(dataclasses.replace(budget, max_drop=0.4)).judge([fits])[0].holds


def test_nothing_is_promised_of_a_drop_or_a_time_that_was_not_measured() -> None:
    unknown = candidate(images=None, lost=None, gained=None)
    assert Judge(Budget(max_drop=5.0)).judge([unknown])[0].breaks == ("max_drop",)
    assert Judge(Budget(max_size=100_000)).judge([unknown])[0].holds
    (untimed,) = Judge(Budget(max_latency=5.0)).judge([candidate(latency_ms=None)])
    assert untimed.breaks == ("max_latency",)
    assert describe_miss(untimed, Budget(max_latency=5.0)) == "int8: an unknown time of at most 5 ms"


def test_looking_at_many_candidates_rarely_lets_a_bad_one_pass() -> None:
    """Ten recipes that all lose 1.05 points, judged by at most 1.0 on 2,000 images, sixty times."""
    random, passed, naive = np.random.default_rng(0), 0, 0
    for _ in range(60):
        lost, gained = random.binomial(2000, 0.0205, 10), random.binomial(2000, 0.010, 10)
        tried = [candidate(images=2000, lost=int(a), gained=int(b)) for a, b in zip(lost, gained, strict=True)]
        passed += pick(Judge(Budget(max_drop=1.0)).judge(tried)) is not None
        naive += any((one.drop_interval() or (0, 1))[1] <= 0.01 for one in tried)
    # 5 % are three of sixty; a 95 % interval for each would let many pass
    assert passed <= 6
    assert naive > 2 * passed
    assert naive >= 8


@settings(max_examples=25, deadline=None)
@given(candidates, budgets)
def test_the_frontier_is_not_dominated_and_the_pick_holds_all_limits(tried: list[Measured], budget: Budget) -> None:
    judged = Judge(budget).judge(tried)
    frontier = find_frontier(judged)

    def costs(one: Judged) -> tuple[float, float, float]:
        latency = math.inf if one.latency_ms is None else one.latency_ms
        return one.drop or 0.0, one.size_bytes, latency

    for one in judged:
        better = [o for o in judged if costs(o) != costs(one) and all(np.less_equal(costs(o), costs(one)))]
        assert (costs(one) in set(map(costs, frontier))) == (not better)
    assert len({costs(one) for one in frontier}) == len(frontier)
    picked = pick(judged)
    if picked is None:
        assert all(one.breaks and one.worst > 1 for one in judged)
        assert [one.worst for one in find_nearest(judged, budget)] == sorted(one.worst for one in judged)[:3]
        return
    assert picked.worst <= 1
    assert picked.size_bytes <= (budget.max_size or math.inf)
    assert budget.max_latency is None or (picked.latency_ms or math.inf) <= budget.max_latency
    assert picked.drop_bound is not None
    assert picked.drop_bound <= (budget.max_drop or 0) / 100
    assert not any(one.holds for one in judged[: judged.index(picked)])
    assert find_binding(judged, picked, budget)


def test_of_equal_misses_the_one_that_breaks_fewer_limits_is_nearer() -> None:
    budget = Budget(max_drop=1.0, max_size=100_000)
    both = candidate("int8", size_bytes=150_000, lost=60, gained=20)
    size_alone = candidate("dynamic", size_bytes=150_000, lost=1, gained=1)
    less = candidate("float16", size_bytes=150_000, lost=57, gained=20)
    judged = Judge(budget).judge([both, less, size_alone])
    assert len({one.worst for one in judged}) == 1
    assert [len(one.breaks) for one in judged] == [2, 2, 1]
    assert [one.candidate for one in find_nearest(judged, budget)] == [size_alone, less, both]


def test_what_bound_and_what_the_next_point_costs() -> None:
    budget = Budget(max_drop=1.0, max_size=100_000)
    large = candidate("float16", size_bytes=180_000, lost=1, gained=1)
    worse = candidate("dynamic", lost=200, gained=20)
    good = candidate("qat-int8", lost=30, gained=20)
    small = candidate("shrink50-int8", size_bytes=60_000, latency_ms=0.6, lost=90, gained=20)
    judged = Judge(budget).judge([large, worse, good, small])
    picked = pick(judged)
    assert picked is not None
    assert picked.candidate == good
    assert find_binding(judged, picked, budget) == ("max_drop", "max_size")
    assert find_binding(judged[2:], picked, budget) == ("max_size",)
    frontier = find_frontier(judged)
    assert [one.candidate.name for one in frontier] == ["float16", "qat-int8", "shrink50-int8"]
    assert describe_next_points(picked, frontier) == (
        "less drop: float16, −0.20 points of drop, +80.0 kB",
        "smaller: shrink50-int8, +1.20 points of drop, −40.0 kB, −400 µs",
        "faster: shrink50-int8, +1.20 points of drop, −40.0 kB, −400 µs",
    )


def means(**changes: Any) -> Means:
    values: dict[str, Any] = {"settings": {}, "calibration": 500, "train_images": 45_000, "steps": frozenset({"qat"})}
    return Means(**{"bases": (parse_recipe("int8"),), **values, **changes})


def names(rungs: Any) -> list[tuple[str, int]]:
    return [(Recipe.from_dict(rung.recipe).name, rung.calibration) for rung in rungs]


def test_the_ladder_goes_from_cheap_to_dear() -> None:
    plain = candidate()
    assert names(make_ladder(means(), Budget(max_drop=1.0), plain)) == [
        ("int8", 500),
        ("int8", 2000),
        ("qat-int8", 500),
    ]
    few = means(train_images=600, settings={"qat_epochs": 2})
    ladder = make_ladder(few, Budget(max_drop=1.0), plain)
    assert names(ladder) == [("int8", 500), ("qat-int8", 500)]
    assert ladder[1].recipe["steps"][0]["training"]["epochs"] == 2
    # what cannot be proven is not trained for
    assert names(make_ladder(means(may_train=False), Budget(max_drop=1.0), plain)) == [("int8", 500), ("int8", 2000)]
    # neither calibration nor training makes a file smaller or faster
    assert names(make_ladder(means(), Budget(max_drop=1.0, max_size=60_000), plain)) == [("int8", 500)]
    assert names(make_ladder(means(), Budget(max_latency=0.5), plain)) == [("int8", 500)]
    # fewer bits do, where the file is too large
    both = means(bases=(parse_recipe("int8"), parse_recipe("int4")))
    assert names(make_ladder(both, Budget(max_size=60_000), plain))[:2] == [("int8", 500), ("int4", 500)]
    assert names(make_ladder(both, Budget(max_drop=1.0, max_size=200_000), plain))[:2] == [
        ("int8", 500),
        ("int8", 2000),
    ]
    # what was named is tried in any case, and keeps no layers in float
    asked = means(bases=(parse_recipe("int4"),), named=True, may_train=False, noisy_layers=("net/a",))
    assert names(make_ladder(asked, Budget(max_size=200_000), plain)) == [("int4", 500)]
    assert names(make_ladder(asked, Budget(max_drop=1.0), plain)) == [("int4", 500), ("int4", 2000)]
    # a few percent of time are noise
    assert len(make_ladder(means(), Budget(max_drop=1.0, max_latency=0.95), plain)) == 3
    noisy = make_ladder(means(noisy_layers=("net/a", "net/b[0]", "net/c", "net/d")), Budget(max_drop=1.0), plain)
    assert [name for name, _ in names(noisy)] == ["int8", "int8", "int8", "int8", "qat-int8"]
    kept = [rung.recipe["export"]["policy"]["float_layers"] for rung in noisy[:4]]
    assert kept == [[], [], ["net/a"], ["net/a", "net/b[[]0]", "net/c"]]
    two = means(bases=(parse_recipe("int8"), parse_recipe("float16")))
    assert names(make_ladder(two, Budget(max_drop=1.0), plain))[:2] == [("int8", 500), ("float16", 500)]
    other = means(bases=(parse_recipe("float16"),))
    assert names(make_ladder(other, Budget(max_drop=1.0), plain)) == [("float16", 500)]


@dataclasses.dataclass(frozen=True)
class _Shrink(Step, Record):
    """Stands for the step of that kind, as far as the ladder knows it."""

    fraction: float = 0.5
    training: FineTuning = FineTuning()  # noqa: RUF009 - frozen

    kind: ClassVar[str] = "shrink"
    before: ClassVar[frozenset[str]] = frozenset({"qat"})

    def label(self) -> str:
        return f"shrink{100 * self.fraction:g}"


def test_a_network_is_shrunk_as_far_as_size_and_time_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STEPS, "shrink", _Shrink)
    able, plain = means(steps=frozenset({"qat", "shrink"})), candidate()
    assert [name for name, _ in names(make_ladder(able, Budget(max_drop=1.0, max_size=62_000), plain))] == [
        "int8",
        "shrink40-int8",
        "shrink40-qat-int8",
        "shrink50-int8",
        "shrink50-qat-int8",
        "shrink60-int8",
        "shrink60-qat-int8",
    ]
    # what the limits do not need is not shrunk
    assert names(make_ladder(able, Budget(max_drop=1.0), plain))[-1] == ("qat-int8", 500)
    space = make_space(able, Budget(max_drop=1.0, max_latency=0.5), plain)
    assert space["shrink_fraction"].low == 0.5  # type: ignore[union-attr]
    assert "qat_distill" in space
    (first, second) = recipe_of({"shrink_fraction": 0.7, "qat_epochs": 4}, able).recipe["steps"]
    assert (first["fraction"], second["training"]["epochs"]) == (0.7, 4)
    # how much is shrunk may be given
    given, budget = dataclasses.replace(able, settings={"shrink_fraction": 0.45}), Budget(max_drop=1.0, max_size=62_000)
    ladder = ["int8", "shrink45-int8", "shrink45-qat-int8"]
    assert [name for name, _ in names(make_ladder(given, budget, plain))] == ladder
    assert make_space(given, budget, plain)["shrink_fraction"] == Choice((0.45,))


def test_a_network_that_is_only_too_large_is_shrunk_to_the_size() -> None:
    able, plain = means(steps=frozenset({"qat", "shrink"})), candidate()  # 100 kB, 1 ms
    budget = Budget(max_drop=1.0, max_size=62_000, max_latency=1.0)
    ladder = ["int8", "shrinkto62kb-int8", "shrinkto62kb-qat-int8"]
    assert [name for name, _ in names(make_ladder(able, budget, plain))] == ladder
    space = make_space(able, budget, plain)
    assert space["shrink_target_size"] == Choice((62_000,))
    assert "qat_epochs" in space
    assert not make_space(able, Budget(max_size=62_000), plain), "nothing is left to choose"
    given = dataclasses.replace(able, settings={"shrink_fraction": 0.45})
    assert names(make_ladder(given, budget, plain))[1][0] == "shrink45-int8"
    # the step counts the bytes of int8 models, and of no others
    for base in (parse_recipe("float16"), with_settings(parse_recipe("int8"), {"float_layers": ["conv*"]})):
        others = dataclasses.replace(able, bases=(base,))
        assert names(make_ladder(others, Budget(max_size=62_000), plain))[1][0].startswith("shrink40-")


def test_a_time_that_is_missed_by_little_is_searched_for_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be noise of the measurement, and a network that is hardly smaller holds it."""
    monkeypatch.setitem(STEPS, "shrink", _Shrink)
    able, plain = means(steps=frozenset({"qat", "shrink"})), candidate()  # 1 ms
    alone = Budget(max_latency=0.95)
    shrunk = [name for name, _ in names(make_ladder(able, alone, plain)) if name.startswith("shrink")]
    assert shrunk == ["shrink5-int8", "shrink15-int8", "shrink25-int8"], "training with rounding makes none faster"
    assert make_space(able, alone, plain)["shrink_fraction"].low == pytest.approx(0.05)  # type: ignore[union-attr]
    both = [name for name, _ in names(make_ladder(able, Budget(max_drop=1.0, max_latency=0.95), plain))]
    assert both[0] == "int8"
    assert both.index("qat-int8") < both.index("shrink5-int8")
    assert not make_space(means(), alone, plain), "nothing here makes it faster"


def test_a_drop_at_its_limit_holds() -> None:
    for images, lost in ((5000, 57), (2500, 57), (341, 3)):
        budget = Budget(max_drop=100 * lost / images, judge="estimate")
        (judged,) = Judge(budget).judge([candidate(images=images, lost=lost, gained=0)])
        assert judged.holds, (images, lost)


def test_how_much_must_go() -> None:
    plain = candidate()  # 100 kB, 1 ms
    assert needed_shrink(Budget(max_drop=1.0), plain) == 0
    assert needed_shrink(Budget(max_size=60_000), plain) == pytest.approx(0.4)
    assert needed_shrink(Budget(max_size=60_000, max_latency=0.5), plain) == pytest.approx(0.5)


def test_what_the_search_chooses_from() -> None:
    plain, budget = candidate(), Budget(max_drop=1.0)
    space = make_space(means(), budget, plain)
    assert set(space) == {"qat_epochs", "qat_learning_rate", "qat_distill"}
    for name in ("qat_epochs", "epochs"):  # what is given is part of the recipes, and no choice
        assert make_space(means(settings={name: 2}), budget, plain) == {**space, "qat_epochs": Choice((2,))}
    assert not make_space(means(settings=dict.fromkeys(space, 1)), budget, plain), "nothing is left to choose"
    assert not make_space(means(may_train=False), budget, plain)
    assert not make_space(means(steps=frozenset()), budget, plain)
    assert not make_space(means(), Budget(max_drop=1.0, max_size=50_000), plain), "nothing here makes it smaller"
    rung = recipe_of({"qat_epochs": 5, "qat_learning_rate": 1e-3, "qat_distill": 0.5}, means())
    (step,) = rung.recipe["steps"]
    assert (step["kind"], step["training"]["epochs"], step["training"]["distill"]) == ("qat", 5, 0.5)


def test_what_cannot_work_is_refused_before_the_source_is_read(tmp_path: Path) -> None:
    for wrong, reason in (
        ({"trials": 3}, "needs a limit"),
        ({"max_drop": 1.0, "qat": True}, "leave --qat out"),
        ({"max_drop": 1.0, "qat_epoch": 3}, "qat_epochs"),
        ({"max_latency": 1.0, "board": "missing.json"}, r"missing\.json"),
        ({"max_latency": 1.0, "to": ["onnx"]}, r"onnx makes a \.onnx file, which is not timed"),
        ({"max_drop": 1.0, "to": ["onnx"]}, r"onnx makes a \.onnx file, which is not run on images"),
        ({"max_drop": 1.0, "storage": "nonsense"}, "nonsense cannot be used"),
        ({"max_size": 50_000, "shrink_target_macs": 10**6}, "leave shrink_target_macs out"),
        ({"max_latency": 1.0, "shrink_target_latency": 1.0}, "leave shrink_target_latency out"),
        ({"max_drop": 1.0, "unlabelled": True}, "leave --unlabelled out"),
        ({"max_size": 50_000, "judge": "estimate"}, "--max-drop, which is not given; add it or leave --judge out"),
    ):
        with pytest.raises(InputError, match=reason):
            api.compress(tmp_path / "run", **wrong)  # type: ignore[arg-type]


def test_what_a_search_begins_with() -> None:
    small = Budget(max_size=50_000)
    for asked, budget, begun in (
        (Asked(), Budget(max_drop=1.0), ["int8"]),
        (Asked(), small, ["int8", "int4"]),
        (Asked(settings={"ranges": "mse"}), small, ["int8"]),
        (Asked(formats=("int8",)), small, ["int8"]),
        (Asked(formats=("float32", "float16", "int8")), small, ["int8", "float32", "float16"]),
        (Asked(formats=("float16", "int4")), small, ["int4", "float16"]),
        (Asked(recipes=["float16", "int8"]), small, ["float16", "int8"]),
        (Asked(recipes=["int8", "qat-int8"]), small, ["int8", "qat-int8"]),
    ):
        assert [recipe.name for recipe in choose_bases(asked, budget)] == begun
    with pytest.raises(InputError, match="leave --qat out"):
        choose_bases(Asked(steps={"qat": True}), small)


def test_times_of_processors_that_differ_make_no_frontier() -> None:
    def timed(name: str, size: int, latency: float, cpu: str) -> Measured:
        return candidate(name, size_bytes=size, latency_ms=latency, cpu=cpu)

    here = [timed("int8", 100, 2.0, "A"), timed("float16", 200, 1.0, "A")]
    apart = [here[0], dataclasses.replace(here[1], cpu="B")]
    assert (processors_of(here), processors_of(apart)) == ({"A"}, {"A", "B"})
    judged, mixed = (Judge(Budget(max_size=5000)).judge(several) for several in (here, apart))
    assert len(find_frontier(judged)) == 2
    (smaller,) = find_frontier(mixed)
    assert smaller is mixed[0]
    assert describe_next_points(judged[0], judged)[-1].startswith("faster: float16")
    assert not any(line.startswith("faster") for line in describe_next_points(mixed[0], mixed))


def test_a_boards_times_are_of_the_format_that_they_were_taken_of() -> None:
    names = ("a/net-int8.tflite", "a/net-float16.tflite", "a/other.tflite", "a/net-int16x8-ab12cd.tflite")
    models = [cast(ModelResult, SimpleNamespace(path=name)) for name in names]

    def chosen(recipe: str, models: list[ModelResult] = models, **settings: Any) -> list[str]:
        made = with_settings(parse_recipe(recipe), settings)
        return [model.path for model in models_of_format(models, made)]

    assert chosen("int8") == ["a/net-int8.tflite"]
    assert chosen("qat-int8") == ["a/net-int8.tflite"]
    assert chosen("float16") == ["a/net-float16.tflite"]
    assert chosen("int16x8") == ["a/net-int16x8-ab12cd.tflite"]
    assert chosen("int4") == chosen("float32") == chosen("int8", float_layers=["a"]) == []
    assert chosen("int8", models[1:]) == ["a/other.tflite"]
    assert chosen("int8", models[1:2]) == ["a/net-float16.tflite"], "it overestimates"


def test_weights_that_another_search_has_noted_stay(tmp_path: Path) -> None:
    stores = [CandidateStore(tmp_path) for _ in range(2)]
    for store, search in zip(stores, ("one", "two"), strict=True):
        store.begin(search)
    for store, names in zip(stores, (("a.npz", "both.npz"), ("b.npz", "both.npz")), strict=True):
        for place in (store.stages, store.users):
            place.mkdir(parents=True, exist_ok=True)
            for name in names:
                (place / name).touch()
    stores[0].end(may_go_on=True)
    assert len(list((tmp_path / "stages").iterdir())) == 3
    stores[0].end(may_go_on=False)
    assert sorted(path.name for path in (tmp_path / "stages").iterdir()) == ["b.npz", "both.npz"]
    stores[1].end(may_go_on=False)
    assert list((tmp_path / "stages").iterdir()) == []
