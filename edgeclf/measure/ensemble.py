"""Measures ensembles: accuracy against the best member, paired, and latency."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgeclf.artifact.ensemble_folder import AVERAGE, STACK, EnsembleRecord, EnsembleSource, Stacking
from edgeclf.dataset import ALL
from edgeclf.errors import DataError, InputError, MissingExtraError
from edgeclf.inference.ensemble import Probabilities, combine
from edgeclf.measure.accuracy import IntArray, class_indices, takes_order_of_classes
from edgeclf.measure.baseline import OpenBaseline
from edgeclf.measure.class_order import describe_assumed_order
from edgeclf.measure.conditions import OPTION, parse_conditions
from edgeclf.measure.ensemble_members import NETWORK, OpenedMember, open_members
from edgeclf.measure.ensemble_report import EnsembleAccuracy, EnsembleResult, MemberResult
from edgeclf.measure.paired_interval import difference_interval
from edgeclf.measure.plan import BenchPlan
from edgeclf.measure.statistics import BoolArray, discordant, mcnemar_p, wilson_interval
from edgeclf.measure.stopwatch import call_latency
from edgeclf.measure.subjects import DatasetLoader, split_of
from edgeclf.progress import Progress

VALIDATION = "validation"
_UNSET_THREADS = (1,)


@dataclass(frozen=True)
class StackingParts:
    """How stackings are fitted, which needs the host side; see `edgeclf.training.ensembles.stacking`."""

    fit: Callable[[Probabilities, IntArray], Stacking]
    cross_fit: Callable[[Probabilities, IntArray], Probabilities]


@dataclass(frozen=True)
class EnsembleParts:
    """What measuring an ensemble takes from the host side.

    Attributes:
        open_network: opens a float network; None where TensorFlow is not installed.
        stacking: fits how members are combined; None where scikit-learn is not installed.
    """

    open_network: OpenBaseline | None = None
    stacking: StackingParts | None = None


@dataclass
class _Predictions:
    """What the members predict, a split at a time; each is predicted once."""

    members: Sequence[OpenedMember]
    load: DatasetLoader
    progress: Progress
    found: dict[str, Probabilities] = field(default_factory=dict)

    def has(self, split: str) -> bool:
        return split in self.load(self.members[0].shape).splits

    def of(self, split: str) -> Probabilities:
        """Return float32[M, N, C], in the order of the data's classes."""
        if split not in self.found:
            parts = [one.predict(self.load(one.shape), split, self.progress) for one in self.members]
            self.found[split] = np.stack(parts)
        return self.found[split]

    def labels(self, split: str) -> IntArray:
        return split_of(self.load(self.members[0].shape), split).labels

    def stacked(self, split: str, record: EnsembleRecord, stacking: Stacking) -> Probabilities:
        """Combine by the stacking of a record, whose classes may stand in another order: float32[N, C] as `of` has."""
        found = self.of(split)
        names = self.load(self.members[0].shape).class_names
        order = class_indices(record.class_names, len(record.class_names), names)
        return combine(found[:, :, order], stacking)[:, np.argsort(order)]

    def right(self, split: str) -> BoolArray:
        """Return which predictions are right: bool[M, N]."""
        found: BoolArray = self.of(split).argmax(2) == self.labels(split)
        return found


def measure_ensemble(
    source: EnsembleSource, plan: BenchPlan, load: DatasetLoader | None, host: EnsembleParts, progress: Progress
) -> EnsembleResult:
    """Measure an ensemble as `plan` says.

    Raises:
        ModelError: a member cannot be used, or the members do not agree.
        DataError: the split is missing, or stacking has nothing to be fitted on.
        MissingExtraError: a part of the host side is not installed.
    """
    way = plan.combine or (AVERAGE if source.record is None else source.record.combine)
    members = open_members(source, plan, load, host.open_network, progress, tempered=way != STACK)
    notes = [note for member in members for note in member.notes]
    if len({member.shape for member in members}) > 1:
        notes.append("each member sees the photos at its own input size")
    accuracy, right = None, None
    if load is not None:
        for member in members:
            data = load(member.shape)
            if takes_order_of_classes(member.predictor.labels, data.class_names):
                notes.append(f"{member.name}: {describe_assumed_order(data)}")
        predictions = _Predictions(members, load, progress)
        accuracy, more = _measure_accuracy(source, way, plan.split, predictions, host.stacking)
        right, notes = predictions.right(plan.split), [*notes, *more]
    results = tuple(
        _describe(member, None if right is None else right[place], progress) for place, member in enumerate(members)
    )
    latency = sum(one.latency_ms for one in results)
    return EnsembleResult(source.name, way, results, accuracy, latency, tuple(notes))


def _measure_accuracy(
    source: EnsembleSource, way: str, split: str, predictions: _Predictions, stacking: StackingParts | None
) -> tuple[EnsembleAccuracy, list[str]]:
    """Measure the accuracy on a split, with remarks on how the combination came about."""
    notes: list[str] = []
    if way == STACK:
        combined, fitted_on, remark = _stack(source, split, predictions, stacking)
        notes.append(remark)
    else:
        combined, fitted_on = combine(predictions.of(split)), None
    chosen_on = VALIDATION if split != VALIDATION and predictions.has(VALIDATION) else split
    if chosen_on == split:
        notes.append("the best member was chosen by the images that it is compared on")
    best = int(predictions.right(chosen_on).mean(axis=1).argmax())
    right, labels = predictions.right(split)[best], predictions.labels(split)
    together = combined.argmax(1) == labels
    lost, gained = discordant(right, together)
    accuracy = EnsembleAccuracy(
        top1=float(together.mean()),
        top1_interval=wilson_interval(int(together.sum()), len(labels)),
        best_member=predictions.members[best].name,
        chosen_on=chosen_on,
        difference=(gained - lost) / len(labels),
        difference_interval=difference_interval(lost, gained, len(labels)),
        p_value=mcnemar_p(lost, gained),
        stacked_on=fitted_on,
    )
    return accuracy, notes


def _stack(
    source: EnsembleSource, split: str, predictions: _Predictions, parts: StackingParts | None
) -> tuple[Probabilities, int, str]:
    """Combine by a stacking that was not fitted on what it predicts; returns how many images it was fitted on."""
    recorded = None if source.record is None else source.record.stacking
    if source.record is not None and recorded is not None and split != VALIDATION:
        stacked = predictions.stacked(split, source.record, recorded)
        floats = all(member.kind == NETWORK for member in predictions.members)
        remark = f"the recorded stacking was fitted on {recorded.images:,} validation images"
        return stacked, recorded.images, remark + ("" if floats else ", by the float networks")
    if parts is None:
        raise MissingExtraError("--combine stack", "train", "sklearn")
    if split == ALL:
        raise DataError(
            "--combine stack is fitted on the validation images that --split all measures; take --split test, or "
            "--combine average"
        )
    if not predictions.has(VALIDATION):
        raise DataError(
            "--combine stack is fitted on validation images, and the data have none; add a folder validation beside "
            "test, or take --combine average"
        )
    found, labels = predictions.of(VALIDATION), predictions.labels(VALIDATION)
    if split == VALIDATION:
        remark = "each validation image is combined by a stacking that was fitted without it"
        return parts.cross_fit(found, labels), len(labels), remark
    fitted = parts.fit(found, labels)
    remark = f"the stacking was fitted on {fitted.images:,} validation images"
    return combine(predictions.of(split), fitted), fitted.images, remark


def _describe(member: OpenedMember, right: BoolArray | None, progress: Progress) -> MemberResult:
    with progress.task(f"timing {member.name}", None):
        latency = call_latency(member.single_call)
    return MemberResult(
        name=member.name,
        path=member.path,
        kind=member.kind,
        input_size=member.shape.size,
        top1=None if right is None else float(right.mean()),
        top1_interval=None if right is None else wilson_interval(int(right.sum()), len(right)),
        latency_ms=latency.median,
        fit=member.shape.fit,
    )


def check_ensemble_plan(plan: BenchPlan, ensembles: Sequence[EnsembleSource], files: int) -> None:
    """Refuse what `bench` does with model files alone, where there are none.

    Raises:
        InputError: something is asked for that needs a model file, or nothing is an ensemble and a way is given.
    """
    if not ensembles:
        if plan.combine is not None:
            raise InputError("--combine is for ensembles, and none is named: expected RUN+RUN, or an ensemble's folder")
        return
    asked = {
        "--against": plan.against,
        "--sustain": plan.sustain,
        "--fail-if": plan.fail_if,
        "--report": plan.report,
        "--baseline": plan.baseline,
        "--threads": plan.threads,
        "--runs": plan.runs,
    }
    named = next((option for option, value in asked.items() if value not in (None, (), _UNSET_THREADS)), None)
    if named is not None and not files:
        raise InputError(f"{named} is about single models, and only ensembles are named; add a model, or leave it out")
    for condition in parse_conditions(plan.fail_if):
        if condition.model is None:
            raise InputError(
                f"{OPTION} {condition.text!r} judges single models, and {ensembles[0].name} is an ensemble; name the "
                f"model that it is about, such as 'MODEL:{condition.text}'"
            )
