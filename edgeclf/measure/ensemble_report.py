"""The record of a measured ensemble."""

from __future__ import annotations

from dataclasses import dataclass

from edgeclf.image.shape import STRETCH
from edgeclf.records import Record


@dataclass(frozen=True)
class MemberResult(Record):
    """One member.

    Attributes:
        name: short.
        path: of the model file or the network.
        kind: `model` (a model file) or `network` (a float network).
        input_size: height and width in pixels.
        top1: fraction; None without data.
        top1_interval: 95 % Wilson interval.
        latency_ms: median of one image.
        fit: how pictures of another shape come to its input.
    """

    name: str
    path: str
    kind: str
    input_size: tuple[int, int]
    top1: float | None
    top1_interval: tuple[float, float] | None
    latency_ms: float
    fit: str = STRETCH


@dataclass(frozen=True)
class EnsembleAccuracy(Record):
    """The accuracy of an ensemble, paired with its best member on the same images.

    Attributes:
        top1: fraction.
        top1_interval: 95 % Wilson interval.
        best_member: name of the member that it is compared with.
        chosen_on: the split that chose that member: `validation` where the data have one, else the one measured.
        difference: of top-1, ensemble minus best member, a fraction.
        difference_interval: Bonett and Price's, 95 %.
        p_value: McNemar's exact one.
        stacked_on: number of images that the stacking was fitted on; None: it averages.
    """

    top1: float
    top1_interval: tuple[float, float]
    best_member: str
    chosen_on: str
    difference: float
    difference_interval: tuple[float, float]
    p_value: float
    stacked_on: int | None = None


@dataclass(frozen=True)
class EnsembleResult(Record):
    """An ensemble.

    Attributes:
        name: short.
        combine: `average` or `stack`.
        members: in order.
        accuracy: None without data.
        latency_ms: of one image: the sum of the members' medians.
        notes: remarks.
    """

    name: str
    combine: str
    members: tuple[MemberResult, ...]
    accuracy: EnsembleAccuracy | None
    latency_ms: float
    notes: tuple[str, ...] = ()
