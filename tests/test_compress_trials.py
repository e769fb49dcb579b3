"""Which trials of a search are tried, in which order they count, and which study they belong to."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from listener import Listener

pytest.importorskip("optuna")
pytest.importorskip("tensorflow_model_optimization")
from edgeclf.compression.budget import search
from edgeclf.compression.budget.judging import Judge, Measured
from edgeclf.compression.budget.ladder import Rung
from edgeclf.compression.budget.limits import Budget
from edgeclf.compression.budget.store import CandidateStore
from edgeclf.compression.recipe import parse_recipe
from edgeclf.measure.paired_interval import difference_interval
from edgeclf.search import Asked, Evaluation, Finished, Range, RefusedTrialError, open_study


def candidate(name: str = "int8", **figures: Any) -> Measured:
    values = {"size_bytes": 100_000, "latency_ms": 1.0, "images": 5000, "lost": 40, "gained": 20} | figures
    return Measured(parse_recipe(name).to_dict(), name, "d", 500, **values)


def finished(number: int, measured: Measured, ended: float = 0.0) -> Finished:
    return Finished(number, "complete", None, {}, score=1.0, record=measured.to_dict(), ended=ended)


def test_what_is_too_large_is_not_trained_again_with_rounding() -> None:
    def refused(name: str, *before: Measured, **limits: Any) -> str:
        plan = SimpleNamespace(budget=Budget(**limits))
        work = search._Work(plan, None, None, None, None)  # type: ignore[arg-type]
        rung = Rung.of(parse_recipe(name), 500)
        reason = ""
        try:
            work._check_shape(rung, [finished(number, one) for number, one in enumerate(before)])
        except RefusedTrialError as error:
            reason = str(error)
        return reason

    large, slow = candidate("shrink40-int8", size_bytes=70_000), candidate("shrink40-int8", latency_ms=0.9)
    reason = "shrink40-qat-int8: shrink40-int8, whose layers are as wide, is too large"
    assert refused("shrink40-qat-int8", large, max_drop=9, max_size=62_000) == reason
    assert refused("shrink40-qat-int8", slow, max_drop=9, max_latency=0.5) == reason.replace("large", "slow")
    # what may be noise, another width, another format, and what is lost by rounding alone are tried
    assert not refused("shrink40-qat-int8", slow, max_drop=9, max_latency=0.85)
    assert not refused("shrink50-qat-int8", large, max_drop=9, max_size=62_000)
    assert not refused("shrink40-float16", large, max_drop=9, max_size=62_000)
    assert not refused("qat-int8", candidate("int8"), max_drop=9, max_size=62_000)
    worse = candidate("shrink40-int8", size_bytes=50_000, lost=900)
    assert not refused("shrink40-qat-int8", worse, max_drop=9, max_size=62_000)


def test_a_search_ends_where_each_suggestion_has_a_shape_that_is_too_large(tmp_path: Path) -> None:
    large = candidate("shrink40-int8", size_bytes=70_000)
    plan = SimpleNamespace(budget=Budget(max_drop=9, max_size=62_000))
    work, study = search._Work(plan, None, None, None, None), open_study("s", tmp_path / "study.journal")  # type: ignore[arg-type]

    def evaluate(asked: Asked) -> Evaluation:
        asked.suggest({"qat_distill": Range(0.0, 1.0)})
        work._check_shape(Rung.of(parse_recipe("shrink40-qat-int8"), 500), [finished(0, large)])
        return Evaluation(0.0, {})

    assert study.run(evaluate, done=lambda _: False, suggestions=3, seconds=60)
    assert [one.state for one in study.finished()] == ["refused"] * 3


def test_looks_are_counted_in_the_order_in_which_trainings_ended() -> None:
    """A slower one that began before must not change what was concluded of a faster one."""
    fast, slow = candidate("shrink50-int8", looks=33), candidate("shrink40-int8", looks=33)
    ordered = search._measured([finished(0, slow, ended=20.0), finished(1, fast, ended=10.0)])
    assert [one.name for one in ordered] == ["shrink50-int8", "shrink40-int8"]
    budget = Budget(max_drop=9)
    alone = Judge(budget).judge(search._measured([finished(1, fast, ended=10.0)]))
    assert Judge(budget).judge(ordered)[0] == alone[0]


def test_clocks_that_differ_do_not_change_which_look_a_candidate_was() -> None:
    first, second, third = (candidate(name) for name in ("int8", "float16", "dynamic"))

    def names(*trials: Finished) -> list[str]:
        return [one.name for one in search._measured(trials)]

    late = dataclasses.replace(finished(0, first, ended=500.0), before=0)
    early = dataclasses.replace(finished(1, second, ended=100.0), before=1)
    assert names(late, early) == ["int8", "float16"]
    # two that ended at the same moment, and one of an earlier version
    together = [dataclasses.replace(one, before=1) for one in (late, early)]
    assert names(*reversed(together)) == ["int8", "float16"]
    assert names(*together, finished(2, third, ended=900.0)) == ["dynamic", "int8", "float16"]


def test_trials_know_how_many_ended_before_them(tmp_path: Path) -> None:
    study = open_study("s", tmp_path / "study.journal")
    study.enqueue([{"score": score} for score in range(3)])

    def evaluate(asked: Asked) -> Evaluation:
        if asked.number == 0:  # meanwhile another worker evaluates the others
            study.run(evaluate, done=lambda finished: len(finished) == 2)
        return Evaluation(1.0, {})

    study.run(evaluate, done=lambda _: False)
    assert [one.number for one in sorted(study.finished(), key=lambda one: one.order)] == [1, 2, 0]
    assert [one.before for one in study.finished()] == [2, 0, 1]


def test_the_bound_that_is_logged_is_the_one_that_judges() -> None:
    found, heard = candidate(lost=30, gained=20), Listener()
    plan = SimpleNamespace(budget=Budget(max_drop=1.0))
    work = search._Work(plan, None, None, None, heard)  # type: ignore[arg-type]
    work._log(found, [])
    work._log(found, [finished(0, candidate(looks=9))])
    # nine looks have spent 0.05 - 0.025 / 9, and the tenth spends 0.025 / (10 * 9)
    bounds = [-100 * difference_interval(30, 20, 5000, 2 * level)[0] for level in (0.025, 0.025 / 90)]
    assert heard.lines == [f"int8: drop 0.20 points (at most {bound:.2f}), 100 kB, 1 ms" for bound in bounds]
    work.plan = SimpleNamespace(budget=Budget(max_drop=1.0, judge="estimate"))  # type: ignore[assignment]
    work._log(found, [])
    assert heard.lines[-1] == "int8: drop 0.20 points, 100 kB, 1 ms"


def test_another_question_is_another_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "open_study", lambda name, *_, **__: name)

    def name_of(*, named: bool = False, board: Any = None, speed: bool = True, **limits: Any) -> Any:
        compress = SimpleNamespace(recipes=(parse_recipe("int8"),), seed=0, speed=speed)
        plan = SimpleNamespace(budget=Budget(**limits), compress=compress, settings={}, fixed=False, named=named)
        work = SimpleNamespace(
            plan=plan,
            loaded=SimpleNamespace(name="n"),
            maker=SimpleNamespace(board_models=board, store=CandidateStore(tmp_path)),
        )
        return search._open(work, tmp_path, "identity")  # type: ignore[arg-type]

    same = name_of(max_drop=1.0)
    assert name_of(max_drop=1.0, trials=3) == same
    others = [
        name_of(max_drop=2.0),
        name_of(max_drop=1.0, named=True),
        name_of(max_drop=1.0, board=[{"macs": 1}]),
        # the same file, written anew
        name_of(max_drop=1.0, board=[{"macs": 2}]),
        name_of(max_drop=1.0, speed=False),
    ]
    assert len({same, *others}) == 6
