"""Writes the model that a search picked, and the report."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeclf.atomic import write_bytes, write_text
from edgeclf.compression.budget.frontier import (
    describe_miss,
    describe_next_points,
    find_binding,
    find_frontier,
    find_nearest,
    pick,
)
from edgeclf.compression.budget.judging import Judged
from edgeclf.compression.budget.limits import Budget
from edgeclf.compression.budget.making import CandidateMaker
from edgeclf.compression.budget.report import Refused, SearchReport, TestResult
from edgeclf.compression.budget.store import Stored
from edgeclf.compression.compress_report import CompressedModel, CompressReport
from edgeclf.compression.pipeline.run_recipe import SELECTED
from edgeclf.errors import InputError, OutputError
from edgeclf.json_text import read_json, write_json
from edgeclf.measure.paired_interval import difference_interval
from edgeclf.measure.statistics import discordant
from edgeclf.training.run_record import count_in_training

HOURS_ENDED = "--hours ended the search, and recipes are left: the same command goes on with them"


@dataclass(frozen=True)
class Found:
    """What a search has found; see `SearchReport`.

    Attributes:
        search: digest of what was searched for.
        ended: nothing was left to try, or one holds the budget.
        fixed: nothing but named recipes is tried.
    """

    search: str
    budget: Budget
    judged: tuple[Judged, ...]
    refused: tuple[Refused, ...]
    suggested: int
    provable_drop: float | None
    ended: bool
    fixed: bool
    notes: tuple[str, ...]


def write_result(found: Found, maker: CandidateMaker, out: Path, *, overwrite: bool, began: float) -> CompressReport:
    """Write the first model that holds the budget, else the nearest miss, with its record and that of the search.

    Args:
        found: by the search.
        maker: of the candidates.
        out: folder of the models.
        overwrite: replace another model of the same name.
        began: when the search did, by the monotonic clock.

    Raises:
        InputError: there is no candidate at all.
        OutputError: another model of that name is there.
    """
    context = maker.context
    report = _conclude(found, maker, began)
    picked = report.picked
    if picked is None:
        reasons = "; ".join(f"{one.name}: {one.reason}" for one in report.refused) or "none was tried"
        raise InputError(f"no model could be made within {found.budget.text}: {reasons}")
    data = context.data
    notes = (*(data.list_notes() if data else ()), *context.notes)
    stored = maker.stored(picked.candidate)
    models: tuple[CompressedModel, ...] = ()
    if stored is None:
        elsewhere = f"the model was made on {picked.candidate.host}, which writes it when its own search ends"
        report = dataclasses.replace(report, notes=(*report.notes, elsewhere))
    else:
        path = out / f"{context.name}-{stored.file}"
        _check_not_in_the_way(path, stored, overwrite=overwrite)
        test = _test(maker, stored)
        model = _write_model(path, stored, picked.candidate.key)
        report = dataclasses.replace(report, path=str(path), test=test)
        models = (model,)
        if model.selected_on:
            notes += (SELECTED,)
    report = dataclasses.replace(report, seconds=round(time.monotonic() - began, 1))
    write_text(_report_path(out, context.name, found.search, overwrite=overwrite), report.to_json(indent=1) + "\n")
    if found.ended:
        # one that may go on with other recipes keeps its trainings, until a later one ends
        maker.store.end(may_go_on=not report.holds and not found.fixed)
    return CompressReport(models, notes, count_in_training(data) if data else {}, search=report)


def _conclude(found: Found, maker: CandidateMaker, began: float) -> SearchReport:
    judged, budget = found.judged, found.budget
    held = pick(judged)
    nearest = () if held is not None else find_nearest(judged, budget)
    picked = held or next(iter(nearest), None)
    frontier = find_frontier(judged)
    correct = maker.context.float_correct
    exhausted = found.ended or held is not None
    return SearchReport(
        budget=budget,
        search=found.search,
        holds=held is not None,
        picked=picked,
        path="",
        candidates=judged,
        frontier=tuple(judged.index(one) for one in frontier),
        nearest=tuple(judged.index(one) for one in nearest),
        misses=tuple(describe_miss(one, budget) for one in nearest),
        binding=find_binding(judged, held, budget),
        next_points=() if picked is None else describe_next_points(picked, frontier),
        refused=found.refused,
        suggested=found.suggested,
        validation_images=None if correct is None else len(correct),
        provable_drop=found.provable_drop,
        latency_from=maker.describe_times(one.candidate for one in judged),
        notes=found.notes if exhausted else (*found.notes, HOURS_ENDED),
        exhausted=exhausted,
    )


def _report_path(out: Path, name: str, search: str, *, overwrite: bool) -> Path:
    """Return where a search's report goes: where another search's lies already, beside it under a name of its own."""
    path = out / f"{name}-search.json"
    try:
        others = not overwrite and path.exists() and read_json(path).get("search") != search
    except (OSError, ValueError, AttributeError):  # not readable as a report, so it is none of this search
        others = True
    return out / f"{name}-search-{search[:6]}.json" if others else path


def _test(maker: CandidateMaker, stored: Stored) -> TestResult | None:
    """Measure the picked model on the test split."""
    predicted = maker.test(stored.content) if stored.file.endswith(".tflite") else None
    if predicted is None:
        return None
    before, after = predicted
    lost, gained = discordant(before, after)
    low, high = difference_interval(lost, gained, len(after))
    return TestResult(
        images=len(after),
        top1=float(after.mean()),
        float_top1=float(before.mean()),
        drop=(lost - gained) / len(after),
        drop_interval=(-high, -low),
    )


def _check_not_in_the_way(path: Path, stored: Stored, *, overwrite: bool) -> None:
    """Refuse to replace another model, before the test split is looked at for nothing."""
    if path.exists() and path.read_bytes() != stored.content and not overwrite:
        raise OutputError(
            f"{path}: exists, and is another model; run the same command with --overwrite (no candidate is made again) "
            "or with another --out"
        )


def _write_model(path: Path, stored: Stored, key: str) -> CompressedModel:
    record: dict[str, Any] = {
        **stored.record,
        "model": {**stored.record["model"], "path": str(path)},
        "sha256": hashlib.sha256(stored.content).hexdigest(),
        "request": key,
    }
    write_text(path.with_suffix(".json"), write_json(record, indent=1) + "\n")
    write_bytes(path, stored.content)
    return CompressedModel.from_dict(record["model"])
