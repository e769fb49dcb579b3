"""The report of the training of an ensemble."""

from __future__ import annotations

from dataclasses import dataclass

from edgeclf.records import Record
from edgeclf.training.evaluation import SplitMetrics


@dataclass(frozen=True)
class Member(Record):
    """One network of an ensemble.

    Attributes:
        run: its run folder.
        seed: of its training.
        validation_top1: fraction.
        test_top1: fraction; None where the data have no test split.
    """

    run: str
    seed: int
    validation_top1: float
    test_top1: float | None


@dataclass(frozen=True)
class EnsembleReport(Record):
    """Result of the training of an ensemble.

    Attributes:
        out: its folder.
        combine: how it predicts: `average` or `stack`.
        members: its networks.
        metrics: by split, of the ensemble; `test` is None where the data have none. On validation a stacking is
            cross-fitted.
        best_member: run folder of the best member by validation.
        split: that the difference is measured on: `test` where the data have it.
        difference: top-1 of the ensemble minus that of the best member, a fraction.
        difference_interval: its 95 % interval, Bonett and Price's.
        p_value: McNemar's exact one.
        average_top1: by split, of the mean of the probabilities, where the ensemble stacks; empty where it averages.
        notes: remarks, one sentence each.
        seconds: of this session.
    """

    out: str
    combine: str
    members: tuple[Member, ...]
    metrics: dict[str, SplitMetrics | None]
    best_member: str
    split: str
    difference: float
    difference_interval: tuple[float, float]
    p_value: float
    average_top1: dict[str, float]
    notes: tuple[str, ...]
    seconds: float
