"""What a search came to: the best trial, the frontier under limits, and what to think of the figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from edgeclf.artifact.run_folder import RunFolder
from edgeclf.errors import InputError
from edgeclf.measure.formatting import counted, percent
from edgeclf.measure.statistics import wilson_interval
from edgeclf.search import Finished
from edgeclf.search.sampling import choose_untried
from edgeclf.training.tuning.plan import TunePlan
from edgeclf.training.tuning.report import TestScore, Trial, TuneReport, find_best, find_frontier, read_trial
from edgeclf.training.tuning.shapes import Costing, SearchSpace


def conclude(plan: TunePlan, space: SearchSpace, finished: Sequence[Finished], costing: Costing) -> TuneReport:
    """Make the report of a search from its finished trials; the test figure is that of the best one."""
    trials = tuple(read_trial(one) for one in finished)
    allowed = [one for one in trials if not breaks_limits(one, costing)]
    best = find_best(allowed)
    trained = None if best is None else best.trained
    own = [one for one in trials if one.trained is not None and one.trained.same_as is None]
    return TuneReport(
        out=str(plan.out),
        data=plan.data.name,
        search=plan.search.method,
        pruner="none" if plan.config.quick else plan.search.pruner,
        seed=plan.config.seed,
        space=space,
        trials=trials,
        looks=len(own),
        best=None if best is None else best.number,
        best_run=None if trained is None else str(plan.out / trained.run),
        test=None if trained is None or not plan.is_here(trained) else _read_test(plan.out / trained.run),
        limits=costing.text,
        frontier=find_frontier(allowed) if costing.asked else (),
        costs_from=costing.source,
        notes=(*_list_notes(trials, allowed, best, len(own)), *_note_exhaustion(space, finished)),
    )


def breaks_limits(one: Trial, costing: Costing) -> bool:
    """Return whether a trial is known to break the limits, as that of the defaults may."""
    found = one.trained
    if found is None or not costing.asked:
        return False
    limits = costing.limits
    slow = limits.latency_ms is not None and (found.latency_ms or 0) > limits.latency_ms
    return slow or (limits.size_bytes is not None and (found.size_bytes or 0) > limits.size_bytes)


def _read_test(run: Path) -> TestScore | None:
    try:
        figures = (RunFolder(run).run_json.get("metrics") or {}).get("test")
    except InputError:
        return None  # it lies in the folder of another worker
    if not figures:
        return None
    top1, images = float(figures["top1"]), int(figures["images"])
    return TestScore(top1, wilson_interval(round(top1 * images), images), images)


def _list_notes(trials: Sequence[Trial], allowed: Sequence[Trial], best: Trial | None, looks: int) -> list[str]:
    if best is None or best.trained is None:
        return ["no trial was trained to an end"]
    top1, images = best.trained.validation_top1, best.trained.validation_images
    notes = [
        f"{counted(looks, 'look')} at the same {counted(images, 'validation image')} chose it, so it is better "
        f"there than on other photos; what differs by less than {100 * _error(top1, images):.1f} points "
        "(one standard error) may be chance"
    ]
    defaults = next((one for one in trials if one.origin == "defaults" and one.trained is not None), None)
    if defaults is not None and defaults.trained is not None and defaults.number != best.number:
        notes.append(f"the defaults reach {percent(defaults.trained.validation_top1)} on validation")
        if defaults not in allowed:
            notes[-1] += ", and break the limits as measured"
    if best.origin == "defaults":
        notes.append("no trial was better than the defaults")
    lost = [one for one in trials if one.state == "lost"]
    if lost:
        named = ", ".join(str(one.number) for one in lost)
        notes.append(f"given up, because the process died in it again and again: {named}")
    return notes


def _note_exhaustion(space: SearchSpace, finished: Sequence[Finished]) -> list[str]:
    points = space.all_points()
    if points is None or choose_untried(points, [one.suggested for one in finished], {}, 0) is not None:
        return []
    return ["every combination of these values was tried: a wider --space could find more"]


def _error(top1: float, images: int) -> float:
    """Return the standard error of a fraction, which is not zero where all images are right (Agresti and Coull)."""
    adjusted = (top1 * images + 2) / (images + 4)
    return math.sqrt(adjusted * (1 - adjusted) / (images + 4))
